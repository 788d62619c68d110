"""Commands for mailings that have begun: status, pause, resume, cancel, reconcile, verify."""

from __future__ import annotations

import itertools
import re
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from newsletter.cli.base import Command, project_folder
from newsletter.cli.readers import FORMAT
from newsletter.cli.sending import BY, carry, say_end, say_plan, say_unknown
from newsletter.cli.show import as_json, columns

if TYPE_CHECKING:
    from newsletter.desk.mailings import Change
    from newsletter.mailing.ledger import MailingStatus

LOOK_EVERY = 1.0  # seconds; how often --watch looks
MAILING = click.argument("mailing")
HEADER = ("mailing", "readers", "accepted", "rejected", "left", "unknown", "pending", "", "started", "carrier")


@click.command(cls=Command)
@click.argument("mailing", required=False)
@click.option("--watch", is_flag=True, help="Follow MAILING, or the newest one, until it ends or stops.")
@FORMAT
def status(mailing: str | None, watch: bool, style: str) -> None:
    """Show how mailings stand, newest first.

    With the name of a MAILING, also what people did to it and the readers whose copy may or may not have left.
    For every mailing, readers = accepted + rejected + left + unknown + pending.
    """
    from newsletter.desk import mailings  # noqa: PLC0415 - --help must not pay for what a command needs
    from newsletter.desk.project import open_desk  # noqa: PLC0415

    desk = open_desk(project_folder())
    if watch:
        _watch(mailings.watch(desk, mailing, lambda: time.sleep(LOOK_EVERY)))
        return
    found = mailings.statuses(desk, mailing)
    if style == "json":
        click.echo(as_json([mailings.status_record(one) for one in found]))
    elif not found:
        click.echo("nothing has been sent yet")
    else:
        click.echo(columns((_row(one) for one in found), HEADER))
    if mailing and style == "text":
        if found[0].reason:
            click.echo(f"{found[0].state}: {found[0].reason}")
        for act in mailings.acts(desk, mailing):
            click.echo(f"{act.at:%Y-%m-%d %H:%M}Z  {act.what} by {act.by}" + (f": {act.detail}" if act.detail else ""))
        say_unknown(mailings.unknown_readers(desk, mailing))


def _row(one: MailingStatus) -> tuple[object, ...]:
    from newsletter.desk.mailings import standing  # noqa: PLC0415

    numbers = (one.audience, one.accepted, one.rejected, one.left, one.unknown, one.pending)
    started = f"{one.started:%Y-%m-%d %H:%M}Z" if one.started else "-"
    return (one.mailing, *(f"{number:,}" for number in numbers), standing(one), started, one.provider)


def _watch(standings: Iterable[MailingStatus]) -> None:
    """Follow a mailing: in place on a terminal, elsewhere with a line for each change."""
    from newsletter.desk.mailings import law  # noqa: PLC0415

    if not sys.stdout.isatty():
        for line, _ in itertools.groupby(map(law, standings)):
            click.echo(line)
        return
    from rich.live import Live  # noqa: PLC0415 - only where somebody looks
    from rich.text import Text  # noqa: PLC0415 - the same

    with Live(auto_refresh=False) as shown:
        for one in standings:
            shown.update(Text(columns([_row(one)], HEADER) + (f"\n{one.reason}" if one.reason else "")), refresh=True)


@click.command(cls=Command)
@MAILING
@BY
def pause(mailing: str, by: str) -> None:
    """Let a mailing rest, also while it is being sent.

    Its sender stops before the next group of readers.
    """
    _change(mailing, "pause", by)


@click.command(cls=Command)
@MAILING
@BY
def cancel(mailing: str, by: str) -> None:
    """End a mailing for good.

    Who has their copy keeps it; nobody else gets one, and it cannot be taken up again.
    """
    _change(mailing, "cancel", by)


def _change(mailing: str, what: Change, by: str) -> None:
    from newsletter.desk import mailings  # noqa: PLC0415
    from newsletter.desk.project import open_desk  # noqa: PLC0415

    click.echo(mailings.change(open_desk(project_folder()), mailing, what, by))


