from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from newsletter.database import engine as engine_module
from newsletter.database.engine import alone, open_database, reading, writing
from newsletter.database.locks import Turns
from newsletter.errors import TryLaterError
from newsletter.subscribers.tables import seal


def test_turns_come_in_the_order_in_which_they_were_asked_for() -> None:
    turns, came = Turns(), []

    def ask(number: int, asked: threading.Event) -> None:
        asked.set()
        with turns.turn(30) as mine:
            came.append((number, mine))

    with turns.turn(30):
        threads = []
        for number in range(5):
            asked = threading.Event()
            threads.append(threading.Thread(target=ask, args=(number, asked)))
            threads[-1].start()
            asked.wait()
            while len(turns._waiting) < number + 2:  # it stands in the queue
                pass
        assert came == []
    for thread in threads:
        thread.join()
    assert came == [(number, True) for number in range(5)]


def test_a_turn_that_does_not_come_in_time_is_given_to_the_next() -> None:
    turns = Turns()
    with turns.turn(30) as first:
        with turns.turn(0.01) as second:
            assert (first, second) == (True, False)
        with turns.turn(0.01) as third:
            assert not third
    with turns.turn(0) as fourth:
        assert fourth


def test_a_turn_ends_with_an_error_too() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="mine"), turns.turn(0):
        raise ValueError("mine")
    with turns.turn(0) as mine:
        assert mine


@pytest.fixture
def engine(tmp_path: Path, database_url: str):
    opened = open_database(database_url, tmp_path)
    yield opened
    opened.dispose()


def test_the_same_thing_is_for_one_at_a_time(engine, tmp_path: Path, database_url: str, monkeypatch) -> None:
    monkeypatch.setattr(engine_module, "BUSY_SECONDS", 0.05)
    other = open_database(database_url, tmp_path)
    with writing(engine) as connection:
        alone(connection, "book")
        alone(connection, "book")
        with pytest.raises(TryLaterError, match="another program is writing"), writing(other) as second:
            alone(second, "book")
    with writing(other) as second:
        alone(second, "book")
    other.dispose()


@pytest.mark.parametrize("kind", ["postgresql"])
def test_other_things_are_written_side_by_side(engine) -> None:
    with writing(engine) as first, writing(engine) as second, writing(engine) as third:
        alone(first, "book")
        alone(second, "mailing 1")
        for name, connection in (("a", first), ("b", second), ("c", third)):
            connection.execute(insert(seal), [{"name": name, "value": b""}])
    with reading(engine) as connection:
        assert set(connection.scalars(select(seal.c.name))) == {"a", "b", "c"}


def test_twenty_threads_write_and_read_at_once(engine) -> None:
    start = threading.Barrier(20, timeout=60)
    failed = []

    def work(number: int) -> None:
        start.wait()
        try:
            for turn in range(3):
                with writing(engine) as connection, reading(engine) as snapshot:
                    snapshot.execute(select(seal)).all()
                    connection.execute(insert(seal), [{"name": f"{number}.{turn}", "value": b""}])
        except Exception as error:  # noqa: BLE001 - shown below
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with reading(engine) as connection:
        assert len(connection.execute(select(seal)).all()) == 60
