"""The readers of a chunk, read from the book at the moment their messages are about to be made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Integer, and_, or_, select, type_coerce

from newsletter.mailing.audience import is_suppressed
from newsletter.mailing.ledger import Mailing
from newsletter.mailing.tables import AnyRow, delivery, exception
from newsletter.subscribers.tables import reader, subscription


class Letter(NamedTuple):
    """One reader of a claimed chunk; `again` when the carrier put this reader off, or its refusal was taken back.

    A tuple, because one is made for every reader.
    """

    seq: int
    reader: int
    address: str
    name: str
    chosen: frozenset[int]
    again: bool = False
    taken_back: bool = False


def waiting(
    connection: Connection, row: AnyRow, mailing: Mailing, choices: Mapping[int, frozenset[int]]
) -> list[tuple[Letter, str | None]]:
    """Read the pending readers of a chunk, each with the reason why it must not be sent, if there is one."""
    fresh = and_(delivery.c.seq >= row.first + row.done, exception.c.kind.is_(None))
    return read_letters(connection, row, mailing, choices, or_(fresh, exception.c.kind == "deferred"))


def read_letters(
    connection: Connection,
    row: AnyRow,
    mailing: Mailing,
    choices: Mapping[int, frozenset[int]],
    which: ColumnElement[bool],
) -> list[tuple[Letter, str | None]]:
    """Read readers of a chunk: name and address as they are now, the choice of subjects as it was frozen.

    Those not tried yet come first, then those put off, whoever has waited longest before the others.
    """
    joined = delivery.outerjoin(reader, reader.c.id == delivery.c.reader)
    joined = joined.outerjoin(
        subscription, and_(subscription.c.reader == delivery.c.reader, subscription.c.list == mailing.list)
    )
    joined = joined.outerjoin(
        exception, and_(exception.c.mailing == delivery.c.mailing, exception.c.reader == delivery.c.reader)
    )
    query = (
        select(
            delivery.c.seq,
            delivery.c.reader,
            delivery.c.variant,
            reader.c.address,
            reader.c.name,
            subscription.c.status,
            type_coerce(is_suppressed(), Integer),
            exception.c.kind,
            type_coerce(exception.c.taken_back, Integer),
        )
        .select_from(joined)
        .where(delivery.c.mailing == mailing.id, delivery.c.seq.between(row.first, row.first + row.n - 1), which)
        .order_by(exception.c.kind.is_not(None), exception.c.at, delivery.c.seq)
    )
    return [
        (
            Letter(seq, number, address or "", name or "", choices[variant], kind is not None, bool(taken_back)),
            None if status == "active" and address is not None and not suppressed else _why_not(address, status),
        )
        for seq, number, variant, address, name, status, suppressed, kind, taken_back in connection.execute(query).all()
    ]


def _why_not(address: str | None, status: str | None) -> str:
    if address is None or status is None:
        return "no longer in the book"
    if status != "active":
        return f"{status} since the mailing was frozen"
    return "suppressed since the mailing was frozen"
