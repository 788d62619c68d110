"""The readers of a chunk, read from the book at the moment their messages are about to be made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Integer, Select, and_, bindparam, or_, select, type_coerce

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


UNTRIED = and_(delivery.c.seq >= bindparam("untried"), exception.c.kind.is_(None))


def letters_query(which: ColumnElement[bool]) -> Select[Any]:
    """Make the query for those readers of a chunk; once, since making it takes longer than executing it.

    Those not tried yet come first, then those put off, whoever has waited longest before the others.
    """
    joined = delivery.outerjoin(reader, reader.c.id == delivery.c.reader)
    joined = joined.outerjoin(
        subscription, and_(subscription.c.reader == delivery.c.reader, subscription.c.list == bindparam("list"))
    )
    joined = joined.outerjoin(
        exception, and_(exception.c.mailing == delivery.c.mailing, exception.c.reader == delivery.c.reader)
    )
    in_chunk = delivery.c.seq.between(bindparam("first"), bindparam("last"))
    return (
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
        .where(delivery.c.mailing == bindparam("mailing"), in_chunk, which)
        .order_by(exception.c.kind.is_not(None), exception.c.at, delivery.c.seq)
    )


_WAITING = letters_query(or_(UNTRIED, exception.c.kind == "deferred"))


def waiting(
    connection: Connection, row: AnyRow, mailing: Mailing, choices: Mapping[int, frozenset[int]]
) -> list[tuple[Letter, str | None]]:
    """Read the pending readers of a chunk, each with the reason why it must not be sent, if there is one."""
    return read_letters(connection, row, mailing, choices, _WAITING)


def read_letters(
    connection: Connection, row: AnyRow, mailing: Mailing, choices: Mapping[int, frozenset[int]], query: Select[Any]
) -> list[tuple[Letter, str | None]]:
    """Read readers of a chunk: name and address as they are now, the choice of subjects as it was frozen."""
    places = {"first": row.first, "last": row.first + row.n - 1, "untried": row.first + row.done}
    found = connection.execute(query, {"mailing": mailing.id, "list": mailing.list, **places})
    return [
        (
            Letter(seq, number, address or "", name or "", choices[variant], kind is not None, bool(taken_back)),
            None if status == "active" and address is not None and not suppressed else _why_not(address, status),
        )
        for seq, number, variant, address, name, status, suppressed, kind, taken_back in found.all()
    ]


def _why_not(address: str | None, status: str | None) -> str:
    if address is None or status is None:
        return "no longer in the book"
    if status != "active":
        return f"{status} since the mailing was frozen"
    return "suppressed since the mailing was frozen"
