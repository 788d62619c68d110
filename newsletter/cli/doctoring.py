"""The command that looks at everything a send depends on: doctor."""

from __future__ import annotations

from dataclasses import asdict

import click

from newsletter.cli.base import Command, project_folder
from newsletter.cli.readers import FORMAT
from newsletter.cli.show import as_json

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(cls=Command)
@FORMAT
@click.option("--resolver", metavar="IP[:PORT]", help="Ask this name server, not the system's.")
def doctor(style: str, resolver: str | None) -> None:
    """Examine what stands between a good issue and the inbox.

    The names of your domain (SPF, DKIM, DMARC, MX, PTR), the secrets, the carrier, the readers' pages, the clock, the
    database and the disk. Nothing is sent. Exit code 1 when something fails.
    """
    from newsletter.desk import health  # noqa: PLC0415 - --help must not pay for what a command needs
    from newsletter.desk.project import open_desk  # noqa: PLC0415

    notes = []
    for note in health.look(open_desk(project_folder()), resolver):
        notes.append(note)
        if style == "text":
            level = click.style(f"{note.level:<5}", fg=_COLOURS[note.level], bold=True)
            click.echo(f"{level}{note.topic:<9} {note.what}")
            if note.advice:
                click.echo(f"{'':<15}-> {note.advice}")
    if style == "json":
        click.echo(as_json([asdict(note) for note in notes]))
    if any(note.level == "fail" for note in notes):
        click.get_current_context().exit(1)


COMMANDS: tuple[click.Command, ...] = (doctor,)
