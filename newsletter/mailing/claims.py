"""Takes chunks out of the ledger: the intent is on the disk before a byte leaves.

A claim commits with synchronous=FULL, and may settle the chunk before it in the same commit. The outcome is written by
the claim's token; when another sender has taken over meanwhile, the token is not there and nothing more may leave.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Engine, Select, and_, bindparam, func, insert, literal, or_, select, update

from newsletter.database.columns import Moment
from newsletter.database.engine import reading, writing
from newsletter.errors import StoppedError
from newsletter.mailing import bucket, encode, lease, ledger, outcomes
from newsletter.mailing.flight import book_mark, server_start
from newsletter.mailing.lease import LEASE, Lease, LostLeaseError
from newsletter.mailing.ledger import Mailing
from newsletter.mailing.letters import Letter, waiting
from newsletter.mailing.outcomes import Claim, Result, note
from newsletter.mailing.tables import AnyRow, attempt, chunk
from newsletter.mailing.tables import mailing as mailing_table
from newsletter.providers.base import BatchCarrier, Guard, Provider

OUT_OF_TIME = "the carrier may have it, and the time in which it takes the same key again is over"

Found = Sequence[tuple[Letter, str | None]]

# Made once: these run for every chunk, and making them takes longer than executing them.
_THIS = and_(chunk.c.mailing == bindparam("of_mailing"), chunk.c.seq == bindparam("of_chunk"))
_CHANGE = update(chunk).where(_THIS)
_TAKE = _CHANGE.where(chunk.c.state == "ready")
_READ = select(chunk).where(_THIS)
_TOKEN = select(chunk.c.token).where(_THIS)
_STATE = select(mailing_table.c.state, mailing_table.c.reason).where(mailing_table.c.id == bindparam("mailing"))
_READY = select(chunk).where(chunk.c.mailing == bindparam("mailing"), chunk.c.state == "ready").limit(1)
_UNTRIED = _READY.where(chunk.c.not_before.is_(None), chunk.c.done < chunk.c.n).with_for_update(skip_locked=True)
_FIRST, _LAST = _UNTRIED.order_by(chunk.c.first), _UNTRIED.order_by(chunk.c.first.desc())
_DUE = _READY.where(or_(chunk.c.not_before.is_(None), chunk.c.not_before <= bindparam("now")))
_DUE = _DUE.with_for_update(skip_locked=True)
_ONLY = _DUE.where(chunk.c.seq == bindparam("only"))
_LONGEST_WAITING = _DUE.order_by(chunk.c.not_before.nulls_first(), chunk.c.first)
_ATTEMPT = insert(attempt)


class HaltedError(StoppedError):
    """Somebody has paused or cancelled the mailing, or another sender of it was told to stop."""


@dataclass(frozen=True)
class Held:
    """Nobody may call the carrier before a moment."""

    until: dt.datetime


@dataclass(frozen=True)
class Taker:
    """One who takes chunks of a mailing, for a carrier, under a lease."""

    engine: Engine
    held: Lease
    mailing: Mailing
    choices: Mapping[int, frozenset[int]]
    provider: Provider


def carrier_name(provider: Provider) -> str:
    """Name the account whose patience all senders share."""
    return f"{provider.name}/{provider.place() or provider.describe()}"[:250]


def may_be_asked(provider: Provider) -> bool:
    """Say whether a carrier can be asked what it has of a request that is in doubt."""
    own_lookup = isinstance(provider, BatchCarrier) and type(provider).lookup is not BatchCarrier.lookup
    return provider.guard is Guard.LOOKUP or (provider.guard is Guard.KEY and own_lookup)


def rest_state(provider: Provider) -> str:
    """Say where readers in doubt wait: for the carrier's word, or for a person's."""
    return "unknown" if may_be_asked(provider) else "held"


def claim(
    taker: Taker,
    now: dt.datetime,
    *,
    settle: tuple[Claim, Result] | None = None,
    other_end: bool = False,
    only: int | None = None,
) -> Claim | Held | None:
    """Claim the next chunk that is ready, of those not tried yet the first, or at the `other_end` the last.

    With `only`, that chunk and no other. None when there is none. Readers who left, were suppressed or cannot be
    reached are recorded in the same transaction, and before all that `settle` is settled. Raises LostLeaseError, with
    which nothing is kept, and HaltedError after settling.
    """
    with writing(taker.engine) as connection:
        if settle is not None:
            outcomes.settle_in(connection, *settle, now)
        lease.hold(connection, taker.held, now)
        halted = _halted(connection, taker.mailing.id)
        found = None if halted else _claim(connection, taker, now, other_end=other_end, only=only)
    if halted:
        raise HaltedError(f"{taker.mailing.name}: {halted}")
    return found


def _halted(connection: Connection, mailing: int) -> str:
    row = connection.execute(_STATE, {"mailing": mailing}).one_or_none()
    if row is None:
        return "this mailing is no longer there"
    return "" if row.state == "sending" else halted_line(row.state, row.reason)


def halted_line(state: str, reason: str) -> str:
    """Say why nothing more of a mailing leaves."""
    said = f"{state}{': ' if reason else ''}{reason}"
    return f"{said}; nothing more of it is sent" if state == "cancelled" else f"{said}; 'newsletter resume' goes on"


def _claim(
    connection: Connection, taker: Taker, now: dt.datetime, *, other_end: bool, only: int | None
) -> Claim | Held | None:
    until = bucket.held_until(connection, carrier_name(taker.provider), now)
    if until is not None:
        return Held(until)
    sifted = 0
    while (row := _next(connection, taker.mailing.id, now, other_end=other_end, only=only)) is not None:
        book = book_mark(connection)  # before the letters: who leaves in between is noticed
        found = waiting(connection, row, taker.mailing, taker.choices)
        if row.doubt_since is not None and not _may_repeat(taker, row, found, now):
            _doubt(connection, row, rest_state(taker.provider))
            continue
        letters = _sift(connection, row, found, now)
        sifted += len(found) - len(letters)
        if letters:
            claimed = _intend(connection, taker, row, letters, now)
            return replace(claimed, sifted=sifted, fresh=row.done < row.n and row.not_before is None, book=book)
        connection.execute(_CHANGE, {**_of(row), "state": "accepted", "done": row.n, "not_before": None})
    return None


def _next(
    connection: Connection, mailing: int, now: dt.datetime, *, other_end: bool, only: int | None
) -> AnyRow | None:
    """Choose a chunk: one that nobody has put off, else the one that waits longest.

    So nobody waits for a reader whom the carrier puts off for days, and of those each has a turn. Whoever else claims
    at the same time chooses another one.
    """
    which = {"mailing": mailing, "now": now}
    if only is not None:
        return _one(connection, _ONLY, {**which, "only": only})
    return _one(connection, _LAST if other_end else _FIRST, which) or _one(connection, _LONGEST_WAITING, which)


def _one(connection: Connection, query: Select[Any], which: Mapping[str, object]) -> AnyRow | None:
    return connection.execute(query, which).one_or_none()


def _may_repeat(taker: Taker, row: AnyRow, found: Found, now: dt.datetime) -> bool:
    """Say whether the same key with the same bytes is still safe: nobody of the chunk left, and it is early enough."""
    unchanged = row.payload_sha256 == _payload(taker.mailing, [letter for letter, _ in found])
    in_time = _in_time(taker.provider, row.doubt_since, now)
    return unchanged and in_time and not any(why_not for _, why_not in found)


def _in_time(provider: Provider, since: dt.datetime, now: dt.datetime) -> bool:
    return 0 <= (now - since).total_seconds() < provider.window  # before it: the clock was set back


def _doubt(connection: Connection, row: AnyRow, rest: str) -> None:
    """Leave a chunk to the carrier's word, or to a person's."""
    values = {"state": rest, "not_before": None, "doubt_since": None, "last_error": OUT_OF_TIME}
    connection.execute(_CHANGE, {**_of(row), **values})


def _sift(connection: Connection, row: AnyRow, letters: Found, now: dt.datetime) -> tuple[Letter, ...]:
    """Record who must not or cannot be sent this, and return the others."""
    kept = []
    for letter, why_not in letters:
        if why_not is not None:
            note(connection, row.mailing, row.seq, letter, "left", why_not, now)
        elif (fault := encode.unreachable(letter.address)) is not None:
            note(connection, row.mailing, row.seq, letter, "rejected", fault, now)
        else:
            kept.append(letter)
    return tuple(kept)


def _intend(connection: Connection, taker: Taker, row: AnyRow, letters: tuple[Letter, ...], now: dt.datetime) -> Claim:
    mailing, token = taker.mailing, secrets.token_hex(16)
    payload = _payload(mailing, letters)
    # A carrier that takes a key would refuse the same key with other readers; for the same readers it stays the same.
    same = row.payload_sha256 in ("", payload)
    key = row.idem_key if same else f"{mailing.name}/{row.seq}.{row.attempt}"
    holder = {"state": "sending", "token": token, "owner": taker.held.owner, "lease_until": now + LEASE}
    what = {"attempt": row.attempt + 1, "idem_key": key, "payload_sha256": payload, "not_before": None, "flight": None}
    values = {**holder, **what, "server": server_start(connection)}
    if connection.execute(_TAKE, {**_of(row), **values}).rowcount != 1:
        raise LostLeaseError
    connection.execute(
        _ATTEMPT,
        {
            "token": token,
            "mailing": mailing.id,
            "chunk": row.seq,
            "number": row.attempt + 1,
            "readers": len(letters),
            "payload_sha256": payload,
            "started_at": now,
        },
    )
    ledger.mark_started(connection, mailing.id, now)
    place = (mailing.id, row.seq, row.first, row.n, row.done)
    return Claim(*place, token, key, letters, now, doubt_since=row.doubt_since)


def _payload(mailing: Mailing, letters: Sequence[Letter]) -> str:
    """Hash all that a chunk's messages are made from."""
    choices = sorted({one.chosen for one in letters}, key=sorted)
    number = {choice: place for place, choice in enumerate(choices)}
    made_from = (
        [sorted(choice) for choice in choices],
        [number[one.chosen] for one in letters],
        [one.reader for one in letters],
        [one.address for one in letters],
        [one.name for one in letters],
    )
    return hashlib.sha256(f"{mailing.name}\n{mailing.digest}\n{made_from!r}".encode()).hexdigest()


