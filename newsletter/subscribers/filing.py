"""Files what was decided into the book's tables, for one reader or for many at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from newsletter.subscribers.consent import ConsentLog, Record
from newsletter.subscribers.enrolment import Move
from newsletter.subscribers.lookup import chunks
from newsletter.subscribers.model import Entry, Reader, Reason, Status, Subscription, Suppressed
from newsletter.subscribers.tables import reader, subscription, suppression

Row = Mapping[str, Any]

_SUPPRESSED_BY = {Status.BOUNCED: Reason.BOUNCED, Status.COMPLAINED: Reason.COMPLAINED}


def file_moves(connection: Connection, log: ConsentLog, moves: Sequence[Move], now: dt.datetime) -> None:
    """Store moves, and a consent record for each status that was given or taken with them."""
    ids = _file_readers(connection, [move for move in moves if not move.before], now)
    _file_people(connection, [move.reader for move in moves if move.before and move.before.reader != move.reader])
    new: list[Row] = []
    changed: list[Row] = []
    for move in moves:
        after = move.subscription
        if after != move.was:
            rows = changed if move.was else new
            rows.append(row_of(move.reader.id or ids[move.candidate.address_hash], after))
    if new:
        connection.execute(insert(subscription), new)
    file_subscriptions(connection, changed)
    moved = [move for move in moves if move.was is None or move.was.status is not move.subscription.status]
    for move in moved:
        if move.subscription.status in _SUPPRESSED_BY:
            reason = _SUPPRESSED_BY[move.subscription.status]
            suppress(connection, move.candidate.address_hash, Suppressed(reason, move.subscription.changed_at))
    log.append(connection, (_record(move, now) for move in moved))


def file_subscriptions(connection: Connection, rows: Sequence[Row]) -> None:
    """Write rows over those that are there for the same reader and list."""
    if rows:
        values = [{"of": row["reader"], "on": row["list"], **row} for row in rows]
        mine = (subscription.c.reader == bindparam("of")) & (subscription.c.list == bindparam("on"))
        columns: dict[str, Any] = {name: bindparam(name) for name in ("status", "follows", "joined_at", "changed_at")}
        connection.execute(update(subscription).where(mine).values(columns), values)


def end(
    connection: Connection, log: ConsentLog, entry: Entry, status: Status, list_name: str | None, now: dt.datetime
) -> None:
    """Note that a reader left, bounced or complained, on one list or all; a weightier status stays as it is."""
    address_hash = connection.scalars(select(reader.c.address_hash).where(reader.c.id == entry.reader.id)).one()
    ending = [
        replace(one, status=status, changed_at=now)
        for one in entry.subscriptions
        if list_name in (None, one.list) and one.status.rank < status.rank
    ]
    file_subscriptions(connection, [row_of(entry.reader.id, one) for one in ending])
    log.append(connection, (Record(now, status.value, one.list, address_hash, "") for one in ending))
    if status in _SUPPRESSED_BY:
        suppress(connection, address_hash, Suppressed(_SUPPRESSED_BY[status], now))


def suppress(connection: Connection, address_hash: bytes, wanted: Suppressed) -> bool:
    """Keep an address from being mailed, and return True; a weightier reason that stands already is left standing."""
    mine = suppression.c.address_hash == address_hash
    standing = connection.scalar(select(suppression.c.reason).where(mine))
    if standing and Reason(standing).rank >= wanted.reason.rank:
        return False
    connection.execute(delete(suppression).where(mine))
    row = {"address_hash": address_hash, "reason": wanted.reason.value, "at": wanted.at}
    connection.execute(insert(suppression), [row])
    return True


def _file_readers(connection: Connection, new: Sequence[Move], now: dt.datetime) -> Mapping[bytes, int]:
    ids: dict[bytes, int] = {}
    if new:
        rows = [
            {
                "address": move.reader.address,
                "address_hash": move.candidate.address_hash,
                "name": move.reader.name,
                "language": move.reader.language,
                "timezone": move.reader.timezone,
                "created_at": now,
            }
            for move in new
        ]
        connection.execute(insert(reader), rows)
    for hashes in chunks([move.candidate.address_hash for move in new]):
        query = select(reader.c.address_hash, reader.c.id).where(reader.c.address_hash.in_(hashes))
        ids.update((row.address_hash, row.id) for row in connection.execute(query))
    return ids


def _file_people(connection: Connection, people: Sequence[Reader]) -> None:
    if people:
        said = ("name", "language", "timezone")
        values = [{"key": one.id, **{name: getattr(one, name) for name in said}} for one in people]
        columns: dict[str, Any] = {name: bindparam(name) for name in said}
        connection.execute(update(reader).where(reader.c.id == bindparam("key")).values(columns), values)


def row_of(reader_id: int, one: Subscription) -> Row:
    """Write a subscription as the table holds it."""
    return {
        "reader": reader_id,
        "list": one.list,
        "status": one.status.value,
        "follows": " ".join(one.follows),
        "joined_at": one.joined_at,
        "changed_at": one.changed_at,
    }


def _record(move: Move, now: dt.datetime) -> Record:
    after = move.subscription
    action = after.status.value if after.status.ended else "joined" if after.status is Status.ACTIVE else "asked"
    return Record(now, action, after.list, move.candidate.address_hash, move.candidate.evidence)
