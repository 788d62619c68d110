"""The house every test of this room starts from."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import psycopg.conninfo
import pytest
from mailing_house import House
from postgres import Cluster

from newsletter.database.engine import open_database
from newsletter.mailing import queue

sys.path.append(str(Path(__file__).resolve().parent.parent / "providers"))  # the carriers' stand-ins


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "project")
    yield made
    made.engine.dispose()


@pytest.fixture
def hangups_heard() -> Iterator[None]:
    """Let a hangup through, to child processes too, even if the tests themselves were started by nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session")
def queue_template(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database with all tables, ours and the queue's, to be copied."""
    url = postgres.url()
    engine = open_database(url, tmp_path_factory.getbasetemp())
    queue.install(engine)
    engine.dispose()
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


@pytest.fixture
def shared_house(postgres: Cluster, queue_template: str, tmp_path: Path) -> Iterator[House]:
    """A house whose database several machines could share, with a job queue in it."""
    url = postgres.url(queue_template)
    made = House(tmp_path / "project", url=url)
    yield made
    made.engine.dispose()
    postgres.drop(url)
