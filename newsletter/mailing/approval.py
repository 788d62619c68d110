"""Who approved an edition, and whether it was looked at in a test copy: exactly this one, known by what was seen."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Engine, Insert, exists, insert, select
from sqlalchemy.exc import IntegrityError

from newsletter.database.engine import reading, writing
from newsletter.mailing.person import folded, named
from newsletter.mailing.tables import approval, tested


@dataclass(frozen=True)
class Approval:
    """Somebody's yes to one digest of one issue."""

    name: str
    at: dt.datetime


def approve(engine: Engine, issue: str, digest: str, by: str, now: dt.datetime) -> bool:
    """Write down that somebody approves what has this digest; False when the same person did so before.

    Raises NewsletterError for a name that is none.
    """
    name = named(by)
    row = {"issue": issue, "digest": digest, "person": folded(name), "name": name, "at": now}
    return _written(engine, insert(approval).values(row))


def approvals(engine: Engine, issue: str, digest: str) -> tuple[Approval, ...]:
    """Return the approvals of what has this digest, the first one first; each is of another person."""
    with reading(engine) as connection:
        rows = connection.execute(
            select(approval.c.name, approval.c.at)
            .where(approval.c.issue == issue, approval.c.digest == digest)
            .order_by(approval.c.at, approval.c.person)
        )
        return tuple(Approval(*row) for row in rows)


def record_test(engine: Engine, digest: str, list_name: str, now: dt.datetime) -> None:
    """Write down that a test copy of what has this digest was sent, as the readers of a list would get it."""
    _written(engine, insert(tested).values(digest=digest, list=list_name, at=now))


def was_tested(engine: Engine, digest: str, list_name: str) -> bool:
    """Say whether a test copy of exactly this was sent."""
    row = exists().where(tested.c.digest == digest, tested.c.list == list_name)
    with reading(engine) as connection:
        return bool(connection.execute(select(row)).scalar_one())


def _written(engine: Engine, row: Insert) -> bool:
    """Write a row; False when it is there already."""
    try:
        with writing(engine) as connection:
            connection.execute(row)
    except IntegrityError:
        return False
    return True
