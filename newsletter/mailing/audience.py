"""Freezes a mailing's audience: who gets it, in which order and chunks, and who is left out for which reason."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Row, and_, case, exists, func, insert, literal, select

from newsletter.database.engine import alone
from newsletter.edition.model import Edition
from newsletter.errors import NewsletterError
from newsletter.mailing.tables import chunk, delivery, mailing, variant
from newsletter.providers.base import BatchCarrier, Guard, Provider
from newsletter.subscribers.consent import BOOK
from newsletter.subscribers.tables import reader, subscription, suppression

KIND = "issue"
# Of a carrier that takes one message at a time and may make second copies, the ledger records which message is being
# handed over; only a power cut leaves a whole group unknown, so groups are small.
GROUP = 50

REASONS = ("pending", "left", "bounced", "complained", "suppressed")


@dataclass(frozen=True)
class Audience:
    """How many readers a mailing goes to, how many are left out and why, and how many different copies there are."""

    count: int
    excluded: Mapping[str, int]
    variants: Mapping[frozenset[int], int]  # chosen subjects -> readers


def is_suppressed() -> ColumnElement[bool]:
    """Say in SQL whether a reader's address must not be mailed."""
    return exists().where(suppression.c.address_hash == reader.c.address_hash)


def count(connection: Connection, list_name: str, edition: Edition) -> Audience:
    """Count who would get an edition on a list now."""
    held_back = and_(subscription.c.status == "active", is_suppressed())
    reason = case((held_back, "suppressed"), else_=subscription.c.status).label("reason")
    rows = connection.execute(
        select(reason, func.count())
        .select_from(subscription.join(reader, reader.c.id == subscription.c.reader))
        .where(subscription.c.list == list_name)
        .group_by(reason)
    )
    counts: dict[str, int] = {row[0]: row[1] for row in rows}
    variants: dict[frozenset[int], int] = {}
    for row in _followed(connection, list_name):
        chosen = edition.choose(row[0].split())
        variants[chosen] = variants.get(chosen, 0) + row[1]
    return Audience(counts.get("active", 0), {key: counts.get(key, 0) for key in REASONS}, variants)


def _may_be_mailed(list_name: str) -> ColumnElement[bool]:
    return and_(subscription.c.list == list_name, subscription.c.status == "active", ~is_suppressed())


def _followed(connection: Connection, list_name: str) -> Sequence[Row[str, int]]:
    """Return every text of followed keys in the audience, and how many readers have it."""
    return connection.execute(
        select(subscription.c.follows, func.count())
        .join(reader, reader.c.id == subscription.c.reader)
        .where(_may_be_mailed(list_name))
        .group_by(subscription.c.follows)
        .order_by(subscription.c.follows)
    ).all()


def mailing_name(edition: Edition, list_name: str) -> str:
    """Name a mailing as editors call it."""
    return f"{edition.slug}-{list_name}"


@dataclass(frozen=True)
class Frozen:
    """What a mailing is frozen from: an edition, a list, a carrier, and for a send by the readers' own clocks its time.

    `reader_time` is a local time without a zone, and the zone of readers who have told none.
    """

    edition: Edition
    list: str
    provider: Provider
    reader_time: tuple[dt.datetime, str] | None = None

    @property
    def batched(self) -> bool:
        """Whether all readers of a chunk get one body."""
        return isinstance(self.provider, BatchCarrier)


