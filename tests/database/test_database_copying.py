from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert, select

from newsletter.database import engine as engine_module
from newsletter.database.copying import copy_rows, counts, filled, hold_still
from newsletter.database.engine import open_database, reading, writing
from newsletter.errors import TryLaterError
from newsletter.subscribers.tables import metadata, seal

TABLES = tuple(metadata.sorted_tables)


@pytest.fixture
def engine(tmp_path: Path, database_url: str):
    opened = open_database(database_url, tmp_path)
    yield opened
    opened.dispose()


def test_nobody_writes_to_a_database_that_is_held_still_and_all_may_read(
    engine, tmp_path: Path, database_url: str, monkeypatch
) -> None:
    monkeypatch.setattr(engine_module, "BUSY_SECONDS", 0.05)
    other = open_database(database_url, tmp_path)
    with writing(engine) as connection:
        hold_still(connection, TABLES)
        with pytest.raises(TryLaterError), writing(other) as second:
            second.execute(insert(seal), [{"name": "late", "value": b""}])
        with reading(other) as second:
            assert filled(second, TABLES) is None
    other.dispose()


def test_any_value_arrives_as_it_was_and_progress_is_told(engine, tmp_path: Path) -> None:
    odd = [{"name": f"{n} \\N\t\n\"',é🦊"[:20], "value": bytes(range(256)) * n} for n in range(3)]
    source = open_database("sqlite:///source.db", tmp_path)
    told: list[tuple[int, int]] = []
    with writing(source) as old:
        old.execute(insert(seal), odd)
        with writing(engine) as new:
            assert copy_rows(old, new, TABLES, lambda done, total: told.append((done, total))) == 3
            assert counts(new, TABLES) == counts(old, TABLES)
    with reading(engine) as new:
        assert [row._asdict() for row in new.execute(select(seal).order_by(seal.c.name))] == odd
    source.dispose()
    assert told == [(3, 3)]


def test_a_copy_that_fails_leaves_nothing(engine, tmp_path: Path) -> None:
    source = open_database("sqlite:///source.db", tmp_path)

    def stop(done: int, total: int) -> None:
        raise InterruptedError(done, total)

    with pytest.raises(InterruptedError), writing(source) as old:  # noqa: PT012 - two databases, one failure
        old.execute(insert(seal), [{"name": "a", "value": b""}])
        with writing(engine) as new:
            copy_rows(old, new, TABLES, stop)
    with reading(engine) as new:
        assert filled(new, TABLES) is None
    source.dispose()
