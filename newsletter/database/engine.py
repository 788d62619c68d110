"""Opens the one database of a project, at the newest schema, with real transactions.

Every transaction starts with BEGIN IMMEDIATE, so that two writers queue up at the start and never fail half-way;
`reading` starts a plain BEGIN: a snapshot that waits for nobody.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from newsletter import source
from newsletter.database.failures import explain, is_environmental
from newsletter.errors import NewsletterError

BUSY_SECONDS = 30.0  # an import of 100,000 readers holds the write lock for a few seconds
QUICK_CHECK_BYTES = 16 * 1024 * 1024  # a whole check takes some hundredths of a second up to here
VERSIONS = Path(__file__).parent / "migrations" / "versions"

_EXAMPLE = "sqlite:///subscribers/newsletter.db"
_PRAGMAS = (
    "PRAGMA synchronous=FULL",  # with NORMAL a power cut loses commits, and so intents that had already left
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",  # an erased reader's bytes are overwritten, not only unlinked
)


def open_database(url: str, root: Path) -> Engine:
    """Open the database that `url` names (a relative path starts at `root`), making or migrating it as needed.

    Raises NewsletterError for a scheme or file that cannot be used, a schema newer than this program, a full disk;
    TryLaterError when another program holds it for too long.
    """
    path = _path(url, root)
    _make_file(path)
    # Not written as one text: a "?" in the name of the project's folder would end the path there.
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    try:
        _bring_to_head(engine)
    except NewsletterError:
        engine.dispose()
        raise
    return engine


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Read from one snapshot; writers go on meanwhile. Raises NewsletterError when disk or file fail."""
    with _explained(engine), engine.connect() as connection:
        yield connection.execution_options(newsletter_reading=True)


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Write in one transaction: all of it is stored, or nothing. Raises as `reading`, and TryLaterError when busy."""
    with _explained(engine), engine.begin() as connection:
        yield connection


def drop_old_pages(engine: Engine) -> None:
    """Move what is in the write-ahead log into the database and empty it, so that erased text is in neither.

    While somebody reads an older snapshot this cannot be done at once; SQLite does it when they are finished.
    """
    with _explained(engine), contextlib.closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout=1000")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000:.0f}")


@contextlib.contextmanager
def _explained(engine: Engine) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        if is_environmental(error):
            raise explain(error, file_of(engine)) from error
        raise


def file_of(engine: Engine) -> str:
    """Name the database as the person at the keyboard would."""
    return source.display(Path(engine.url.database or ""))


def head() -> str:
    """Return the newest revision this program knows: migrations are one line of files, numbered in their order."""
    return _known()[-1]


@cache
def _known() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in VERSIONS.glob("[0-9][0-9][0-9][0-9]_*.py")))


def _path(url: str, root: Path) -> Path:
    scheme, separator, rest = url.partition("://")
    if separator and scheme != "sqlite":  # the rest is not repeated: it may hold a password
        raise NewsletterError(
            f"newsletter.yaml: database: '{scheme}' is not supported by this version; write {_EXAMPLE}"
        )
    if not re.fullmatch(r"/[^?#\0]*[^?#/\0]", rest):
        raise NewsletterError(f"newsletter.yaml: database: name a file, like {_EXAMPLE}")
    return root / rest[1:]


def _make_file(path: Path) -> None:
    """Create a missing file so that only its owner can read it; SQLite gives its side files the same mode."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise NewsletterError(f"{source.display(path)}: the database cannot be opened: {error.strerror}") from None


def _set_up(dbapi_connection: Any, record: object) -> None:
    del record
    dbapi_connection.isolation_level = None  # the driver would begin by itself, but not before reads or DDL
    _use_wal(dbapi_connection)
    for pragma in _PRAGMAS:
        dbapi_connection.execute(pragma)


def _use_wal(dbapi_connection: Any) -> None:
    """Switch to the write-ahead log, which stays on; SQLite's own waiting does not cover this one step."""
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            dbapi_connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get("newsletter_reading", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _bring_to_head(engine: Engine) -> None:
    with reading(engine) as connection:
        version = _version(connection)
        damaged = version is not None and _is_damaged(connection)
    if damaged:
        raise NewsletterError(
            f"{file_of(engine)}: the database is damaged; nothing was changed. Restore it from a backup"
        )
    if version == head():
        return
    with writing(engine) as connection:
        _migrate(connection, file_of(engine))


def _version(connection: Connection) -> str | None:
    found = connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").scalar()
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() if found else None


def _is_damaged(connection: Connection) -> bool:
    """Look a small database through at once; damage in a large one shows when the damaged part is read."""
    size = connection.exec_driver_sql("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").scalar()
    return (size or 0) <= QUICK_CHECK_BYTES and connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok"


def _migrate(connection: Connection, file: str) -> None:
    """Run the missing migrations in the transaction that is open: another program may have run them meanwhile."""
    version = _version(connection)
    if version is None and connection.exec_driver_sql("SELECT 1 FROM sqlite_master").scalar():
        raise NewsletterError(f"{file}: this is another program's database; name a new file in newsletter.yaml")
    if version is not None and version not in _known():
        raise NewsletterError(
            f"{file}: a newer version of this program has changed the database (schema {version}); upgrade the program"
        )
    from alembic import command  # noqa: PLC0415 - a third of a second that only the first run after an upgrade pays
    from alembic.config import Config  # noqa: PLC0415 - the same

    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