@click.command(cls=Command)
@MAILING
@BY
@click.option("--late", is_flag=True, help="Go on although it is older than 'max_age' in the settings.")
def resume(mailing: str, by: str, late: bool) -> None:
    """Let a mailing go on that was paused or stopped.

    It sends the rest of it, as send does. One that is older than 'max_age' below 'send' in the settings asks first: old
    news may do harm.
    """
    from newsletter.desk import mailings  # noqa: PLC0415
    from newsletter.desk.project import open_desk  # noqa: PLC0415

    desk = open_desk(project_folder())
    with mailings.open_mailing(desk, mailing) as work:
        plan = work.plan()
        say_plan(plan, work)
        if plan.late and not late:
            if not sys.stdin.isatty():
                raise click.UsageError(f"{mailing} is old, and nobody is here to ask; add --late to go on with it")
            click.confirm(f"{mailing} is old. Send it to the rest of its readers?", abort=True)
        click.echo(mailings.change(desk, mailing, "resume", by))
        carry(work, plan, late_ok=plan.late)


@click.command(cls=Command)
@MAILING
@click.option("--delivered", metavar="IDS", help="Readers who have their copy: 17 or 17,23,42.")
@click.option("--not-delivered", metavar="IDS", help="Readers who surely have none; they are sent one.")
@click.option("--by", metavar="NAME", help="Who says so; written down.")
def reconcile(mailing: str, delivered: str | None, not_delivered: str | None, by: str | None) -> None:
    """Find out about readers whose copy may or may not have left.

    Asks the carrier, where it can be asked. Or takes your word: who has it according to the carrier's pages, or a
    telephone call, and who has it not.
    """
    from newsletter.desk import mailings  # noqa: PLC0415
    from newsletter.desk.project import open_desk  # noqa: PLC0415

    verdicts = {**dict.fromkeys(_ids(delivered), True), **dict.fromkeys(_ids(not_delivered), False)}
    if len(verdicts) < len(_ids(delivered)) + len(_ids(not_delivered)):
        raise click.UsageError("a reader either has it or has it not")
    if bool(verdicts) != bool(by):
        raise click.UsageError("--by NAME and the readers of --delivered or --not-delivered belong together")
    desk = open_desk(project_folder())
    if verdicts and by:
        click.echo(mailings.take_word(desk, mailing, verdicts, by))
        return
    with mailings.open_mailing(desk, mailing) as work:
        begun, before = time.monotonic(), work.accepted()
        click.echo(f"{mailing}: the carrier knew of {work.reconcile():,}")
        say_end(work, before, time.monotonic() - begun)


def _ids(text: str | None) -> frozenset[int]:
    words = re.findall(r"[^\s,]+", text or "")
    if not all(word.isascii() and word.isdecimal() for word in words):
        raise click.UsageError(f"'{text}' are no readers' ids; write them like 17,23,42")
    return frozenset(map(int, words))


@click.command(cls=Command)
@MAILING
@click.option("--readers", is_flag=True, help="Say of every reader, by id, how they fared.")
@FORMAT
def verify(mailing: str, readers: bool, style: str) -> None:
    """Count a mailing reader by reader and make its edition anew.

    Exit code 1 when a sum does not agree with the readers, or when the issue has changed before everybody has it.
    """
    from newsletter.desk import mailings  # noqa: PLC0415
    from newsletter.desk.project import open_desk  # noqa: PLC0415

    desk = open_desk(project_folder())
    found = mailings.verify(desk, mailing)
    fates = mailings.fates(desk, mailing) if readers else iter(())
    if style == "json":
        named = [{"reader": reader, "fate": fate, "detail": detail} for reader, fate, detail in fates]
        click.echo(as_json({**mailings.verified_record(found), **({"readers": named} if readers else {})}))
    else:
        click.echo(mailings.law(found.status))
        click.echo("\n".join(found.faults) or "every sum agrees with a count reader by reader")
        click.echo(f"digest {found.frozen[:12]}: {found.changed or 'the issue as it is now is what was sent'}")
        for reader, fate, detail in fates:
            click.echo(f"{reader}  {fate}" + (f"  {detail}" if detail and fate != "accepted" else ""))
    if not found.right:
        click.get_current_context().exit(1)


COMMANDS: tuple[click.Command, ...] = (status, pause, resume, cancel, reconcile, verify)
