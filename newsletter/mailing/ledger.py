"""What the ledger says: the mailings, how far each one is, and who is unknown.

The law, for every mailing and always: audience = accepted + rejected + left + unknown + pending.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    Connection,
    Engine,
    Row,
    Subquery,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from newsletter.database.engine import reading, writing
from newsletter.errors import NewsletterError
from newsletter.mailing.tables import AnyRow, attempt, chunk, delivery, exception, mailing

OPEN = ("ready", "sending")
IN_DOUBT = "in doubt"  # how an attempt ended that may have delivered what is pending, because it may be repeated
LOST = ("unknown", "held")

_START = update(mailing).where(mailing.c.id == bindparam("identity"), mailing.c.started_at.is_(None))


@dataclass(frozen=True)
class Mailing:
    """One edition sent to one frozen audience. `name` is what editors call it: '<slug>-<list>'."""

    id: int
    name: str
    issue: str
    list: str
    digest: str
    provider: str
    carrier_place: str
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    state: str
    reason: str


@dataclass(frozen=True)
class MailingStatus:
    """How far a mailing is; the fields are those of `newsletter status --format json`, in their order."""

    mailing: str
    issue: str
    list: str
    provider: str
    audience: int
    accepted: int
    rejected: int
    left: int
    unknown: int
    pending: int
    complete: bool
    started: dt.datetime | None
    finished: dt.datetime | None
    state: str  # sending, paused, stopped or cancelled
    reason: str


@dataclass(frozen=True)
class UnknownReader:
    """A reader whose message may or may not have left; it is not sent again."""

    reader: int
    detail: str


def find(connection: Connection, issue: str, list_name: str, kind: str) -> Mailing | None:
    """Return the mailing of an issue to a list; None when there is none yet."""
    columns = [mailing.c[name] for name in Mailing.__dataclass_fields__]
    row = connection.execute(
        select(*columns).where(mailing.c.issue == issue, mailing.c.list == list_name, mailing.c.kind == kind)
    ).one_or_none()
    return None if row is None else Mailing(*row)


def status(engine: Engine, name: str | None = None) -> tuple[MailingStatus, ...]:
    """Return every mailing, newest first, or the one called `name`. Raises NewsletterError when there is none."""
    with reading(engine) as connection:
        found = _status(connection, name)
    if name is not None and not found:
        raise NewsletterError(f"there is no mailing called '{name}'; 'newsletter status' lists them")
    return found


def _status(connection: Connection, name: str | None) -> tuple[MailingStatus, ...]:
    chunks, exceptions = _chunk_sums(), _exception_sums()
    joined = mailing.outerjoin(chunks, chunks.c.mailing == mailing.c.id)
    joined = joined.outerjoin(exceptions, exceptions.c.mailing == mailing.c.id)
    sums = [column for table in (chunks, exceptions) for column in table.c if column.name != "mailing"]
    query = select(mailing, *(func.coalesce(column, 0).label(column.name) for column in sums)).select_from(joined)
    if name is not None:
        query = query.where(mailing.c.name == name)
    rows = connection.execute(query.order_by(mailing.c.created_at.desc(), mailing.c.id.desc()))
    return tuple(_counted(row) for row in rows)


def _chunk_sums() -> Subquery:
    rest = chunk.c.n - chunk.c.done
    return (
        select(
            chunk.c.mailing,
            func.sum(chunk.c.n).label("audience"),
            func.sum(chunk.c.done).label("done"),
            func.sum(case((chunk.c.state.in_(OPEN), rest), else_=0)).label("open"),
            func.sum(case((chunk.c.state.in_(LOST), rest), else_=0)).label("lost"),
        )
        .group_by(chunk.c.mailing)
        .subquery()
    )


def _exception_sums() -> Subquery:
    beyond = exception.c.seq >= chunk.c.first + chunk.c.done
    places = {
        "in_done": ~beyond,
        "in_open": and_(beyond, chunk.c.state.in_(OPEN)),
        "in_lost": and_(beyond, chunk.c.state.in_(LOST)),
    }
    kinds = {kind: exception.c.kind == kind for kind in ("rejected", "left", "unknown", "deferred")}
    sums = [func.sum(case((test, 1), else_=0)).label(label) for label, test in (places | kinds).items()]
    return (
        select(exception.c.mailing, *sums)
        .join(chunk, and_(chunk.c.mailing == exception.c.mailing, chunk.c.seq == exception.c.chunk))
        .group_by(exception.c.mailing)
        .subquery()
    )


def _counted(row: AnyRow) -> MailingStatus:
    """Turn the sums over chunks and exceptions into the five counts (PostgreSQL sums are Decimals)."""
    unknown = int(row.unknown + row.lost - row.in_lost)
    pending = int(row.deferred + row.open - row.in_open)
    return MailingStatus(
        mailing=row.name,
        issue=row.issue,
        list=row.list,
        provider=row.provider,
        audience=int(row.audience),
        accepted=int(row.done - row.in_done),
        rejected=int(row.rejected),
        left=int(row.left),
        unknown=unknown,
        pending=pending,
        complete=unknown == 0 and pending == 0,
        started=row.started_at,
        finished=row.finished_at,
        state=row.state,
        reason=row.reason,
    )


def _fates(name: str) -> Subquery:
    """Tell the fate of every single delivery of a mailing: slow, plain, and not by way of the sums above."""
    of_the_chunk = delivery.c.seq.between(chunk.c.first, chunk.c.first + chunk.c.n - 1)
    own = and_(exception.c.mailing == delivery.c.mailing, exception.c.reader == delivery.c.reader)
    fate = case(
        (exception.c.kind == "deferred", "pending"),
        (exception.c.kind.is_not(None), exception.c.kind),
        (delivery.c.seq < chunk.c.first + chunk.c.done, "accepted"),
        (chunk.c.state.in_(LOST), "unknown"),
        else_="pending",
    )
    detail = func.coalesce(exception.c.detail, chunk.c.last_error, "")
    joined = mailing.join(chunk, chunk.c.mailing == mailing.c.id)  # from there a chunk's deliveries are one range
    joined = joined.join(delivery, and_(delivery.c.mailing == mailing.c.id, of_the_chunk)).outerjoin(exception, own)
    return (
        select(delivery.c.reader, fate.label("fate"), detail.label("detail"))
        .select_from(joined)
        .where(mailing.c.name == name)
        .subquery()
    )


def unknown_readers(engine: Engine, name: str) -> tuple[UnknownReader, ...]:
    """Return the readers of a mailing whose message may or may not have left, by their ids."""
    told = _fates(name)
    with reading(engine) as connection:
        query = select(told.c.reader, told.c.detail).where(told.c.fate == "unknown").order_by(told.c.reader)
        return tuple(UnknownReader(*row) for row in connection.execute(query))


def fates(engine: Engine, name: str) -> Iterator[tuple[int, str, str]]:
    """Go through the audience of a mailing by reader: id, fate, and what was said of it."""
    told = _fates(name)
    with reading(engine) as connection:
        query = select(told.c.reader, told.c.fate, told.c.detail).order_by(told.c.reader)
        for row in connection.execution_options(yield_per=1000).execute(query):
            yield row.reader, row.fate, row.detail


def verify(engine: Engine, name: str) -> tuple[str, ...]:
    """Count a mailing reader by reader and compare with its status; return a line for each thing that is not so."""
    with reading(engine) as connection:
        counted = _count_fates(connection, _fates(name))
        whole = select(func.count()).select_from(delivery.join(mailing)).where(mailing.c.name == name)
        frozen = connection.execute(whole).scalar_one()
        found = _status(connection, name)
    if not found:
        raise NewsletterError(f"there is no mailing called '{name}'; 'newsletter status' lists them")
    said = found[0]
    lines = [
        f"{name}: {getattr(said, fate)} {fate} by the sums, {counted.get(fate, 0)} by the readers"
        for fate in ("accepted", "rejected", "left", "unknown", "pending")
        if getattr(said, fate) != counted.get(fate, 0)
    ]
    if not said.audience == frozen == sum(counted.values()):
        lines.append(
            f"{name}: an audience of {said.audience} by the chunks, {frozen} were frozen,"
            f" {sum(counted.values())} have a fate"
        )
    return tuple(lines)


def _count_fates(connection: Connection, told: Subquery) -> Mapping[str, int]:
    rows: Sequence[Row[str, int]] = connection.execute(select(told.c.fate, func.count()).group_by(told.c.fate)).all()
    return {row[0]: row[1] for row in rows}


def nothing_left_yet(connection: Connection, one: Mailing) -> bool:
    """Say whether not a single message of a mailing was taken by anybody, or may have been."""
    said = _status(connection, one.name)[0]
    under_way = exists().where(chunk.c.mailing == one.id, chunk.c.state == "sending")
    in_doubt = exists().where(attempt.c.mailing == one.id, attempt.c.outcome == IN_DOUBT)
    return said.accepted + said.unknown == 0 and not connection.execute(select(or_(under_way, in_doubt))).scalar_one()


def keep_as_it_is(connection: Connection, identity: int) -> None:
    """Keep workers from claiming anything of a mailing until the transaction ends (with SQLite nobody can anyway)."""
    connection.execute(select(chunk.c.seq).where(chunk.c.mailing == identity).with_for_update()).all()


def forget(connection: Connection, identity: int) -> None:
    """Delete a mailing of which nothing has left."""
    connection.execute(delete(mailing).where(mailing.c.id == identity))


def mark_started(connection: Connection, identity: int, now: dt.datetime) -> None:
    """Note when the first chunk was claimed."""
    connection.execute(_START, {"identity": identity, "started_at": now})


def mark_going_on(connection: Connection, identity: int) -> None:
    """Note that a mailing which a carrier's refusal had stopped is being sent again."""
    stopped = and_(mailing.c.id == identity, mailing.c.state == "stopped")
    connection.execute(update(mailing).where(stopped).values(state="sending", reason=""))


