"""Commands that send: test, send, status."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from newsletter.cli.base import ISSUE, Command, complete_issue, project_folder
from newsletter.cli.readers import FORMAT, LIST
from newsletter.cli.show import as_json, columns, counted, say_findings

if TYPE_CHECKING:
    from newsletter.mailing.dispatch import Plan, Progress, Told
    from newsletter.mailing.ledger import MailingStatus, UnknownReader

LISTED = 20  # unknown readers shown one by one before the rest is only counted


@click.command(cls=Command)
@click.argument("issue", shell_complete=complete_issue)
@click.option("--to", "address", required=True, metavar="ADDRESS", help="Who gets the copy.")
@LIST
def test(issue: str, address: str, list_name: str | None) -> None:
    """Send one copy to yourself, its subject marked [Test].

    No mailing begins by it, and its links open no reader's page.
    """
    from newsletter.desk import posting  # noqa: PLC0415 - --help must not pay for what a command needs
    from newsletter.desk.project import open_desk  # noqa: PLC0415

    click.echo(posting.test_send(open_desk(project_folder()), issue, address, list_name))


@click.command(cls=Command)
@ISSUE
@LIST
@click.option("--dry-run", is_flag=True, help="Show the plan and send nothing.")
@click.option("--yes", is_flag=True, help="Send without asking; for scripts.")
def send(issue: str | None, list_name: str | None, dry_run: bool, yes: bool) -> None:
    """Send an issue to a list.

    The plan comes first, then a question, then the mail. It refuses while a check blocks (exit code 1). Stopped by
    whatever, run it again: it goes on where it stopped, and nobody gets a second copy. When it cannot know whether a
    copy left, it holds that one and says so. Exit code 75: somebody else is sending, or the carrier asks for patience;
    try later.
    """
    from newsletter.desk import posting  # noqa: PLC0415
    from newsletter.desk.project import open_desk  # noqa: PLC0415

    with posting.open_posting(open_desk(project_folder()), issue, list_name) as work:
        say_findings(work.checked.file.file, work.checked.findings)
        plan = work.plan()
        say_plan(plan, work.checked.edition.subject)
        if dry_run:
            click.echo("Nothing was sent: this was a dry run.")
            return
        if plan.state != "finished" and not yes:
            _ask(plan.to_send)
        with progress_bar() as told:
            summary = work.send(told)
        if summary.nothing_to_do:
            click.echo(f"{summary.status.mailing}: finished before, nothing to send.")
        say_law(summary.status)
        say_unknown(work.unknown())


def _ask(count: int) -> None:
    """Ask before anything leaves. Raises UsageError where nobody sits at a terminal."""
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is here to ask; add --yes to send without asking")
    click.confirm(f"Send to {counted(count, 'reader')}?", abort=True)


def say_plan(plan: Plan, subject: str) -> None:
    """Write what a send would do."""
    state = {"new": "new", "resume": "goes on where it stopped", "finished": "finished before"}[plan.state]
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in plan.audience.excluded.items() if count)
    rows = [
        ("mailing", f"{plan.mailing} ({state})"),
        ("subject", subject),
        ("readers", f"{plan.to_send:,} to send to" + (f"; left out: {left_out}" if left_out else "")),
        ("copies", counted(len(plan.audience.variants), "choice") + " of countries"),
        ("carrier", f"{plan.provider}, {counted(plan.requests, 'request')}"),
    ]
    click.echo("\n".join(f"{title:<9}{value}" for title, value in rows))


@contextmanager
def progress_bar() -> Iterator[Told | None]:
    """Draw a bar with rate and time left, where there is a terminal to draw it on."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich import progress  # noqa: PLC0415 - only where somebody looks
    from rich.console import Console  # noqa: PLC0415

    shown = (
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TaskProgressColumn(show_speed=True),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*shown, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("sending", total=None)

        def told(now: Progress) -> None:
            bar.update(task, completed=now.done, total=now.total)

        yield told


def say_law(one: MailingStatus) -> None:
    """Write the law of the ledger with its numbers."""
    parts = f"{one.accepted:,} accepted + {one.rejected:,} rejected + {one.left:,} left"
    rest = f" + {one.unknown:,} unknown + {one.pending:,} pending"
    state = "complete" if one.complete else "not complete"
    click.echo(f"{one.mailing}: {counted(one.audience, 'reader')} = {parts}{rest}; {state}")


def say_unknown(readers: tuple[UnknownReader, ...]) -> None:
    """List the readers whose copy may or may not have left."""
    if not readers:
        return
    click.echo("Unknown: their copy may or may not have left, and is not sent again by itself:")
    for one in readers[:LISTED]:
        click.echo(f"  reader {one.reader}: {one.detail}")
    if len(readers) > LISTED:
        click.echo(f"  and {len(readers) - LISTED:,} more")


@click.command(cls=Command)
@click.argument("mailing", required=False)
@FORMAT
def status(mailing: str | None, style: str) -> None:
    """Show how mailings stand, newest first.

    With the name of a MAILING, also the readers whose copy may or may not have left.
    For every mailing, readers = accepted + rejected + left + unknown + pending.
    """
    from newsletter.desk import posting  # noqa: PLC0415
    from newsletter.desk.project import open_desk  # noqa: PLC0415

    desk = open_desk(project_folder())
    found = posting.statuses(desk, mailing)
    if style == "json":
        click.echo(as_json([posting.status_record(one) for one in found]))
        return
    if not found:
        click.echo("nothing has been sent yet")
        return
    header = ("mailing", "readers", "accepted", "rejected", "left", "unknown", "pending", "", "started", "carrier")
    click.echo(columns((_row(one) for one in found), header))
    if mailing:
        say_unknown(posting.unknown_readers(desk, mailing))


def _row(one: MailingStatus) -> tuple[object, ...]:
    numbers = (one.audience, one.accepted, one.rejected, one.left, one.unknown, one.pending)
    started = f"{one.started:%Y-%m-%d %H:%M}Z" if one.started else "-"
    state = "complete" if one.complete else "not complete"
    return (one.mailing, *(f"{number:,}" for number in numbers), state, started, one.provider)


COMMANDS: tuple[click.Command, ...] = (test, send, status)