def freeze(connection: Connection, what: Frozen, now: dt.datetime) -> int:
    """Write a mailing with its deliveries and chunks; return its id. All of it belongs to the caller's transaction.

    Raises NewsletterError when nobody would get it, or its name is taken by another issue on another list.
    """
    edition, list_name, provider = what.edition, what.list, what.provider
    name = mailing_name(edition, list_name)
    if connection.execute(select(mailing.c.id).where(mailing.c.name == name)).first():
        raise NewsletterError(f"there is another mailing called {name}; rename the issue's file")
    row = {"name": name, "issue": edition.slug, "list": list_name, "kind": KIND, "digest": edition.digest}
    carrier = {"provider": provider.name, "carrier_place": provider.place()}
    connection.execute(insert(mailing).values(**row, **carrier, created_at=now))
    identity: int = connection.execute(select(mailing.c.id).where(mailing.c.name == name)).scalar_one()
    alone(connection, BOOK)  # who changes what they follow between the next two statements would be in neither
    _write_variants(connection, identity, edition, list_name)
    _write_deliveries(connection, identity, what)
    chunks = list(_chunks(connection, identity, what))
    if not chunks:
        raise NewsletterError(f"nobody is subscribed to '{list_name}'; see 'newsletter subscribers list'")
    connection.execute(
        insert(chunk),
        [
            {"mailing": identity, "seq": seq, "first": first, "n": n, "idem_key": f"{name}/{seq}", "not_before": due}
            for seq, (first, n, due) in enumerate(chunks)
        ],
    )
    return identity


def chunk_size(provider: Provider, edition: Edition) -> int:
    """Return how many readers a chunk holds with a carrier: what it takes in one request, in count and in bytes."""
    if isinstance(provider, BatchCarrier):
        largest = sum(len(piece.content.encode()) for piece in (*edition.html, *edition.text))
        return max(1, min(provider.chunk_size, provider.readers_per_request(largest)))
    return provider.chunk_size if provider.guard is Guard.REPEATABLE else GROUP


def _write_variants(connection: Connection, identity: int, edition: Edition, list_name: str) -> None:
    numbers: dict[frozenset[int], int] = {}
    rows = []
    for row in _followed(connection, list_name):
        chosen = edition.choose(row[0].split())
        number = numbers.setdefault(chosen, len(numbers))
        written = " ".join(map(str, sorted(chosen)))
        rows.append({"mailing": identity, "follows": row[0], "number": number, "chosen": written})
    if rows:
        connection.execute(insert(variant), rows)


def _write_deliveries(connection: Connection, identity: int, what: Frozen) -> None:
    zone = (reader.c.timezone,) if what.reader_time else ()
    order = (*((variant.c.number,) if what.batched else ()), *zone, reader.c.id)
    seq = func.row_number().over(order_by=order) - 1
    query = (
        select(literal(identity), seq, reader.c.id, variant.c.number)
        .select_from(subscription)
        .join(reader, reader.c.id == subscription.c.reader)
        .join(variant, and_(variant.c.mailing == identity, variant.c.follows == subscription.c.follows))
        .where(_may_be_mailed(what.list))
    )
    connection.execute(insert(delivery).from_select(["mailing", "seq", "reader", "variant"], query))


def _chunks(connection: Connection, identity: int, what: Frozen) -> Iterator[tuple[int, int, dt.datetime | None]]:
    """Yield the first seq, the number of readers and the time of every chunk.

    One that is sent as a batch has one variant, and one for the readers' own clocks one time zone.
    """
    size = chunk_size(what.provider, what.edition)
    zone = (reader.c.timezone,) if what.reader_time else ()
    apart = (*((delivery.c.variant,) if what.batched else ()), *zone)
    query = (
        select(func.min(delivery.c.seq), func.count(), *zone)
        .select_from(delivery.join(reader, reader.c.id == delivery.c.reader) if zone else delivery)
        .where(delivery.c.mailing == identity)
        .order_by(func.min(delivery.c.seq))
        .having(func.count() > 0)
    )
    for first, number, *names in connection.execute(query.group_by(*apart) if apart else query).all():
        for start in range(0, number, size):
            yield first + start, min(size, number - start), _due(what, *names)


def _due(what: Frozen, zone: str = "") -> dt.datetime | None:
    """Say when readers of a time zone get theirs."""
    if what.reader_time is None:
        return None
    local, otherwise = what.reader_time
    return local.replace(tzinfo=ZoneInfo(zone or otherwise)).astimezone(dt.UTC)


def choices(connection: Connection, identity: int) -> Mapping[int, frozenset[int]]:
    """Return the chosen subjects of every variant of a mailing."""
    rows = connection.execute(select(variant.c.number, variant.c.chosen).where(variant.c.mailing == identity))
    return {row[0]: frozenset(map(int, row[1].split())) for row in rows}