def mark_stopped(engine: Engine, identity: int, reason: str) -> None:
    """Stop a mailing for everybody who sends it, until it is sent again."""
    going = and_(mailing.c.id == identity, mailing.c.state == "sending")
    with writing(engine) as connection:
        connection.execute(update(mailing).where(going).values(state="stopped", reason=reason))


def mark_finished(connection: Connection, identity: int, now: dt.datetime) -> bool:
    """Note that nothing is left to send, if so; what is held for a person does not count. Return whether it is so."""
    going_on = exists().where(chunk.c.mailing == identity, chunk.c.state.in_(("ready", "sending", "unknown")))
    finished = not connection.execute(select(going_on)).scalar_one()
    changed = mailing.c.finished_at.is_(None) if finished else mailing.c.finished_at.is_not(None)
    moment = now if finished else None
    connection.execute(update(mailing).where(mailing.c.id == identity, changed).values(finished_at=moment))
    return finished


def has_unknown(connection: Connection, identity: int) -> bool:
    """Say whether a mailing has readers of whom nobody knows whether they got it."""
    by_chunk = exists().where(chunk.c.mailing == identity, chunk.c.state.in_(LOST))
    by_reader = exists().where(exception.c.mailing == identity, exception.c.kind == "unknown")
    return bool(connection.execute(select(or_(by_chunk, by_reader))).scalar_one())
