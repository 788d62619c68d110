"""Commands for the database: check, copy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from newsletter.cli.base import Group, project_folder
from newsletter.cli.show import counted


@click.group(cls=Group)
def database() -> None:
    """The database of readers and mailings."""


@database.command()
def check() -> None:
    """Read the whole database and say whether it is sound.

    The consent log is checked link by link, every mailing reader by reader. Exit code 1: something is not so.
    """
    from newsletter.desk import databases  # noqa: PLC0415 - --help must not pay for what a command needs
    from newsletter.desk.project import open_desk  # noqa: PLC0415

    found = databases.check(open_desk(project_folder()))
    for line in found.faults:
        click.echo(line, err=True)
    state = counted(len(found.faults), "fault") if found.faults else "sound"
    click.echo(f"{found.database}: {counted(found.rows, 'row')}, {counted(found.mailings, 'mailing')}: {state}")
    if found.faults:
        click.get_current_context().exit(1)


@database.command()
@click.option("--to", required=True, metavar="ADDRESS", help="Such as postgresql://user@host/name; or env:NAME.")
def copy(to: str) -> None:
    """Copy everything into another, empty database.

    From SQLite to PostgreSQL or back. Nobody can write while it runs; it refuses while a send is under way. The copy is
    compared with the original, which stays as it is. Then newsletter.yaml is yours to change.
    """
    from newsletter.desk import databases  # noqa: PLC0415
    from newsletter.desk.project import open_desk  # noqa: PLC0415

    with _progress_bar() as told:
        done = databases.copy(open_desk(project_folder()), to, told)
    amount = f"{counted(done.rows, 'row')}, {counted(done.mailings, 'mailing')}"
    click.echo(f"{done.source} is copied to {done.target}: {amount}, compared and the same")
    click.echo(f"Now write in newsletter.yaml: database: {done.setting}")


@contextmanager
def _progress_bar() -> Iterator[Callable[[int, int], None] | None]:
    """Draw a bar where there is a terminal to draw it on."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich import progress  # noqa: PLC0415 - only where somebody looks
    from rich.console import Console  # noqa: PLC0415

    with progress.Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("copying", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
