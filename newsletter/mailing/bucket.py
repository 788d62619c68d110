"""How fast a carrier may be called, kept in the ledger and so shared by all who send: GCRA, one row a name.

A row holds the theoretical arrival time of the next call (ITU-T I.371). Calls are reserved some at a time, so that a
fast rate does not cost a commit for each call.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable

from sqlalchemy import Connection, Engine, bindparam, select, text

from newsletter.database.engine import writing
from newsletter.mailing.tables import rate

_BLOCK_SECONDS = 0.2  # how much of the time ahead one reservation takes
_MAKE = text("INSERT INTO rate (name, tat) VALUES (:name, 0) ON CONFLICT (name) DO NOTHING")
_RESERVE = text(
    "UPDATE rate SET tat = (CASE WHEN tat > :now AND tat < :now + :most THEN tat ELSE :now END) + :step"
    " WHERE name = :name RETURNING tat"
)
_TAKE = text(
    "UPDATE rate SET tat = (CASE WHEN tat > :now AND tat < :now + :most THEN tat ELSE :now END) + :step"
    " WHERE name = :name AND (tat <= :latest OR tat >= :now + :most) RETURNING tat"
)
_READ = select(rate.c.tat).where(rate.c.name == bindparam("name"))
_HOLD = text("UPDATE rate SET tat = :until WHERE name = :name AND tat < :until")


def _most(step: float) -> float:
    """Say how many seconds ahead the next call can be; what lies farther was written before a clock was set back."""
    return 60 + 1000 * step


class Bucket:
    """Hands out the moments at which calls may be made, for all lanes of one process."""

    def __init__(self, engine: Engine, name: str, per_second: float, clock: Callable[[], dt.datetime]) -> None:
        self._engine = engine
        self._name = f"rate/{name}"
        self._step = 1 / per_second
        self._block = max(1, int(per_second * _BLOCK_SECONDS))
        self._clock = clock
        self._next = 0.0
        self._left = 0
        self._lock = threading.Lock()

    def wait(self) -> float:
        """Take one call; return how many seconds to wait before it."""
        with self._lock:
            now = self._clock().timestamp()
            if self._left == 0 or self._next - now > _most(self._step * self._block):
                self._next = reserve(self._engine, self._name, self._step * self._block, now)
                self._left = self._block
            moment = self._next
            self._next += self._step
            self._left -= 1
        return max(moment - now, 0.0)


def reserve(engine: Engine, name: str, step: float, now: float) -> float:
    """Take `step` seconds of a name's time; return when they begin, in seconds since 1970."""
    with writing(engine) as connection:
        connection.execute(_MAKE, {"name": name})
        tat: float = connection.execute(
            _RESERVE, {"name": name, "now": now, "step": step, "most": _most(step)}
        ).scalar_one()
    return tat - step


def take(engine: Engine, name: str, step: float, now: float, patience: float) -> tuple[bool, float]:
    """Take one call if its turn comes within `patience` seconds; return whether, and how many seconds are to wait."""
    with writing(engine) as connection:
        connection.execute(_MAKE, {"name": name})
        values = {"name": name, "now": now, "step": step, "latest": now + patience, "most": _most(step)}
        tat = connection.execute(_TAKE, values).scalar()
        if tat is not None:
            return True, max(tat - step - now, 0.0)
        tat = connection.execute(_READ, {"name": name}).scalar_one()
    return False, tat - now


def hold(connection: Connection, name: str, until: dt.datetime) -> None:
    """Keep everybody from a carrier until a moment; an earlier one than is known already changes nothing."""
    connection.execute(_MAKE, {"name": f"hold/{name}"})
    connection.execute(_HOLD, {"name": f"hold/{name}", "until": until.timestamp()})


def held_until(connection: Connection, name: str, now: dt.datetime) -> dt.datetime | None:
    """Say until when a carrier is to be left alone; None when it may be called."""
    tat = connection.execute(_READ, {"name": f"hold/{name}"}).scalar()
    if tat is None or tat <= now.timestamp():
        return None
    return dt.datetime.fromtimestamp(tat, dt.UTC)
