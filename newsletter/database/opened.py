"""A database that is open for one step, and closed after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from newsletter.database.engine import open_database


@contextmanager
def opened(url: str, root: Path) -> Iterator[Engine]:
    """Open the database that a project's settings name. Raises NewsletterError and TryLaterError as `open_database`."""
    engine = open_database(url, root)
    try:
        yield engine
    finally:
        engine.dispose()
