"""The readers of a chunk, read from the book at the moment their messages are about to be made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    and_,
    bindparam,
    exists,
    literal,
    null,
    or_,
    select,
    type_coerce,
)

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


_SEQS = delivery.c.seq.between(bindparam("first"), bindparam("last"))
_NOT_TRIED = delivery.c.seq >= bindparam("untried")
UNTRIED = and_(_NOT_TRIED, exception.c.kind.is_(None))


def _select(joined: FromClause, which: ColumnElement[bool], *rest: ColumnElement[Any]) -> Select[Any]:
    """Make the query for readers of a chunk; once, since making it takes longer than executing it."""
    places = and_(subscription.c.reader == delivery.c.reader, subscription.c.list == bindparam("list"))
    joined = joined.outerjoin(reader, reader.c.id == delivery.c.reader).outerjoin(subscription, places)
    suppressed = type_coerce(is_suppressed(), Integer)
    own = (delivery.c.seq, delivery.c.reader, delivery.c.variant, reader.c.address, reader.c.name)
    query = select(*own, subscription.c.status, suppressed, *rest).select_from(joined)
    return query.where(delivery.c.mailing == bindparam("mailing"), _SEQS, which)


def letters_query(which: ColumnElement[bool]) -> Select[Any]:
    """Make the query for those readers of a chunk.

    Those not tried yet come first, then those put off, whoever has waited longest before the others.
    """
    here = and_(exception.c.mailing == delivery.c.mailing, exception.c.reader == delivery.c.reader)
    kind, taken_back = exception.c.kind, type_coerce(exception.c.taken_back, Integer)
    query = _select(delivery.outerjoin(exception, here), which, kind, taken_back)
    return query.order_by(kind.is_not(None), exception.c.at, delivery.c.seq)


_FEW = 100  # readers, for whom looking for exceptions first costs more than it saves
_WAITING = letters_query(or_(UNTRIED, exception.c.kind == "deferred"))
_ALIKE = _select(delivery, _NOT_TRIED, null(), literal(0)).order_by(delivery.c.seq)
_ANY_EXCEPTION = select(
    exists().where(exception.c.mailing == bindparam("mailing"), exception.c.chunk == bindparam("chunk"))
)


def waiting(
    connection: Connection, row: AnyRow, mailing: Mailing, choices: Mapping[int, frozenset[int]]
) -> list[tuple[Letter, str | None]]:
    """Read the pending readers of a chunk, each with the reason why it must not be sent, if there is one."""
    odd = row.n <= _FEW or connection.execute(_ANY_EXCEPTION, {"mailing": mailing.id, "chunk": row.seq}).scalar_one()
    return read_letters(connection, row, mailing, choices, _WAITING if odd else _ALIKE)


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
