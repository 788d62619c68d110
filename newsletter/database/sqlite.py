"""SQLite: one file, for one machine.

Every writing transaction starts with BEGIN IMMEDIATE, so that two programs queue up at the start and never fail
half-way; a reading one starts with a plain BEGIN: a snapshot that waits for nobody.
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from newsletter import source
from newsletter.database.locks import Turns
from newsletter.errors import NewsletterError

EXAMPLE = "sqlite:///subscribers/newsletter.db"
QUICK_CHECK_BYTES = 16 * 1024 * 1024  # a whole check takes some hundredths of a second up to here

_PRAGMAS = (
    "PRAGMA synchronous=FULL",  # with NORMAL a power cut loses commits, and so intents that had already left
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",  # an erased reader's bytes are overwritten, not only unlinked
)


def make_engine(path: Path, busy_seconds: float, **pool: int) -> Engine:
    """Return the engine of a file, which is made when it is missing. Raises NewsletterError."""
    _make_file(path)
    # Not written as one text: a "?" in the name of the project's folder would end the path there.
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": busy_seconds},
        execution_options={"newsletter_turns": Turns()},
        **pool,
    )
    event.listen(engine, "connect", partial(_set_up, busy_seconds))
    event.listen(engine, "begin", _begin)
    return engine


def path_of(rest: str, root: Path, said: str) -> Path:
    """Return the file that stands after `sqlite://`; a relative path starts at `root`. Raises NewsletterError."""
    if not re.fullmatch(r"/[^?#\0]*[^?#/\0]", rest):
        raise NewsletterError(f"{said}: name a file, like {EXAMPLE}")
    return root / rest[1:]


def _make_file(path: Path) -> None:
    """Create a missing file so that only its owner can read it; SQLite gives its side files the same mode.

    One that is there is not opened: closing it would take away the locks that SQLite has on it in this process
    (sqlite.org/howtocorrupt.html, 2.2).
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():  # resolved, or a link to nothing would pass for a file that is there
            os.close(os.open(os.path.realpath(path), os.O_CREAT | os.O_RDWR, 0o600))
        elif path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except OSError as error:
        raise NewsletterError(f"{source.display(path)}: the database cannot be opened: {error.strerror}") from None


def _set_up(busy_seconds: float, dbapi_connection: Any, record: object) -> None:
    del record
    dbapi_connection.isolation_level = None  # the driver would begin by itself, but not before reads or DDL
    _use_wal(dbapi_connection, busy_seconds)
    for pragma in _PRAGMAS:
        dbapi_connection.execute(pragma)


def _use_wal(dbapi_connection: Any, busy_seconds: float) -> None:
    """Switch to the write-ahead log, which stays on; SQLite's own waiting does not cover this one step."""
    give_up = time.monotonic() + busy_seconds
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


def refuse_damaged(connection: Connection, file: str) -> None:
    """Look a small database through at once; damage in a large one shows when the damaged part is read."""
    size = connection.exec_driver_sql("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").scalar()
    if (size or 0) <= QUICK_CHECK_BYTES and connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok":
        raise NewsletterError(f"{file}: the database is damaged; nothing was changed. Restore it from a backup")


def empty_log(dbapi_connection: Any, busy_seconds: float) -> None:
    """Move what is in the write-ahead log into the database and empty it.

    While somebody reads an older snapshot this cannot be done at once; SQLite does it when they are finished.
    """
    cursor = dbapi_connection.cursor()
    cursor.execute("PRAGMA busy_timeout=1000")
    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    cursor.execute(f"PRAGMA busy_timeout={busy_seconds * 1000:.0f}")
