"""Reads entries of the book out of its tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, select

from newsletter.subscribers.model import Entry, Reader, Reason, Status, Subscription, Suppressed
from newsletter.subscribers.tables import reader, subscription, suppression

Item = TypeVar("Item")
CHUNK = 500  # SQLite takes 32,766 values in one statement; a page of 500 is as fast and keeps memory low


def fetch(connection: Connection, where: ColumnElement[bool], limit: int | None = None) -> list[tuple[bytes, Entry]]:
    """Return the entries that match, by id, each with its address hash."""
    query = (
        select(reader, suppression.c.reason, suppression.c.at)
        .outerjoin(suppression, suppression.c.address_hash == reader.c.address_hash)
        .where(where)
        .order_by(reader.c.id)
        .limit(limit)
    )
    rows = connection.execute(query).all()
    subscriptions = _subscriptions(connection, [row.id for row in rows])
    return [
        (
            row.address_hash,
            Entry(
                Reader(row.id, row.address, row.name, row.language, row.timezone),
                tuple(subscriptions.get(row.id, ())),
                Suppressed(Reason(row.reason), row.at) if row.reason else None,
            ),
        )
        for row in rows
    ]


def known(connection: Connection, hashes: Sequence[bytes]) -> Mapping[bytes, Entry | Suppressed]:
    """Return what the book knows of addresses: an entry, or that an address without one is suppressed."""
    found: dict[bytes, Entry | Suppressed] = {}
    for chunk in chunks(hashes):
        query = select(suppression).where(suppression.c.address_hash.in_(chunk))
        found.update((row.address_hash, Suppressed(Reason(row.reason), row.at)) for row in connection.execute(query))
        found.update(fetch(connection, reader.c.address_hash.in_(chunk)))
    return found


def chunks(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Cut a sequence into lists that one statement takes."""
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _subscriptions(connection: Connection, readers: Sequence[int]) -> Mapping[int, list[Subscription]]:
    found: dict[int, list[Subscription]] = defaultdict(list)
    for chunk in chunks(readers):
        query = select(subscription).where(subscription.c.reader.in_(chunk))
        for row in sorted(connection.execute(query), key=lambda row: row.list):  # the database may sort by a language
            follows = tuple(row.follows.split())
            found[row.reader].append(Subscription(row.list, Status(row.status), follows, row.joined_at, row.changed_at))
    return found
