"""Commands that send: test, approve, send."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import click

from newsletter.cli.base import ISSUE, Command, complete_issue, project_folder
from newsletter.cli.progress import progress
from newsletter.cli.readers import LIST
from newsletter.cli.show import counted, duration, say_findings

if TYPE_CHECKING:
    from newsletter.checks.finding import Finding
    from newsletter.desk.approving import Readiness
    from newsletter.desk.posting import Posting
    from newsletter.mailing.approval import Approval
    from newsletter.mailing.ledger import UnknownReader
    from newsletter.mailing.orders import Plan

LISTED = 20  # unknown readers shown one by one before the rest is only counted
STOPPING = "stopping after what is under way; once more ends at once\n"
BY = click.option("--by", required=True, metavar="NAME", help="Who does it; written down.")


@click.command(cls=Command)
@click.argument("issue", shell_complete=complete_issue)
@click.option("--to", "address", required=True, metavar="ADDRESS", help="Who gets the copy.")
@LIST
def test(issue: str, address: str, list_name: str | None) -> None:
    """Send one copy to yourself, its subject marked [Test].

    No mailing begins by it, and its links open no reader's page. Send wants it to have been done, with the issue
    exactly as it is.
    """
    from newsletter.desk import posting  # noqa: PLC0415 - --help must not pay for what a command needs
    from newsletter.desk.project import open_desk  # noqa: PLC0415

    click.echo(posting.test_send(open_desk(project_folder()), issue, address, list_name))


@click.command(cls=Command)
@click.argument("issue", shell_complete=complete_issue)
@BY
def approve(issue: str, by: str) -> None:
    """Approve an issue exactly as it is now.

    The approval holds for what the issue, the templates and the settings make of it at this moment; any later change
    voids it. The setting 'require_approval' below 'send' says how many different people have to.
    """
    from newsletter.desk import approving  # noqa: PLC0415
    from newsletter.desk.project import open_desk  # noqa: PLC0415

    done = approving.approve(open_desk(project_folder()), issue, by)
    edition = done.checked.edition
    rows = [
        ("subject", edition.subject),
        ("digest", edition.seen[:12]),
        ("checks", _warnings(done.checked.findings)),
        ("approved", _approved(done.approvals, done.required)),
    ]
    click.echo(f"{edition.slug}: {'approved as it is now' if done.new else 'was approved by the same person before'}")
    click.echo(_table(rows))


def _table(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"{title:<9}{value}" for title, value in rows)


def _warnings(findings: tuple[Finding, ...]) -> str:
    codes = sorted({finding.code for finding in findings if finding.level == "warn"})
    if not codes:
        return "none warns"
    return f"{counted(len(codes), 'rule')} {'warns' if len(codes) == 1 else 'warn'}: {', '.join(codes)}"


def _approved(given: tuple[Approval, ...], required: int) -> str:
    names = f" ({', '.join(one.name for one in given)})" if given else ""
    return f"{len(given)} of {required} needed{names}" if required else f"none is needed{names}"


@click.command(cls=Command)
@ISSUE
@LIST
@click.option("--dry-run", is_flag=True, help="Show the plan and send nothing.")
@click.option("--yes", is_flag=True, help="Send without asking; for scripts.")
@click.option("--leave-to-workers", is_flag=True, help="Only begin it, and watch; 'newsletter worker' sends.")
@click.option("--no-test", is_flag=True, help="Send although no test copy of exactly this was sent.")
@click.option("--at", metavar="WHEN", help="Send later: 'Friday 16:00', 'tomorrow 9:00', 'in 2 hours'.")
@click.option("--timezone", metavar="ZONE", help="Where it is that time, as America/New_York; by default here.")
@click.option("--reader-time", is_flag=True, help="Everybody has it at that time of their own day.")
def send(  # noqa: PLR0913 - one argument for each thing that can be said of a send
    *,
    issue: str | None,
    list_name: str | None,
    dry_run: bool,
    yes: bool,
    leave_to_workers: bool,
    no_test: bool,
    at: str | None,
    timezone: str | None,
    reader_time: bool,
) -> None:
    """Send an issue to a list.

    The plan comes first, then a question, then the mail. It refuses while a check blocks, an approval is missing, or no
    test copy was sent of the issue as it is (exit code 1). Stopped by whatever, run it again: it goes on where it
    stopped, and nobody gets a second copy. When it cannot know whether a copy left, it holds that one and says so. Exit
    code 75: somebody else is sending, or the carrier asks for patience; try later.

    With --at it is put on the agenda ('newsletter scheduled'), and 'newsletter run' sends it.
    """
    from newsletter.desk import posting, scheduling  # noqa: PLC0415
    from newsletter.desk.project import open_desk  # noqa: PLC0415

    if at is None and (timezone or reader_time):
        raise click.UsageError("--timezone and --reader-time belong to --at")
    when = scheduling.moment(at, timezone) if at else None
    with posting.open_posting(open_desk(project_folder()), issue, list_name) as work:
        say_findings(work.checked.file.file, work.checked.findings)
        plan = work.plan()
        say_plan(plan, work)
        if dry_run:
            click.echo("Nothing was sent: this was a dry run.")
        elif when is not None:
            planned = scheduling.schedule(work, plan, when, by_reader=reader_time, no_test=no_test)
            for number in planned.replaced:
                click.echo(f"number {number} on the agenda is cancelled: this takes its place")
            click.echo(f"number {planned.planned.id} on the agenda: {scheduling.described(planned.planned)}")
        else:
            work.allow(plan, no_test=no_test)
            work.refuse_to_go_on(plan)
            if plan.state != "finished" and not yes:
                _ask(plan.to_send)
            carry(work, plan, no_test=no_test, leave=leave_to_workers)


def _ask(count: int) -> None:
    """Ask before anything leaves. Raises UsageError where nobody sits at a terminal."""
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is here to ask; add --yes to send without asking")
    click.confirm(f"Send to {counted(count, 'reader')}?", abort=True)


def carry(work: Posting, plan: Plan, *, no_test: bool = False, late_ok: bool = False, leave: bool = False) -> None:
    """Send as planned, show how far it is, and say at the end how the mailing stands, however it ended."""
    begun = time.monotonic()
    before = plan.status.accepted if plan.status else 0
    try:
        if leave:
            work.leave(plan, no_test=no_test, late_ok=late_ok)
            click.echo(f"{plan.mailing}: left to the workers")
        with progress() as told:
            summary = (
                work.watch(told)
                if leave
                else work.send(plan, told, no_test=no_test, late_ok=late_ok, heard=_say_stopping)
            )
        if summary.nothing_to_do:
            click.echo(f"{summary.status.mailing}: finished before, nothing to send.")
    finally:
        say_end(work, before, time.monotonic() - begun)


def _say_stopping() -> None:
    """Answer a signal. It may come in the middle of any other line, so nothing of Python's own is used."""
    os.write(2, f"{os.linesep * os.isatty(2)}{STOPPING}".encode())


