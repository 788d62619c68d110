"""Takes chunks out of the ledger and settles them: the intent is on the disk before a byte leaves.

A claim commits with synchronous=FULL. The outcome is written by the claim's token; when another sender has taken over
meanwhile, the token is no longer there and nothing more may leave.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, Engine, Update, func, insert, or_, select, update

from newsletter.database.engine import writing
from newsletter.mailing import encode, lease, ledger
from newsletter.mailing.lease import Lease, LostLeaseError
from newsletter.mailing.ledger import Mailing
from newsletter.mailing.letters import Letter, waiting
from newsletter.mailing.outcomes import Claim, note
from newsletter.mailing.tables import AnyRow, attempt, chunk


def claim(
    engine: Engine,
    held: Lease,
    mailing: Mailing,
    choices: Mapping[int, frozenset[int]],
    now: dt.datetime,
    *,
    other_end: bool = False,
) -> Claim | None:
    """Claim the next chunk that is ready, of those not tried yet the first, or at the `other_end` the last.

    None when there is none. Readers who left, were suppressed or cannot be reached are recorded in the same
    transaction. Raises LostLeaseError.
    """
    sifted = 0
    with writing(engine) as connection:
        until = lease.renew(connection, held, now)
        while (row := _next(connection, mailing.id, now, other_end=other_end)) is not None:
            found = waiting(connection, row, mailing, choices)
            letters = _sift(connection, row, found, now)
            sifted += len(found) - len(letters)
            if letters:
                claimed = _intend(connection, row, letters, mailing, held, (now, until))
                return replace(claimed, sifted=sifted, fresh=row.done < row.n and row.not_before is None)
            connection.execute(_of(row).values(state="accepted", done=row.n, not_before=None))
    return None


def _next(connection: Connection, mailing: int, now: dt.datetime, *, other_end: bool) -> AnyRow | None:
    """Choose a chunk: one that nobody has put off, else the one that waits longest.

    So nobody waits for a reader whom the carrier puts off for days, and of those each has a turn.
    """
    ready = select(chunk).where(chunk.c.mailing == mailing, chunk.c.state == "ready").limit(1)
    untried = ready.where(chunk.c.not_before.is_(None), chunk.c.done < chunk.c.n)
    fresh = connection.execute(untried.order_by(chunk.c.first.desc() if other_end else chunk.c.first)).one_or_none()
    if fresh is not None:
        return fresh
    due = ready.where(or_(chunk.c.not_before.is_(None), chunk.c.not_before <= now))
    return connection.execute(due.order_by(chunk.c.not_before.nulls_first(), chunk.c.first)).one_or_none()


def _sift(
    connection: Connection,
    row: AnyRow,
    letters: Iterable[tuple[Letter, str | None]],
    now: dt.datetime,
) -> tuple[Letter, ...]:
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


def _intend(
    connection: Connection,
    row: AnyRow,
    letters: tuple[Letter, ...],
    mailing: Mailing,
    held: Lease,
    times: tuple[dt.datetime, dt.datetime],
) -> Claim:
    now, until = times
    token = secrets.token_hex(16)
    payload = _payload(mailing, letters)
    # A carrier that takes a key would refuse the same key with other readers; for the same readers it stays the same.
    same = row.payload_sha256 in ("", payload)
    key = row.idem_key if same else f"{mailing.name}/{row.seq}.{row.attempt}"
    holder = {"state": "sending", "token": token, "owner": held.owner, "lease_until": until, "not_before": None}
    what = {"attempt": row.attempt + 1, "idem_key": key, "payload_sha256": payload}
    claimed = connection.execute(_of(row).where(chunk.c.state == "ready").values(**holder, **what))
    if claimed.rowcount != 1:
        raise LostLeaseError
    connection.execute(
        insert(attempt).values(
            token=token,
            mailing=mailing.id,
            chunk=row.seq,
            number=row.attempt + 1,
            readers=len(letters),
            payload_sha256=payload,
            started_at=now,
        )
    )
    ledger.mark_started(connection, mailing.id, now)
    return Claim(mailing.id, row.seq, row.first, row.n, row.done, token, key, letters)


def _payload(mailing: Mailing, letters: Sequence[Letter]) -> str:
    """Hash all that a chunk's messages are made from."""
    digest = hashlib.sha256(f"{mailing.name}\n{mailing.digest}\n".encode())
    for letter in letters:
        line = (letter.reader, letter.address, letter.name, sorted(letter.chosen))
        digest.update(f"{line!r}\n".encode())
    return digest.hexdigest()


def _of(row: AnyRow) -> Update:
    return update(chunk).where(chunk.c.mailing == row.mailing, chunk.c.seq == row.seq)


def next_due(connection: Connection, mailing: int) -> dt.datetime | None:
    """Say when the next chunk that was put off may be tried; None when none waits."""
    query = select(func.min(chunk.c.not_before)).where(chunk.c.mailing == mailing, chunk.c.state == "ready")
    found: dt.datetime | None = connection.execute(query).scalar_one()
    return found
