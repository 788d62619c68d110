"""What is to be sent later: exactly the edition that was looked at when somebody named the moment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, insert, select, update

from newsletter.database.engine import reading, writing
from newsletter.errors import NewsletterError
from newsletter.mailing.tables import schedule
from newsletter.mailing.when import When

# The day begins so long before UTC's where it begins first (Kiribati), and ends so long after it where it ends last.
FIRST_ZONE = dt.timedelta(hours=14)
LAST_ZONE = dt.timedelta(hours=12)


@dataclass(frozen=True)
class Planned:
    """One line of the agenda. `digest` is the edition's `seen`; `at` and `made_at` are aware, in UTC.

    `by_reader`: everybody has it when their own clock shows what the clock of `zone` shows at `at`. `state` is waiting,
    done, refused or cancelled, and `reason` says why.
    """

    id: int
    issue: str
    list: str
    digest: str
    at: dt.datetime
    zone: str
    by_reader: bool
    made_at: dt.datetime
    state: str = "waiting"
    reason: str = ""

    @property
    def when(self) -> When:
        """The moment as it was said."""
        return When(self.at, self.zone)

    @property
    def begins(self) -> dt.datetime:
        """When the first reader is to have it; not before it was put there."""
        return max(self._utc() - FIRST_ZONE, self.made_at) if self.by_reader else self.at

    @property
    def ends(self) -> dt.datetime:
        """When the last reader is to have it."""
        return self._utc() + LAST_ZONE if self.by_reader else self.at

    def _utc(self) -> dt.datetime:
        return self.when.local.replace(tzinfo=dt.UTC)

    def stale(self, digest: str, now: dt.datetime, max_age: dt.timedelta) -> str | None:
        """Say why this must not be sent any more, as it is now; None when it may."""
        if digest != self.digest:
            return "the issue, a template or newsletter.yaml has changed since; look at it and schedule it again"
        if now - self.begins > max_age:
            return f"nobody was there to send it: its moment passed more than {age(max_age)} ago"
        return None


def age(interval: dt.timedelta) -> str:
    """Write an interval as the settings have it: 24h, 90m, 3d."""
    minutes = int(interval.total_seconds()) // 60
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"


def add(engine: Engine, planned: Planned) -> tuple[int, tuple[int, ...]]:
    """Write a line down (its own id does not count); return its id and those of the lines it takes the place of."""
    values = {name: getattr(planned, name) for name in Planned.__dataclass_fields__ if name != "id"}
    same = schedule.c.issue == planned.issue, schedule.c.list == planned.list, schedule.c.state == "waiting"
    with writing(engine) as connection:
        before = tuple(connection.execute(select(schedule.c.id).where(*same).order_by(schedule.c.id)).scalars())
        new: int = connection.execute(insert(schedule).values(values).returning(schedule.c.id)).scalar_one()
        reason = f"number {new} took its place"
        connection.execute(update(schedule).where(*same, schedule.c.id != new).values(state="cancelled", reason=reason))
    return new, before


def listed(engine: Engine) -> tuple[Planned, ...]:
    """Return every line: those that wait first, by their moment, then the others, the newest moment first."""
    with reading(engine) as connection:
        found = _read(connection)
    waiting = sorted((one for one in found if one.state == "waiting"), key=lambda one: one.begins)
    others = sorted((one for one in found if one.state != "waiting"), key=lambda one: one.at, reverse=True)
    return (*waiting, *others)


def due(engine: Engine, now: dt.datetime) -> tuple[Planned, ...]:
    """Return the lines whose moment has come, the oldest first."""
    return tuple(one for one in listed(engine) if one.state == "waiting" and one.begins <= now)


def _read(connection: Connection) -> Sequence[Planned]:
    columns = [schedule.c[name] for name in Planned.__dataclass_fields__]
    return [Planned(*row) for row in connection.execute(select(*columns))]


def cancel(engine: Engine, number: int) -> None:
    """Take a line off the agenda. Raises NewsletterError when it is not there or waits no more."""
    if mark(engine, number, "cancelled", "taken off the agenda"):
        return
    one = next((one for one in listed(engine) if one.id == number), None)
    if one is None:
        raise NewsletterError(f"nothing on the agenda has the number {number}; 'newsletter scheduled' lists it")
    raise NewsletterError(f"number {number} waits no more: it is {one.state}" + (f", {one.reason}" * bool(one.reason)))


def mark(engine: Engine, number: int, state: str, reason: str = "") -> bool:
    """Say what became of a line; False when it did not wait any more."""
    with writing(engine) as connection:
        waiting = schedule.c.id == number, schedule.c.state == "waiting"
        changed = connection.execute(update(schedule).where(*waiting).values(state=state, reason=reason))
    return changed.rowcount == 1


def forget(engine: Engine, before: dt.datetime) -> int:
    """Delete lines that wait no more and whose moment is older; return how many."""
    with writing(engine) as connection:
        old = schedule.c.state != "waiting", schedule.c.at < before
        return connection.execute(delete(schedule).where(*old)).rowcount