def say_end(work: Posting, before: int, seconds: float) -> None:
    """Write the law of the ledger with its numbers, how long it took, and who is unknown."""
    from newsletter.desk.mailings import law  # noqa: PLC0415

    status = work.status()
    if status is None:
        return
    sent = status.accepted - before
    speed = f", {sent / seconds:,.0f} a second" if sent and seconds >= 1 else ""
    click.echo(f"{law(status)}\n{sent:,} accepted by this run, in {duration(seconds)}{speed}")
    say_unknown(work.unknown())


def say_plan(plan: Plan, work: Posting) -> None:
    """Write what a send would do."""
    state = {"new": "new", "resume": "goes on where it stopped", "finished": "finished before"}[plan.state]
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in plan.audience.excluded.items() if count)
    rows = [
        ("mailing", f"{plan.mailing} ({state})"),
        ("subject", work.checked.edition.subject),
        ("readers", f"{plan.to_send:,} to send to" + (f"; left out: {left_out}" if left_out else "")),
        ("copies", counted(len(plan.audience.variants), "choice") + " of countries"),
        ("carrier", f"{plan.provider}, {counted(plan.requests, 'request')}"),
        ("pace", _pace(plan)),
    ]
    if plan.state == "new":
        rows += _ready(work.ready)
    click.echo(_table(rows))


def _pace(plan: Plan) -> str:
    at_once = f"{plan.connections} at once" if plan.connections > 1 else "one after the other"
    rate = f"{plan.rate:,g} a second agreed" if plan.rate is not None else "no rate agreed"
    return f"{at_once}, {rate}" + (f": {duration(plan.seconds)}" if plan.seconds is not None else "")


def _ready(ready: Readiness) -> list[tuple[str, str]]:
    tested = "a copy of exactly this was sent" if ready.tested else "no copy of it as it is now was sent yet"
    return [("approved", _approved(ready.approvals, ready.required)), ("test", tested)]


def say_unknown(readers: tuple[UnknownReader, ...]) -> None:
    """List the readers whose copy may or may not have left."""
    if not readers:
        return
    click.echo("Unknown: their copy may or may not have left, and is not sent again by itself:")
    for one in readers[:LISTED]:
        click.echo(f"  reader {one.reader}: {one.detail}")
    if len(readers) > LISTED:
        click.echo(f"  and {len(readers) - LISTED:,} more")


COMMANDS: tuple[click.Command, ...] = (test, approve, send)
