from __future__ import annotations

import datetime as dt
import threading

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from newsletter.database.engine import reading, writing
from newsletter.subscribers.book import Book
from newsletter.subscribers.consent import ConsentLog, Record
from newsletter.subscribers.tables import consent, seal

NOW = dt.datetime(2016, 4, 22, 12, tzinfo=dt.UTC)
SECRET = b"a secret only the tests know"


@pytest.fixture
def log(book: Book) -> ConsentLog:
    with writing(book.engine) as connection:
        for number in range(5):
            book.log.append(connection, [Record(NOW, "joined", "weekly", bytes([number]) * 32, f"form {number}")])
    return book.log


def verify(book: Book, log: ConsentLog) -> tuple[str, ...]:
    with reading(book.engine) as connection:
        return log.verify(connection)


def tamper(book: Book, *statements) -> None:
    """Do what somebody with the file at hand can do: without the triggers."""
    with writing(book.engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        else:
            connection.exec_driver_sql("DROP TRIGGER IF EXISTS consent_is_never_deleted")
            connection.exec_driver_sql("DROP TRIGGER IF EXISTS consent_is_never_changed")
        for statement in statements:
            connection.execute(statement)


def test_a_log_nobody_touched_is_sound(book: Book, log: ConsentLog) -> None:
    assert verify(book, log) == ()
    assert verify(book, ConsentLog(SECRET)) == ()


def test_records_that_several_append_at_once_are_one_chain(book: Book) -> None:
    start = threading.Barrier(4, timeout=60)

    def append(number: int) -> None:
        start.wait()
        for turn in range(5):
            with writing(book.engine) as connection:
                book.log.append(connection, [Record(NOW, "joined", "weekly", bytes([number]) * 32, f"form {turn}")])

    threads = [threading.Thread(target=append, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verify(book, book.log) == ()
    with reading(book.engine) as connection:
        assert len(connection.execute(select(consent)).all()) == 20


def test_an_empty_log_is_sound(book: Book) -> None:
    assert verify(book, book.log) == ()
    with writing(book.engine) as connection:
        book.log.append(connection, [])
    assert verify(book, book.log) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"at": NOW + dt.timedelta(days=1)},
        {"action": "left"},
        {"list": "press"},
        {"address_hash": b"\xff" * 32},
        {"evidence_hash": b"\xff" * 32},
        {"evidence": "another form"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_row_is_refused_by_the_database_and_found_by_the_chain(book: Book, log: ConsentLog, change) -> None:
    statement = update(consent).where(consent.c.id == 3).values(change)
    with pytest.raises(IntegrityError, match="append-only"), writing(book.engine) as connection:
        connection.execute(statement)
    assert verify(book, log) == ()
    tamper(book, statement)
    assert any("row 3" in line and "not what was written" in line for line in verify(book, log))


def test_a_changed_hash_is_found(book: Book, log: ConsentLog) -> None:
    tamper(book, update(consent).where(consent.c.id == 3).values(hash=b"\xff" * 32))
    assert verify(book, log) == (
        "consent log: row 3 is not what was written",
        "consent log: row 4 is not what was written",
    )


def test_a_removed_row_is_refused_and_found(book: Book, log: ConsentLog) -> None:
    statement = delete(consent).where(consent.c.id == 3)
    with pytest.raises(IntegrityError, match="append-only"), writing(book.engine) as connection:
        connection.execute(statement)
    tamper(book, statement)
    assert verify(book, log) == ("consent log: rows 3 to 3 are missing",)


def test_a_cut_off_end_is_found(book: Book, log: ConsentLog) -> None:
    tamper(book, delete(consent).where(consent.c.id > 3))
    line = "consent log: rows after row {} are missing, or were added by another program"
    assert verify(book, log) == (line.format(3),)
    tamper(book, delete(consent))
    assert verify(book, log) == (line.format(0),)
    with writing(book.engine) as connection:
        connection.execute(delete(seal).where(seal.c.name == "consent-end"))
    assert verify(book, log) == ()  # nothing at all is what a new log looks like


def test_a_row_somebody_adds_is_found(book: Book, log: ConsentLog) -> None:
    with writing(book.engine) as connection:
        row = dict(connection.execute(select(consent).where(consent.c.id == 5)).mappings().one())
        connection.execute(insert(consent), [{**row, "id": 6}])
    assert verify(book, log) == (
        "consent log: row 6 is not what was written",
        "consent log: rows after row 6 are missing, or were added by another program",
    )


def test_the_words_of_an_erased_reader_may_go_and_of_nobody_else(book: Book, log: ConsentLog) -> None:
    with writing(book.engine) as connection:
        log.append(connection, [Record(NOW, "erased", "", bytes([2]) * 32, "")])
        log.forget(connection, bytes([2]) * 32)
        words = list(connection.scalars(select(consent.c.evidence).order_by(consent.c.id)))
    assert words == ["form 0", "form 1", None, "form 3", "form 4", None]
    assert verify(book, log) == ()
    with writing(book.engine) as connection:
        log.forget(connection, bytes([3]) * 32)
    assert verify(book, log) == ("consent log: the words of row 4 are gone, but its reader was not erased",)


def test_words_that_went_cannot_come_back_as_others(book: Book, log: ConsentLog) -> None:
    with writing(book.engine) as connection:
        log.forget(connection, bytes([2]) * 32)
    with pytest.raises(IntegrityError, match="append-only"), writing(book.engine) as connection:
        connection.execute(update(consent).where(consent.c.id == 3).values(evidence="form 2"))


@pytest.mark.usefixtures("log")
def test_another_secret_finds_nothing_right(book: Book) -> None:
    assert len(verify(book, ConsentLog(b"another"))) == 11
