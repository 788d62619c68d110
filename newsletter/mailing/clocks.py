"""The clock that all who send a mailing go by: with PostgreSQL the server's, so that machines need not agree."""

from __future__ import annotations

import datetime as dt
import threading
import time

from sqlalchemy import Engine, text

from newsletter.database.engine import reading
from newsletter.errors import NewsletterError
from newsletter.mailing.orders import utc_now
from newsletter.mailing.pace import Clock

LOOK_EVERY = 60.0  # seconds, at the server's clock


def database_clock(engine: Engine) -> Clock:
    """Return the clock of a database's server; of SQLite, which has none, this machine's.

    Raises TryLaterError when the server does not answer.
    """
    return _ServerClock(engine) if engine.dialect.name == "postgresql" else utc_now


class _ServerClock:
    """The server's time, carried on by this machine's steady clock, and looked up anew now and then."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._looking = threading.Lock()
        self._known = self._look()
        self._looked = self._known[1]

    def __call__(self) -> dt.datetime:
        if steady() - self._looked >= LOOK_EVERY and self._looking.acquire(blocking=False):
            try:
                self._looked = steady()
                self._known = self._look()
            except NewsletterError:
                pass  # whoever needs the server will say that it is not there; the steady clock goes on
            finally:
                self._looking.release()
        moment, at = self._known
        return moment + dt.timedelta(seconds=steady() - at)

    def _look(self) -> tuple[dt.datetime, float]:
        """Return what the server's clock showed, and the steady clock's seconds at that moment."""
        with reading(self._engine) as connection:
            connection.execute(text("SELECT 1"))  # opens connection and transaction, which takes longer than the look
            before = steady()
            moment: dt.datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
            return moment.astimezone(dt.UTC), (before + steady()) / 2


def steady() -> float:
    """Return seconds that only grow, also while the machine sleeps, where the system counts them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
