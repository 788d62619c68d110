"""The command that carries mailings beside others, on this machine or on several: worker."""

from __future__ import annotations

import click

from newsletter.cli.base import Command, project_folder


@click.command(cls=Command)
@click.option(
    "--connections",
    type=click.IntRange(1, 16),
    metavar="N",
    help="Calls to the carrier under way at once, 1 to 16; else what newsletter.yaml says.",
)
@click.option("--name", default="worker", metavar="NAME", help="What its lines begin with.")
def worker(connections: int | None, name: str) -> None:
    """Carry what is being sent, together with other workers.

    It needs PostgreSQL, and on each machine the same issue, templates and newsletter.yaml. It waits for mailings that
    'newsletter send' began, and while the database is away. SIGTERM or Ctrl-C end it after what is under way.
    """
    from newsletter.desk.project import open_desk  # noqa: PLC0415 - --help must not pay for what a command needs
    from newsletter.desk.working import work  # noqa: PLC0415

    work(open_desk(project_folder()), connections, lambda line: click.echo(f"{name}: {line}"))


COMMANDS: tuple[click.Command, ...] = (worker,)
