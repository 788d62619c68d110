"""Column types that every table uses alike."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from sqlalchemy import DateTime
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[dt.datetime]):
    """A moment in UTC, aware in Python. SQLite keeps it as text without an offset, so that it sorts like time.

    The processors do in one call what the general way does in five: an import binds four moments for each reader.
    """

    impl = DateTime
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[dt.datetime | None], Any]:
        """Return what writes a moment; it raises ValueError for one without an offset: nobody knows when that is."""
        return _as_text if dialect.name == "sqlite" else _without_zone

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], dt.datetime | None]:
        """Return what reads a moment."""
        del coltype
        return _from_text if dialect.name == "sqlite" else _in_utc


def _without_zone(value: dt.datetime | None) -> dt.datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError("a moment without a time zone cannot be stored")
    return value.astimezone(dt.UTC).replace(tzinfo=None)


def _as_text(value: dt.datetime | None) -> str | None:
    bare = _without_zone(value)
    return None if bare is None else bare.isoformat(" ", "microseconds")  # what SQLAlchemy writes, too


def _from_text(value: str | None) -> dt.datetime | None:
    return None if value is None else dt.datetime.fromisoformat(value).replace(tzinfo=dt.UTC)


def _in_utc(value: dt.datetime | None) -> dt.datetime | None:
    return None if value is None else value.replace(tzinfo=dt.UTC)
