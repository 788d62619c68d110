"""Column types that every table uses alike."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from sqlalchemy import DateTime
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[dt.datetime]):
    """A moment in UTC: aware in Python, text without an offset in SQLite, so that it sorts like time.

    The processors do in one call what the general way does in five: an import binds four moments for each reader.
    """

    impl = DateTime
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[dt.datetime | None], str | None]:
        """Return what writes a moment; it raises ValueError for one without an offset: nobody knows when that is."""
        del dialect
        return _written

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], dt.datetime | None]:
        """Return what reads a moment."""
        del dialect, coltype
        return _read


def _written(value: dt.datetime | None) -> str | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError("a moment without a time zone cannot be stored")
    return value.astimezone(dt.UTC).isoformat(" ", "microseconds")[:26]  # what SQLAlchemy writes, too


def _read(value: str | None) -> dt.datetime | None:
    return None if value is None else dt.datetime.fromisoformat(value).replace(tzinfo=dt.UTC)
