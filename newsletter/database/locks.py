"""Who may write when: threads of one program in the order they came, and transactions of all programs one by one."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator

from sqlalchemy import Connection, func, select


class Turns:
    """Lets threads take turns, first come first served."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()  # whose turn it is stands first

    @contextlib.contextmanager
    def turn(self, seconds: float) -> Iterator[bool]:
        """Wait for a turn, and have it; False when it did not come in time."""
        mine = threading.Event()
        try:
            with self._guard:
                self._waiting.append(mine)
                self._waiting[0].set()
            yield mine.wait(seconds)
        finally:
            with self._guard:
                with contextlib.suppress(ValueError):  # an interrupt may have come before it stood there
                    self._waiting.remove(mine)
                if self._waiting:
                    self._waiting[0].set()


def alone(connection: Connection, what: str) -> None:
    """Let no other transaction that asks for the same thing go on until this one ends.

    For PostgreSQL, where writers run side by side; SQLite has one writer at a time anyway. Asking twice is asking once.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"newsletter {what}", 0))))
