"""What went wrong with the database, said in one line that tells what to do."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from newsletter.errors import NewsletterError, TryLaterError

# By SQLite's primary result codes, https://www.sqlite.org/rescode.html (read 2026-11-20).
_ADVICE: dict[int, str] = {
    sqlite3.SQLITE_FULL: "the disk is full; nothing of this step was stored. Make room and run it again",
    sqlite3.SQLITE_IOERR: "the disk refused to read or write; see that it has room and is healthy, then run it again",
    sqlite3.SQLITE_READONLY: "the database can only be read; make the file and its folder writable for you",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened; make the file and its folder writable for you",
    sqlite3.SQLITE_PERM: "you may not open this database; make the file readable and writable for you",
    sqlite3.SQLITE_NOTADB: "this file is not a database; put it elsewhere, or restore the database from a backup",
    sqlite3.SQLITE_CORRUPT: "the database is damaged; nothing was changed. Restore it from a backup",
}
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def is_environmental(error: SQLAlchemyError) -> bool:
    """Say whether the surroundings failed (disk, file, another program) and not this program's own statement."""
    return isinstance(error, PoolTimeoutError) or _code(error) in _ADVICE.keys() | _BUSY


def explain(error: SQLAlchemyError, file: str = "the database") -> NewsletterError:
    """Turn an error met at run time into a line to act on: TryLaterError when the database is only busy."""
    code = _code(error)
    if code in _BUSY or isinstance(error, PoolTimeoutError):
        return TryLaterError(f"{file}: another program is writing to the database; try again in a minute")
    if code in _ADVICE:
        return NewsletterError(f"{file}: {_ADVICE[code]}")
    cause = error.orig if isinstance(error, DBAPIError) else error
    return NewsletterError(f"{file}: the database refused: {' '.join(str(cause).split())}")


def _code(error: SQLAlchemyError) -> int | None:
    """Return SQLite's primary result code: the low byte of the extended one."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    code = getattr(cause, "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF
