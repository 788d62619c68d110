"""The project's database on the desk: looked over, and copied into another one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from newsletter import config
from newsletter.database import copying
from newsletter.database.copying import Told
from newsletter.database.engine import Connection, Engine, file_of, open_database, reading, writing
from newsletter.desk.project import Desk, clock
from newsletter.errors import NewsletterError, TryLaterError
from newsletter.mailing import lease, ledger
from newsletter.mailing import tables as mailing_tables
from newsletter.subscribers import tables as subscribers_tables
from newsletter.subscribers.book import Book

_TABLES = (*subscribers_tables.metadata.sorted_tables, *mailing_tables.metadata.sorted_tables)
_TARGET = "--to"


@dataclass(frozen=True)
class Copied:
    """What was copied: from where to where, as messages name them, and what newsletter.yaml must say from now on."""

    source: str
    target: str
    rows: int
    mailings: int
    setting: str


@dataclass(frozen=True)
class Looked:
    """What was found in the project's database; `faults` is empty when it is sound."""

    database: str
    rows: int
    mailings: int
    faults: tuple[str, ...]


def check(desk: Desk) -> Looked:
    """Read the whole database: the consent log by its chain, every mailing reader by reader."""
    with _opened(desk, desk.project.database()) as engine:
        book = _book(desk, engine)
        with reading(engine) as connection:
            faults = book.log.verify(connection)
            rows = sum(copying.counts(connection, _TABLES).values())
        mailings = [one.mailing for one in ledger.status(engine)]
        faults += tuple(line for name in mailings for line in ledger.verify(engine, name))
        return Looked(file_of(engine), rows, len(mailings), faults)


def copy(desk: Desk, to: str, told: Told | None) -> Copied:
    """Copy the project's database into an empty one, and compare the two.

    `to` is an address like that in newsletter.yaml, or env:NAME or file:PATH for one. Nobody can write to either
    database meanwhile. Raises TryLaterError while somebody sends, NewsletterError when the other one is not empty or
    the copy is not the same.
    """
    root = desk.project.root
    url = config.resolve_secret(to, root) if re.match(r"(env|file):", to) else to
    with ExitStack() as held:
        source = held.enter_context(_opened(desk, desk.project.database()))
        target = held.enter_context(_opened(desk, url, _TARGET))
        book = _book(desk, source)
        if file_of(source) == file_of(target):
            raise NewsletterError(f"{_TARGET}: {file_of(target)} is the project's own database; name another one")
        with reading(target) as new:
            _refuse_filled(new, file_of(target))
        old = held.enter_context(writing(source))
        copying.hold_still(old, _TABLES)
        _refuse_senders(old)
        with writing(target) as new:
            copying.hold_still(new, _TABLES)
            _refuse_filled(new, file_of(target))
            rows = copying.copy_rows(old, new, _TABLES, told)
            _compare_rows(book, old, new, file_of(target))
        mailings = _compare_mailings(source, target)
        server = url == to and target.dialect.name == "postgresql"
        return Copied(file_of(source), file_of(target), rows, mailings, file_of(target) if server else to)


@contextmanager
def _opened(desk: Desk, url: str, said: str | None = None) -> Iterator[Engine]:
    named = {} if said is None else {"said": said}
    engine = open_database(url, desk.project.root, **named)
    try:
        yield engine
    finally:
        engine.dispose()


def _book(desk: Desk, engine: Engine) -> Book:
    """Open the book, which refuses another project's secret."""
    return Book(engine, clock, desk.project.secret())


def _refuse_filled(connection: Connection, file: str) -> None:
    table = copying.filled(connection, _TABLES)
    if table:
        raise NewsletterError(f"{file}: this database is not empty ('{table}'); name a new one")


def _refuse_senders(connection: Connection) -> None:
    here, now = lease.this_process(), clock()
    for table in (mailing_tables.sender, mailing_tables.worker):
        for row in connection.execute(table.select()):
            if not lease.is_gone(row, here, now):
                who = f"pid {row.pid} on {row.host}, since {row.since:%Y-%m-%d %H:%M} UTC"
                raise TryLaterError(f"somebody is sending ({who}); stop it or wait for its end, then copy")


def _compare_rows(book: Book, old: Connection, new: Connection, target: str) -> None:
    """Compare counts and the consent log while nothing is committed yet."""
    same = copying.counts(old, _TABLES) == copying.counts(new, _TABLES)
    if not same or book.log.verify(old) != book.log.verify(new):
        raise NewsletterError(f"{target}: the copy is not the same as the original; nothing was stored there")


def _compare_mailings(source: Engine, target: Engine) -> int:
    """Compare every mailing by its sums and reader by reader; return how many there are."""
    found = ledger.status(source)
    names = [one.mailing for one in found]
    differing = [name for name in names if ledger.verify(source, name) != ledger.verify(target, name)]
    if differing or ledger.status(target) != found:
        where = ", ".join(differing) or "the list of mailings"
        raise NewsletterError(f"{file_of(target)}: the copy differs in {where}; do not use it, and report this")
    return len(found)
