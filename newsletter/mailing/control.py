"""Pauses, resumes and cancels a mailing: one update that a running sender sees at its next claim, and who did it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, insert, select, update

from newsletter.database.engine import reading, writing
from newsletter.errors import NewsletterError
from newsletter.mailing.ledger import Mailing
from newsletter.mailing.person import named
from newsletter.mailing.tables import AnyRow, act, mailing

# What may become of a mailing in which state. A cancelled one stays so: its readers may be told something else since.
_FROM = {
    "paused": ("sending", "stopped"),
    "sending": ("paused", "stopped"),
    "cancelled": ("sending", "paused", "stopped"),
}
_DONE = {"paused": "paused", "sending": "resumed", "cancelled": "cancelled"}


@dataclass(frozen=True)
class Act:
    """What somebody did to a mailing. `what` is paused, resumed, cancelled, or what was said of a reader."""

    at: dt.datetime
    by: str
    what: str
    detail: str


def pause(engine: Engine, name: str, by: str, now: dt.datetime) -> bool:
    """Let a mailing rest until it is resumed; False when it rests already.

    Raises NewsletterError for a mailing that is not there, finished or cancelled, as `resume` and `cancel` do.
    """
    return _change(engine, name, "paused", by, now)


def resume(engine: Engine, name: str, by: str, now: dt.datetime) -> bool:
    """Let a mailing go on that was paused or stopped; False when nothing keeps it. It sends nothing by itself."""
    return _change(engine, name, "sending", by, now)


def cancel(engine: Engine, name: str, by: str, now: dt.datetime) -> bool:
    """End a mailing for good: who is pending stays without a copy. False when that was done before."""
    return _change(engine, name, "cancelled", by, now)


def _change(engine: Engine, name: str, state: str, by: str, now: dt.datetime) -> bool:
    person = named(by)
    reason = "" if state == "sending" else f"{_DONE[state]} by {person}"
    with writing(engine) as connection:
        free = mailing.c.state.in_(_FROM[state]) & mailing.c.finished_at.is_(None)
        changed = connection.execute(
            update(mailing).where(mailing.c.name == name, free).values(state=state, reason=reason)
        )
        one = _find(connection, name)
        if changed.rowcount == 0:
            _refuse(one, state)
            return False
        row = {"mailing": one.id, "at": now, "by": person, "what": _DONE[state], "detail": ""}
        connection.execute(insert(act).values(row))
    return True


def _find(connection: Connection, name: str) -> AnyRow:
    one = connection.execute(select(mailing).where(mailing.c.name == name)).one_or_none()
    if one is None:
        raise NewsletterError(f"there is no mailing '{name}'; 'newsletter status' lists them all")
    return one


def _refuse(one: AnyRow, state: str) -> None:
    """Raise NewsletterError for what cannot be, and nothing when all is as it was asked for."""
    if one.finished_at is not None:
        raise NewsletterError(f"{one.name}: finished on {one.finished_at:%Y-%m-%d %H:%M} UTC; nothing is left to send")
    if one.state == "cancelled" != state:
        raise NewsletterError(f"{one.name}: {one.reason}, and that is for good; 'newsletter status' says who has it")


def find(engine: Engine, name: str) -> Mailing:
    """Return a mailing by its name. Raises NewsletterError when it is not there."""
    with reading(engine) as connection:
        row = _find(connection, name)
    return Mailing(*(getattr(row, column) for column in Mailing.__dataclass_fields__))


def acts(engine: Engine, name: str) -> tuple[Act, ...]:
    """Return what people did to a mailing, in order. Raises NewsletterError when it is not there."""
    with reading(engine) as connection:
        one = _find(connection, name)
        rows = connection.execute(
            select(act.c.at, act.c.by, act.c.what, act.c.detail).where(act.c.mailing == one.id).order_by(act.c.id)
        )
        return tuple(Act(*row) for row in rows)
