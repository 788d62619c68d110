"""A book of readers in a new database of either kind, with a clock that tests turn."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from postgres import Cluster
from sqlalchemy import Engine

from newsletter.database.engine import open_database
from newsletter.subscribers.book import Book

Opened = Callable[[Path], AbstractContextManager[Engine]]
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
def opened(kind: str, blank: Path, request: pytest.FixtureRequest) -> Opened:
    """Open a database without readers for as long as a `with` lasts; on a server the folder says nothing."""

    @contextmanager
    def in_file(folder: Path) -> Iterator[str]:
        (folder / "subscribers").mkdir()
        shutil.copy(blank, folder / "subscribers" / "newsletter.db")
        yield "sqlite:///subscribers/newsletter.db"

    @contextmanager
    def on_server(folder: Path) -> Iterator[str]:
        del folder
        cluster: Cluster = request.getfixturevalue("postgres")
        with cluster.lent() as url:
            yield url

    @contextmanager
    def open_in(folder: Path) -> Iterator[Engine]:
        with (in_file if kind == "sqlite" else on_server)(folder) as url:
            engine = open_database(url, folder)
            yield engine
            engine.dispose()

    return open_in


@pytest.fixture
def engine(tmp_path: Path, opened: Opened) -> Iterator[Engine]:
    with opened(tmp_path) as engine:
        yield engine


@pytest.fixture
def book(engine: Engine, clock: Clock) -> Book:
    return Book(engine, clock, SECRET)