def leavers(taker: Taker, claim: Claim, rest: Iterable[Letter]) -> Mapping[Letter, str]:
    """Say who of the letters that have not left yet must not be sent any more, and why."""
    wanted = {letter.reader: letter for letter in rest}
    with reading(taker.engine) as connection:
        row = connection.execute(_READ, {"of_mailing": claim.mailing, "of_chunk": claim.chunk}).one()
        found = waiting(connection, row, taker.mailing, taker.choices)
    return {wanted[one.reader]: why_not for one, why_not in found if why_not and one.reader in wanted}


def may_leave(taker: Taker, claim: Claim, now: dt.datetime) -> bool:
    """Say whether nothing came up since a chunk was claimed.

    A pause may have, a carrier that asks for patience, a leaver, the end of the time in which the same key is safe.
    Raises LostLeaseError when the claim is not ours any more.
    """
    with reading(taker.engine) as connection:
        where = {"of_mailing": claim.mailing, "of_chunk": claim.chunk}
        if connection.execute(_TOKEN, where).scalar() != claim.token:
            raise LostLeaseError
        if claim.doubt_since is not None and not _in_time(taker.provider, claim.doubt_since, now):
            return False
        if _halted(connection, claim.mailing) or bucket.held_until(connection, carrier_name(taker.provider), now):
            return False
        if book_mark(connection) == claim.book:
            return True
    return not leavers(taker, claim, claim.letters)


def _of(row: AnyRow) -> Mapping[str, object]:
    return {"of_mailing": row.mailing, "of_chunk": row.seq}


def next_due(connection: Connection, mailing: int, now: dt.datetime) -> dt.datetime | None:
    """Say when the next chunk that is ready may be tried, at once if it was not put off; None when there is none."""
    due = func.min(func.coalesce(chunk.c.not_before, literal(now, Moment())))
    found: dt.datetime | None = connection.execute(
        select(due).where(chunk.c.mailing == mailing, chunk.c.state == "ready")
    ).scalar_one()
    return found


def under_way(connection: Connection, mailing: int) -> int:
    """Count the chunks that somebody is sending."""
    query = select(func.count()).where(chunk.c.mailing == mailing, chunk.c.state == "sending")
    return int(connection.execute(query).scalar_one())
