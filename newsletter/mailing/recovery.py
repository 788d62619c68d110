"""Puts in order what a dead sender or worker left.

Nothing is ever tried again blindly: a lost request and a lost answer look the same from here. What was under way stays
unknown unless the carrier makes no second copy of the same message; what surely did not leave is ready again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Container

from sqlalchemy import Connection, Engine, and_, func, select, update

from newsletter.database.engine import writing
from newsletter.mailing import flight, lease, ledger
from newsletter.mailing.claims import rest_state
from newsletter.mailing.flight import Found
from newsletter.mailing.lease import Lease, Process
from newsletter.mailing.ledger import IN_DOUBT, LOST, Mailing
from newsletter.mailing.letters import Letter
from newsletter.mailing.outcomes import close_attempt, has, note_fates
from newsletter.mailing.tables import AnyRow, attempt, chunk, delivery, exception
from newsletter.providers.base import Guard, MessageCarrier, Outcome, Provider

INTERRUPTED = "the sender was interrupted while this was under way"
UNHEARD = "the database was lost before its claim was heard of; nothing left"


def sweep(connection: Connection, one: Mailing, provider: Provider, here: Process, now: dt.datetime) -> int:
    """Settle every chunk that somebody was sending who is gone, as far as what they wrote can be believed.

    Returns how many there were.
    """
    sending = select(chunk).where(chunk.c.mailing == one.id, chunk.c.state == "sending")
    rows = connection.execute(sending.with_for_update(skip_locked=True)).all()
    owners = {owner: lease.owner_row(connection, owner) for owner in {row.owner for row in rows}}
    gone = {owner for owner, row in owners.items() if lease.is_gone(row, here, now)}
    left = [row for row in rows if row.owner in gone]
    for row in left:
        _settle(connection, row, provider, flight.find(connection, row, owners[row.owner], here), now)
    if left:
        ledger.mark_finished(connection, one.id, now)
    return len(left)


def free_unheard(
    engine: Engine,
    held: Lease,
    heard: Container[str],
    now: dt.datetime,
    busy: Container[tuple[int, int]] = (),
) -> None:
    """Give chunks back whose claim was stored, but the answer lost: nobody carries them, and nothing of them left.

    `heard` are the tokens of all claims that were heard of, under this lease; `busy` are mailing and number of chunks
    that somebody is claiming or carrying just now.
    """
    ours = select(chunk).where(chunk.c.state == "sending", chunk.c.owner == held.owner)
    with writing(engine) as connection:
        for row in connection.execute(ours.with_for_update()).all():
            if row.token not in heard and (row.mailing, row.seq) not in busy:
                _land(connection, row, row.done, "ready")
                close_attempt(connection, row.token, "not sent", UNHEARD, now)


def _settle(connection: Connection, row: AnyRow, provider: Provider, found: Found | None, now: dt.datetime) -> None:
    again = provider.guard in (Guard.REPEATABLE, Guard.KEY)
    if again:
        _land(connection, row, row.done, "ready")
        if provider.guard is Guard.KEY:
            _keep_doubt(connection, row, now)
    elif isinstance(provider, MessageCarrier) and found is not None:
        _give_up_flight(connection, row, found, now)
    else:
        _doubt(connection, row, now)
        _land(connection, row, row.done, rest_state(provider))
    close_attempt(connection, row.token, IN_DOUBT if again else "interrupted", INTERRUPTED, now)


def _keep_doubt(connection: Connection, row: AnyRow, now: dt.datetime) -> None:
    """Note since when the carrier may have the chunk: the time in which it takes the same key again began then."""
    claimed = select(attempt.c.started_at).where(attempt.c.token == row.token).scalar_subquery()
    since = func.coalesce(chunk.c.doubt_since, claimed, now)
    connection.execute(
        update(chunk).where(chunk.c.mailing == row.mailing, chunk.c.seq == row.seq).values(doubt_since=since)
    )


def _give_up_flight(connection: Connection, row: AnyRow, found: Found, now: dt.datetime) -> None:
    """Call the one message unknown that was under way; what stands before it is settled, the rest did not leave."""
    if found.flight is None:
        _land(connection, row, found.done, "ready")
        return
    own = and_(exception.c.mailing == row.mailing, exception.c.seq == found.flight)
    changed = connection.execute(update(exception).where(own).values(kind="unknown", detail=INTERRUPTED, at=now))
    if changed.rowcount == 0:
        reader = select(delivery.c.reader).where(delivery.c.mailing == row.mailing, delivery.c.seq == found.flight)
        letter = Letter(found.flight, connection.execute(reader).scalar_one(), "", "", frozenset())
        note_fates(connection, row.mailing, row.seq, {letter: (Outcome.UNKNOWN, INTERRUPTED)}, now)
    _land(connection, row, max(found.done, found.flight - row.first + 1), "ready")


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
