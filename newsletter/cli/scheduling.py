"""Commands for what is sent later: scheduled, run."""

from __future__ import annotations

import click

from newsletter.cli.base import Command, project_folder
from newsletter.cli.show import columns


@click.command(cls=Command)
@click.option("--cancel", "number", type=int, metavar="NUMBER", help="Take this one off the agenda.")
def scheduled(number: int | None) -> None:
    """Show the agenda: what waits, and what became of the rest.

    'newsletter send --at' puts an issue on it, and 'newsletter run' sends what is due. What was changed after it was
    put there, or missed its moment by more than 'max_age' below 'send' in the settings, is refused.
    """
    from newsletter.desk import scheduling  # noqa: PLC0415 - --help must not pay for what a command needs
    from newsletter.desk.project import open_desk  # noqa: PLC0415

    desk = open_desk(project_folder())
    if number is not None:
        scheduling.cancel(desk, number)
        click.echo(f"number {number} is off the agenda")
        return
    found = scheduling.scheduled(desk)
    rows = ((one.id, scheduling.described(one), f"{one.at:%Y-%m-%d %H:%M}Z", one.state, one.reason) for one in found)
    click.echo(columns(rows, ("number", "what and when", "in UTC", "", "")) if found else "nothing is on the agenda")


@click.command(cls=Command)
@click.option("--once", is_flag=True, help="Do what is due now and end; for cron. Exit code 1 when something failed.")
@click.option(
    "--every",
    type=click.FloatRange(min=1),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
def run(once: bool, every: float) -> None:
    """Do what is due, again and again.

    One process that stays, until Ctrl-C or a polite kill. It sends what is on the agenda, goes on with mailings that
    wait for readers the carrier put off, takes in bounces, and tidies. It leaves alone what is paused, stopped or
    cancelled, and what has grown too old. A line says each thing it did.
    """
    from newsletter.desk import service  # noqa: PLC0415
    from newsletter.desk.project import clock, open_desk  # noqa: PLC0415

    root = open_desk(project_folder()).project.root
    if (
        not service.run(root, every, lambda line: click.echo(f"{clock():%Y-%m-%d %H:%M:%S}Z  {line}"), once=once)
        and once
    ):
        click.get_current_context().exit(1)


COMMANDS: tuple[click.Command, ...] = (scheduled, run)
