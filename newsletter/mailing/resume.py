"""Whether a mailing that was begun may go on with what is asked for now: the edition, the carrier and its place."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Connection

from newsletter.edition.model import Edition
from newsletter.errors import StoppedError, TryLaterError
from newsletter.mailing import lease, ledger
from newsletter.mailing.claims import halted_line
from newsletter.mailing.ledger import Mailing, MailingStatus
from newsletter.providers.base import Guard, Provider


def refuse_second_sender(connection: Connection, one: Mailing, now: dt.datetime) -> None:
    """Raise TryLaterError when another sender is at work on a mailing."""
    present = lease.holder(connection, one.id, lease.this_process(), now)
    if present is not None:
        raise TryLaterError(f"{one.name}: {present}; try again when that is done")


def refuse_halted(one: Mailing | MailingStatus) -> None:
    """Raise StoppedError when a person has paused or cancelled a mailing; a carrier's refusal is tried again."""
    if one.state in ("paused", "cancelled"):
        name = one.name if isinstance(one, Mailing) else one.mailing
        raise StoppedError(f"{name}: {halted_line(one.state, one.reason)}")


def is_late(one: Mailing, max_age: dt.timedelta, now: dt.datetime) -> bool:
    """Say whether a mailing is under way for so long that a person should say whether it still is news."""
    return one.finished_at is None and one.started_at is not None and now - one.started_at > max_age


def refuse_late(one: Mailing, max_age: dt.timedelta, now: dt.datetime) -> None:
    """Raise StoppedError when a mailing began longer ago than `max_age`."""
    if is_late(one, max_age, now):
        raise late(one.name)


def late(name: str) -> StoppedError:
    """Say that a mailing began too long ago to go on without a person's word."""
    return StoppedError(
        f"{name}: it began longer ago than 'max_age' in the settings; if it is still news, 'newsletter resume {name}"
        " --late' sends the rest"
    )


def is_same(one: Mailing, edition: Edition, provider: Provider) -> bool:
    """Say whether a mailing was frozen with this edition for this kind of carrier."""
    return one.digest == edition.digest and one.provider == provider.name


def may_go_on(connection: Connection, one: Mailing, edition: Edition, provider: Provider) -> bool:
    """Say whether a mailing found in the ledger is this one; False when nothing of it left, so it may be frozen anew.

    Raises StoppedError when it is under way with another edition or carrier, or the carrier's place has changed.
    """
    same = is_same(one, edition, provider)
    moved = provider.guard is not Guard.NONE and one.carrier_place != provider.place()
    if one.finished_at is not None:
        if same and moved and ledger.has_unknown(connection, one.id):
            raise StoppedError(_moved(one, provider))
        return True
    if same and not moved:
        return True
    if ledger.nothing_left_yet(connection, one):
        return False
    raise StoppedError(_moved(one, provider) if same else _changed(one, edition))


def _changed(one: Mailing, edition: Edition) -> str:
    what = "the carrier in newsletter.yaml has changed"
    if one.digest != edition.digest:
        what = "the issue, a template or newsletter.yaml has changed, or the program was upgraded,"
    return (
        f"{one.name}: {what} since this mailing was frozen on {one.created_at:%Y-%m-%d %H:%M} UTC, and part of its"
        " readers have it already; bring back what has changed ('git diff' shows it), then send again"
    )


def _moved(one: Mailing, provider: Provider) -> str:
    return (
        f"{one.name}: this mailing was begun with {one.provider} at {one.carrier_place}, and only there can be told who"
        f" has it already, not at {provider.place()}; bring that setting back in newsletter.yaml, then send again"
    )
