"""What went wrong with the database, said in one line that tells what to do."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from newsletter.errors import NewsletterError, TryLaterError

BUSY = "another program is writing to the database; try again in a minute"
_FULL = "the disk is full; nothing of this step was stored. Make room and run it again"
_BROKEN_DISK = "the disk refused to read or write; see that it has room and is healthy, then run it again"
_DAMAGED = "the database is damaged; nothing was changed. Restore it from a backup"
_MANY = "the server has no connection left for us; try again in a minute, or raise max_connections"
_LOST = "the connection to the server was lost; what was stored before is stored. Try again when it is back"
_RESTART = "the server is being stopped or started; try again in a minute"

# By SQLite's primary result codes, https://www.sqlite.org/rescode.html (read 2026-11-20).
_SQLITE: dict[int, str] = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: _BROKEN_DISK,
    sqlite3.SQLITE_READONLY: "the database can only be read; make the file and its folder writable for you",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened; make the file and its folder writable for you",
    sqlite3.SQLITE_PERM: "you may not open this database; make the file readable and writable for you",
    sqlite3.SQLITE_NOTADB: "this file is not a database; put it elsewhere, or restore the database from a backup",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
}
_SQLITE_LATER: dict[int, str] = {sqlite3.SQLITE_BUSY: BUSY, sqlite3.SQLITE_LOCKED: BUSY}

# By PostgreSQL's error codes or their classes, https://www.postgresql.org/docs/current/errcodes-appendix.html (read
# 2026-11-21). "{cause}" is the server's own sentence.
_POSTGRESQL: dict[str, str] = {
    "25006": "the database can only be read: a standby, or set so by its keeper",
    "28": "the server does not let us in: {cause}",
    "3D000": "there is no such database: {cause}; make it with createdb",
    "42501": "we may not do this here: {cause}; let the database's owner run it, or grant it",
    "53100": _FULL,
    "58": _BROKEN_DISK,
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
}
_POSTGRESQL_LATER: dict[str, str] = {
    "08": _LOST,
    "25P03": _LOST,  # we were silent for too long in the middle of a transaction
    "40": "another program changed the same rows at the same time; try again",
    "53200": "the server has no memory left; try again in a minute",
    "53300": _MANY,
    "55P03": BUSY,
    "57014": "the server took too long over this; try again when it is less busy",
    "57P": _RESTART,
}
# A connection that is not made comes without a code: libpq gives only sentences.
_NO_ENTRY = ("password", "pg_hba.conf", "does not exist", "not permitted", "Permission denied", "certificate")
_NO_ROOM = ("too many clients", "too many connections", "remaining connection slots")


def is_environmental(error: Exception) -> bool:
    """Say whether the surroundings failed (disk, file, server, another program) and not our own statement."""
    return _explained(error) is not None


def explain(error: Exception, file: str = "the database") -> NewsletterError:
    """Turn an error met at run time into a line to act on: TryLaterError when waiting may help."""
    kind, line = _explained(error) or (NewsletterError, "the database refused: {cause}")
    return kind(f"{file}: {line.replace('{cause}', _cause(error))}")


def _explained(error: Exception) -> tuple[type[NewsletterError], str] | None:
    if isinstance(error, PoolTimeoutError):
        return TryLaterError, BUSY
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(getattr(cause, "sqlite_errorcode", 0) & 0xFF)
    if type(cause).__module__.startswith("psycopg"):  # not imported: it may not be installed
        at_work = not isinstance(error, DBAPIError) or error.statement is not None or error.connection_invalidated
        return _of_postgresql(cause, connected=at_work)
    return None


def _of_sqlite(code: int) -> tuple[type[NewsletterError], str] | None:
    """Look up a primary result code: the low byte of the extended one."""
    if code in _SQLITE_LATER:
        return TryLaterError, _SQLITE_LATER[code]
    return (NewsletterError, _SQLITE[code]) if code in _SQLITE else None


def _of_postgresql(cause: Any, *, connected: bool) -> tuple[type[NewsletterError], str] | None:
    code = getattr(cause, "sqlstate", None)
    if code:
        for length in (5, 3, 2):
            if code[:length] in _POSTGRESQL_LATER:
                return TryLaterError, _POSTGRESQL_LATER[code[:length]]
            if code[:length] in _POSTGRESQL:
                return NewsletterError, _POSTGRESQL[code[:length]]
        return None
    if type(cause).__name__ not in ("OperationalError", "ConnectionTimeout"):
        return None
    if connected:
        return TryLaterError, _LOST
    if any(words in str(cause) for words in _NO_ROOM):
        return TryLaterError, _MANY
    if any(words in str(cause) for words in _NO_ENTRY):
        return NewsletterError, "the server does not let us in: {cause}"
    return TryLaterError, "the server cannot be reached: {cause}; try again when it is there"


def _cause(error: Exception) -> str:
    """Return the database's own sentence, on one line."""
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    said = getattr(getattr(cause, "diag", None), "message_primary", None)
    if said is None and type(cause).__module__.startswith("psycopg"):  # where we tried to connect to is said before
        said = (str(cause).rpartition(" failed: ")[2].splitlines() or [""])[0].removeprefix("FATAL:")
    return " ".join(str(said or cause).split())
