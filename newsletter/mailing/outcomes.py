"""Writes what became of a claimed chunk, and of the readers who fared otherwise than the rest of it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, and_, bindparam, delete, exists, func, insert, select, update

from newsletter.database.engine import alone, writing
from newsletter.mailing import lease, ledger
from newsletter.mailing.lease import Lease, LostLeaseError
from newsletter.mailing.letters import Letter
from newsletter.mailing.tables import attempt, chunk, exception
from newsletter.providers.base import Outcome

KINDS = {Outcome.REJECTED: "rejected", Outcome.UNKNOWN: "unknown", Outcome.DEFERRED: "deferred"}

# Made once: these run for every chunk, and making them takes longer than executing them.
_CHANGE = update(chunk).where(
    chunk.c.mailing == bindparam("of_mailing"),
    chunk.c.seq == bindparam("of_chunk"),
    chunk.c.token == bindparam("of_token"),
)
_HAS = select(
    exists().where(
        exception.c.mailing == bindparam("mailing"),
        exception.c.chunk == bindparam("chunk"),
        exception.c.kind == bindparam("kind"),
    )
)
_CLOSE = update(attempt).where(attempt.c.token == bindparam("of_token"))

_ADDRESS = re.compile(r"[^\s<>\"'(),;:\[\]]+@[^\s<>\"'(),;:\[\]]+")

PUT_BACK = "put back"  # the word for a claim of which nothing has left

_LONGEST = 2000  # characters

Fates = Mapping[Letter, tuple[Outcome, str]]


@dataclass(frozen=True)
class Claim:
    """A chunk that is ours to send. `letters` are in the order of sending: first those not tried yet, by their seq.

    `sifted` counts the readers who were recorded in the same transaction because they must not be sent this; `fresh`
    says that nobody has put this chunk off before. `book` is the mark of the readers' book as the letters were read;
    `doubt_since` is when a request of this chunk left that may have been taken.
    """

    mailing: int
    chunk: int
    first: int
    n: int
    done: int
    token: str
    key: str
    letters: tuple[Letter, ...]
    at: dt.datetime
    sifted: int = 0
    fresh: bool = False
    book: int = 0
    doubt_since: dt.datetime | None = None

    def done_after(self, attempted: int) -> int:
        """Return the chunk's settled places once so many letters have been tried."""
        if attempted < len(self.letters) and not self.letters[attempted].again:
            return self.letters[attempted].seq - self.first
        return self.n


def without_addresses(detail: str) -> str:
    """Take addresses out of what a carrier said: the ledger holds readers' ids and nothing else of them.

    What no database stores (NUL, half of a surrogate pair, both of which JSON can say) is replaced, and what nobody
    would read to its end is cut.
    """
    return _ADDRESS.sub("(address)", detail[:_LONGEST].replace("\0", "?").encode("utf-8", "replace").decode())


def note(
    connection: Connection, mailing: int, chunk_seq: int, letter: Letter, kind: str, detail: str, now: dt.datetime
) -> None:
    """Write how one reader fared otherwise than the chunk."""
    connection.execute(delete(exception).where(exception.c.mailing == mailing, exception.c.reader == letter.reader))
    row = {"mailing": mailing, "reader": letter.reader, "chunk": chunk_seq, "seq": letter.seq}
    row["taken_back"] = letter.taken_back
    connection.execute(insert(exception).values(**row, kind=kind, detail=without_addresses(detail), at=now))


def note_fates(connection: Connection, mailing: int, chunk_seq: int, fates: Fates, now: dt.datetime) -> None:
    """Write the outcomes of a chunk's readers; who was accepted needs no row, and loses one from an earlier try."""
    for letter, (outcome, detail) in fates.items():
        if outcome is not Outcome.ACCEPTED:
            note(connection, mailing, chunk_seq, letter, KINDS[outcome], detail, now)
        elif letter.again:
            connection.execute(
                delete(exception).where(exception.c.mailing == mailing, exception.c.reader == letter.reader)
            )


def has(connection: Connection, mailing: int, chunk_seq: int, kind: str) -> bool:
    """Say whether a chunk has an exception of a kind."""
    return bool(connection.execute(_HAS, {"mailing": mailing, "chunk": chunk_seq, "kind": kind}).scalar_one())


@dataclass(frozen=True)
class Result:
    """How a claimed chunk ended: how many letters were tried, what became of those that the ledger does not have yet.

    `rest` is the state of a chunk that still has places not settled: ready, or unknown when its request may have left.
    `in_vain` says that all that was tried was put off, `asked` that the carrier said itself how long to wait, `doubt`
    that the request may have been taken although the chunk is ready again, `settled` that the ledger has all this.
    """

    attempted: int
    fates: Fates
    word: str
    detail: str = ""
    reference: str = ""
    rest: str = "ready"
    not_before: dt.datetime | None = None
    in_vain: bool = False
    asked: bool = False
    doubt: bool = False
    settled: bool = False


def settle(engine: Engine, held: Claim, result: Result, now: dt.datetime) -> None:
    """Write a claim's outcome in one transaction. Raises LostLeaseError when the claim is no longer ours."""
    with writing(engine) as connection:
        settle_in(connection, held, result, now)
        ledger.mark_finished(connection, held.mailing, now)


