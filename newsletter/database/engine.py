"""Opens the one database of a project, at the newest schema, with real transactions.

What differs between SQLite and PostgreSQL is in the modules of their names; whoever reads and writes need not know.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

from newsletter import source
from newsletter.database import postgresql, schema, sqlite
from newsletter.database.failures import BUSY, explain, is_environmental
from newsletter.database.locks import Turns, alone
from newsletter.errors import NewsletterError, TryLaterError

__all__ = ["Connection", "Engine", "alone", "drop_old_pages", "file_of", "open_database", "reading", "writing"]

BUSY_SECONDS = 30.0  # an import of 100,000 readers holds the write lock for a few seconds

_POOL = {"pool_size": 20, "max_overflow": 20}  # twenty threads, each of which may read while it writes
_READING: dict[str, dict[str, Any]] = {
    "sqlite": {"newsletter_reading": True},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}


def open_database(url: str, root: Path, said: str = "newsletter.yaml: database") -> Engine:
    """Open the database that `url` names (a relative path starts at `root`), making or migrating it as needed.

    `said` is where the URL was written. Raises NewsletterError for a scheme, file or server that cannot be used, a
    schema newer than this program, a full disk; TryLaterError when another program holds it for too long, or the
    server does not answer.
    """
    engine = _engine(url, root, said)
    try:
        _bring_to_head(engine)
    except NewsletterError:
        engine.dispose()
        raise
    return engine


def _engine(url: str, root: Path, said: str) -> Engine:
    scheme, separator, rest = url.partition("://")
    if separator and scheme in ("postgresql", "postgres"):
        return postgresql.make_engine(url, BUSY_SECONDS, said, **_POOL)
    if separator and scheme != "sqlite":  # the rest is not repeated: it may hold a password
        raise NewsletterError(f"{said}: '{scheme}' is not supported; write {sqlite.EXAMPLE} or {postgresql.EXAMPLE}")
    return sqlite.make_engine(sqlite.path_of(rest, root, said), BUSY_SECONDS, **_POOL)


def _bring_to_head(engine: Engine) -> None:
    file = file_of(engine)
    with reading(engine) as connection:
        if engine.dialect.name == "postgresql":
            postgresql.refuse_unfit(connection, file)
        version = schema.version(connection)
        if engine.dialect.name == "sqlite" and version is not None:
            sqlite.refuse_damaged(connection, file)
    if version != schema.head():
        with writing(engine) as connection:
            schema.migrate(connection, file)


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Read from one snapshot; writers go on meanwhile. Raises NewsletterError when disk, file or server fail."""
    with _explained(engine), engine.connect() as connection:
        yield connection.execution_options(**_READING[engine.dialect.name])


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Write in one transaction: all of it is stored, or nothing. Raises as `reading`, and TryLaterError when busy.

    SQLite lets one transaction write at a time. On PostgreSQL many do, each seeing what was committed before each of
    its statements: who decides by what was read before asks with `alone` first.
    """
    with _explained(engine), _turn(engine), engine.begin() as connection:
        yield connection


@contextlib.contextmanager
def _turn(engine: Engine) -> Iterator[None]:
    """Queue up before SQLite's lock, for which threads would otherwise ask again and again, in no order."""
    turns: Turns | None = engine.get_execution_options().get("newsletter_turns")
    if turns is None:
        yield
        return
    with turns.turn(BUSY_SECONDS) as came:
        if not came:
            raise TryLaterError(f"{file_of(engine)}: {BUSY}")
        yield


def drop_old_pages(engine: Engine, *tables: str) -> None:
    """Clear away what was erased from tables, as far as the database does so at once.

    SQLite overwrites it and empties its log. PostgreSQL makes it unreachable and writes over it later; copies in its
    own log and in backups go when those do (docs/postgresql.md).
    """
    if engine.dialect.name == "postgresql":
        with _explained(engine), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            postgresql.vacuum(connection, tables)
        return
    with _explained(engine), contextlib.closing(engine.raw_connection()) as connection:
        sqlite.empty_log(connection, BUSY_SECONDS)


@contextlib.contextmanager
def _explained(engine: Engine) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if is_environmental(error):
            raise explain(error, file_of(engine)) from error
        raise


def file_of(engine: Engine) -> str:
    """Name the database as the person at the keyboard would, without a password."""
    if engine.dialect.name == "postgresql":
        return postgresql.described(engine.url)
    return source.display(Path(engine.url.database or ""))
