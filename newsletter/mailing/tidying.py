"""Throws away what nobody needs any more: workers that are gone, words about attempts long past."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Engine, delete, exists, update

from newsletter.database.engine import writing
from newsletter.mailing import agenda
from newsletter.mailing.tables import attempt, chunk, worker

KEPT = dt.timedelta(days=90)


def tidy(engine: Engine, now: dt.datetime) -> int:
    """Delete workers whose lease ran out a day ago, and agenda lines and attempts' words of 90 days ago.

    Return how many there were. No count of any mailing changes, and whoever still has a chunk stays.
    """
    busy = exists().where(chunk.c.owner == worker.c.owner)
    old = attempt.c.ended_at < now - KEPT, attempt.c.detail != ""
    with writing(engine) as connection:
        gone = connection.execute(
            delete(worker).where(worker.c.lease_until < now - dt.timedelta(days=1), ~busy)
        ).rowcount
        gone += connection.execute(update(attempt).where(*old).values(detail="")).rowcount
    return gone + agenda.forget(engine, now - KEPT)
