"""Puts in order what a dead sender left, and asks the carrier about messages that may or may not have left.

Nothing is ever tried again blindly: a lost request and a lost answer look the same from here. A reader is pending again
only when it is certain that the message did not leave, or when the carrier makes no second copy of the same message.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, and_, exists, func, or_, select, update

from newsletter.database.engine import reading, writing
from newsletter.mailing import batches, lease, ledger
from newsletter.mailing.lease import Lease
from newsletter.mailing.ledger import LOST, Mailing
from newsletter.mailing.letters import Letter, read_letters
from newsletter.mailing.message import Compiler
from newsletter.mailing.outcomes import close_attempt, has, note_fates
from newsletter.mailing.tables import AnyRow, attempt, chunk, delivery, exception
from newsletter.providers.base import BatchCarrier, Guard, MessageCarrier, Outcome, Provider

INTERRUPTED = "the sender was interrupted while this was under way"

Choices = Mapping[int, frozenset[int]]


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
        close_attempt(connection, row.token, "interrupted", INTERRUPTED, now)


def rest_state(provider: Provider) -> str:
    """Say where readers in doubt wait: for the carrier's word, or for a person's."""
    return "unknown" if provider.guard is Guard.LOOKUP else "held"


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


@dataclass(frozen=True)
class Inquiry:
    """What is needed to ask a carrier about a mailing's readers."""

    engine: Engine
    provider: Provider
    compiler: Compiler
    mailing: Mailing
    held: Lease
    choices: Choices


def reconcile(inquiry: Inquiry, now: dt.datetime) -> None:
    """Ask the carrier about every unknown reader, and write down what it says. What it cannot say stays unknown."""
    with reading(inquiry.engine) as connection:
        rows = connection.execute(_doubtful(inquiry.mailing)).all()
    for row in rows:
        with reading(inquiry.engine) as connection:
            letters = _in_doubt(connection, row, inquiry)
        answers = ask(inquiry, row, letters, now)
        if answers:
            with writing(inquiry.engine) as connection:
                lease.renew(connection, inquiry.held, now)
                _resolve(connection, row, letters, answers, now)
                ledger.mark_finished(connection, inquiry.mailing.id, now)


def _doubtful(mailing: Mailing):  # type: ignore[no-untyped-def]
    unknown = exists().where(
        exception.c.mailing == chunk.c.mailing, exception.c.chunk == chunk.c.seq, exception.c.kind == "unknown"
    )
    doubtful = or_(chunk.c.state.in_(LOST), and_(chunk.c.state != "sending", unknown))
    first_left = select(func.min(attempt.c.started_at)).where(_of_the_chunk()).scalar_subquery()
    last_left = select(func.max(attempt.c.ended_at)).where(_of_the_chunk()).scalar_subquery()
    return (
        select(chunk, first_left.label("first_left"), last_left.label("last_left"))
        .where(chunk.c.mailing == mailing.id, doubtful)
        .order_by(chunk.c.first)
    )
