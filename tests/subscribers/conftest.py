"""A book of readers in a new database, with a clock that tests turn."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from newsletter.database.engine import open_database
from newsletter.subscribers.book import Book

SECRET = b"a secret only the tests know"


class Clock:
    """Stands still until it is turned."""

    def __init__(self) -> None:
        self.now = dt.datetime(2016, 4, 1, 9, 30, 15, 123456, dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now

    def turn(self, **by: int) -> None:
        self.now += dt.timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without readers, made once: each test starts from a copy."""
    folder = tmp_path_factory.mktemp("blank")
    open_database("sqlite:///blank.db", folder).dispose()
    return folder / "blank.db"


@pytest.fixture
def engine(tmp_path: Path, blank: Path) -> Iterator[Engine]:
    (tmp_path / "subscribers").mkdir()
    shutil.copy(blank, tmp_path / "subscribers" / "newsletter.db")
    opened = open_database("sqlite:///subscribers/newsletter.db", tmp_path)
    yield opened
    opened.dispose()


@pytest.fixture
def book(engine: Engine, clock: Clock) -> Book:
    return Book(engine, clock, SECRET)