def settle_in(connection: Connection, held: Claim, result: Result, now: dt.datetime) -> None:
    """Write a claim's outcome in a transaction that goes on. Raises LostLeaseError, and then nothing may be kept."""
    done = held.done_after(result.attempted)
    note_fates(connection, held.mailing, held.chunk, result.fates, now)
    state = result.rest if done < held.n else "accepted"
    if state == "accepted" and has(connection, held.mailing, held.chunk, "deferred"):
        state = "ready"
    _change(
        connection,
        held,
        state=state,
        done=done,
        flight=None,
        token=None,
        owner=None,
        lease_until=None,
        not_before=result.not_before if state == "ready" else None,
        doubt_since=_doubt_since(held, result) if state == "ready" else None,
        provider_ref=without_addresses(result.reference),
        last_error=without_addresses(result.detail),
    )
    close_attempt(connection, held.token, result.word, result.detail, now)


def _doubt_since(held: Claim, result: Result) -> dt.datetime | None:
    """Keep the doubt of an earlier request, which a later put-off does not remove."""
    if result.attempted:
        return None
    return held.doubt_since or (held.at if result.doubt else None)


def record(
    engine: Engine, held: Claim, attempted: int, fates: Fates, now: dt.datetime, flight: int | None = None
) -> None:
    """Write outcomes in the middle of a claim, durably; no message is under way. Raises LostLeaseError.

    `flight` is what the lane's log wants to be told of it.
    """
    with writing(engine) as connection:
        _change(connection, held, done=held.done_after(attempted), flight=flight)
        note_fates(connection, held.mailing, held.chunk, fates, now)


def leave_out(
    engine: Engine,
    held: Claim,
    attempted: int,
    letter: Letter,
    why_not: str,
    now: dt.datetime,
    flight: int | None,
) -> None:
    """Write that a reader left after the chunk was claimed, and got nothing. Raises LostLeaseError."""
    with writing(engine) as connection:
        _change(connection, held, done=held.done_after(attempted), flight=flight)
        note(connection, held.mailing, held.chunk, letter, "left", why_not, now)


def take_back(engine: Engine, ours: Lease, mailing: int, refused: Iterable[Letter], now: dt.datetime) -> None:
    """Make readers pending again whose refusals are not believed: they surely did not leave. Raises LostLeaseError."""
    with writing(engine) as connection:
        lease.renew(connection, ours, now)
        for letter in refused:
            own = and_(exception.c.mailing == mailing, exception.c.reader == letter.reader)
            where = select(exception.c.chunk).where(own).scalar_subquery()
            settled = and_(chunk.c.mailing == mailing, chunk.c.seq == where, chunk.c.state == "accepted")
            connection.execute(update(chunk).where(settled).values(state="ready"))
            connection.execute(update(exception).where(own).values(kind="deferred", taken_back=True, at=now))
        ledger.mark_finished(connection, mailing, now)


def hold_on(engine: Engine, held: Claim, ours: Lease, now: dt.datetime) -> None:
    """Renew the lease of a claim that takes long. Raises LostLeaseError."""
    with writing(engine) as connection:
        until = lease.renew(connection, ours, now)
        _change(connection, held, lease_until=until)


def split(engine: Engine, held: Claim, detail: str, now: dt.datetime) -> None:
    """Cut a chunk in two that was refused as a whole; both are ready again. Raises LostLeaseError."""
    cut = sorted(letter.seq for letter in held.letters)[len(held.letters) // 2] - held.first
    with writing(engine) as connection:
        alone(connection, f"chunks of {held.mailing}")  # two who cut at once would give their halves one number
        top = connection.execute(select(func.max(chunk.c.seq)).where(chunk.c.mailing == held.mailing)).scalar_one()
        left = {"n": cut, "done": min(held.done, cut)}
        free = {"state": "ready", "token": None, "owner": None, "lease_until": None, "doubt_since": None}
        _change(connection, held, **left, **free, last_error=without_addresses(detail))
        right = {"first": held.first + cut, "n": held.n - cut, "done": max(held.done - cut, 0)}
        key = f"{held.key.partition('/')[0]}/{top + 1}"
        connection.execute(insert(chunk).values(mailing=held.mailing, seq=top + 1, **right, idem_key=key))
        moved = and_(exception.c.mailing == held.mailing, exception.c.chunk == held.chunk)
        beyond = exception.c.seq >= held.first + cut
        connection.execute(update(exception).where(moved, beyond).values(chunk=top + 1))
        close_attempt(connection, held.token, "split", detail, now)


def _change(connection: Connection, held: Claim, **values: object) -> None:
    """Write to a claimed chunk. Raises LostLeaseError when it is no longer ours: the one who took over decides."""
    which = {"of_mailing": held.mailing, "of_chunk": held.chunk, "of_token": held.token}
    if connection.execute(_CHANGE, {**which, **values}).rowcount != 1:
        raise LostLeaseError


def close_attempt(connection: Connection, token: str, word: str, detail: str, now: dt.datetime) -> None:
    """Write how an attempt ended."""
    closed = {"ended_at": now, "outcome": word, "detail": without_addresses(detail)}
    connection.execute(_CLOSE, {"of_token": token, **closed})
