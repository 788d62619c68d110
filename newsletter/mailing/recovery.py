"""Puts in order what a dead sender left.

Nothing is ever tried again blindly: a lost request and a lost answer look the same from here. What was under way stays
unknown unless the carrier makes no second copy of the same message; what surely did not leave is ready again.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Connection, and_, select, update

from newsletter.mailing.carry import rest_state
from newsletter.mailing.lease import Lease
from newsletter.mailing.ledger import IN_DOUBT, LOST
from newsletter.mailing.letters import Letter
from newsletter.mailing.outcomes import close_attempt, has, note_fates
from newsletter.mailing.tables import AnyRow, chunk, delivery, exception
from newsletter.providers.base import Guard, MessageCarrier, Outcome, Provider

INTERRUPTED = "the sender was interrupted while this was under way"


def sweep(connection: Connection, held: Lease, provider: Provider, now: dt.datetime) -> None:
    """Settle every chunk that a dead sender was sending, as far as what it wrote can be believed."""
    rows = connection.execute(select(chunk).where(chunk.c.mailing == held.mailing, chunk.c.state == "sending")).all()
    for row in rows:
        believed = held.trusted and row.owner == held.former
        if provider.guard is Guard.REPEATABLE:
            _land(connection, row, row.done, "ready")
        elif isinstance(provider, MessageCarrier) and believed:
            _give_up_flight(connection, row, now)
        else:
            _doubt(connection, row, now)
            _land(connection, row, row.done, rest_state(provider))
        word = IN_DOUBT if provider.guard is Guard.REPEATABLE else "interrupted"
        close_attempt(connection, row.token, word, INTERRUPTED, now)


def _give_up_flight(connection: Connection, row: AnyRow, now: dt.datetime) -> None:
    """Call the one message unknown that was under way; what stands before it is settled, the rest did not leave."""
    if row.flight is None:
        _land(connection, row, row.done, "ready")
        return
    own = and_(exception.c.mailing == row.mailing, exception.c.seq == row.flight)
    changed = connection.execute(update(exception).where(own).values(kind="unknown", detail=INTERRUPTED, at=now))
    if changed.rowcount == 0:
        reader = select(delivery.c.reader).where(delivery.c.mailing == row.mailing, delivery.c.seq == row.flight)
        letter = Letter(row.flight, connection.execute(reader).scalar_one(), "", "", frozenset())
        note_fates(connection, row.mailing, row.seq, {letter: (Outcome.UNKNOWN, INTERRUPTED)}, now)
    _land(connection, row, max(row.done, row.flight - row.first + 1), "ready")


def _doubt(connection: Connection, row: AnyRow, now: dt.datetime) -> None:
    """Call unknown whoever had been put off before and may have been tried again."""
    deferred = and_(exception.c.mailing == row.mailing, exception.c.chunk == row.seq, exception.c.kind == "deferred")
    connection.execute(update(exception).where(deferred).values(kind="unknown", detail=INTERRUPTED, at=now))


def _land(connection: Connection, row: AnyRow, done: int, rest: str) -> None:
    """Take a chunk out of the dead sender's hands."""
    state = rest
    if done == row.n:
        state = "ready" if has(connection, row.mailing, row.seq, "deferred") else "accepted"
    values = {"state": state, "done": done, "flight": None, "token": None, "owner": None, "lease_until": None}
    error = INTERRUPTED if state in LOST else row.last_error
    connection.execute(
        update(chunk).where(chunk.c.mailing == row.mailing, chunk.c.seq == row.seq).values(**values, last_error=error)
    )
