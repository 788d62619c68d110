"""Notes which message is being handed over, so that a killed sender leaves one reader unknown and not its whole chunk.

With SQLite the note goes into a file beside the database, a slot for each lane, written in place by one system call: it
survives the death of the process at once, and the power cut not always. That is why it is believed only while the
machine has not been started anew; the claim itself was forced to the disk. The column `flight` of a chunk then holds
the last seq whose outcome was written in the middle of a claim, so that a note about it is known to be old.

With PostgreSQL the note is the column itself, committed with synchronous_commit=off: the server keeps it when the
sender dies, wherever that was, and it is believed while the server has neither been started anew nor crashed.
"""

from __future__ import annotations

import contextlib
import glob
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from newsletter.database.engine import file_of, reading
from newsletter.database.failures import explain
from newsletter.mailing.lease import Lease, LostLeaseError, Process
from newsletter.mailing.letters import Letter
from newsletter.mailing.outcomes import Claim
from newsletter.mailing.tables import AnyRow, chunk, sender

_NOTE = struct.Struct("<32sqq")  # the claim's token, its settled places, the seq that leaves now
_SLOT = 64  # bytes: no slot lies across two pages, so that none is ever half written

# A server that mends itself after one of its processes crashed keeps its own start, and loses notes: but its processes
# are all new then, and everybody may see the numbers of those that belong to nobody.
_SERVER_START = """
    SELECT concat(extract(epoch FROM pg_postmaster_start_time()), '/', min(pid))
    FROM pg_stat_activity WHERE usesysid IS NULL AND datid IS NULL
"""

# Written for the drivers: these run once a message, and building the statement would cost more than executing it.
_BOOK_MARK = "SELECT coalesce(max(id), 0) FROM consent"  # grows with everybody who joins, leaves or is suppressed
_TAKE_OFF = f"""
    UPDATE chunk SET done = %s, flight = %s WHERE mailing = %s AND seq = %s AND token = %s RETURNING ({_BOOK_MARK})
"""  # noqa: S608 - there is nothing of anybody's in it


class FlightLog(Protocol):
    """The log of one lane."""

    def take_off(self, held: Claim, attempted: int, letter: Letter) -> int:
        """Note that a letter leaves now and that the `attempted` ones before it are settled.

        Returns the book's mark: another one than the claim's means that somebody may have left since. Raises
        LostLeaseError where it shows that the claim is no longer ours.
        """

    def landed(self, letter: Letter) -> int | None:
        """Return what the chunk's row says of a letter whose outcome is written in the middle of a claim."""


@dataclass(frozen=True)
class Found:
    """What a dead sender's note says: how many places of its chunk are settled, and the seq that was leaving."""

    done: int
    flight: int | None


def book_mark(connection: Connection) -> int:
    """Return the mark of the readers' book as it is now."""
    return int(connection.exec_driver_sql(_BOOK_MARK).scalar_one())


class _FileLog:
    """With SQLite: a slot of the sender's file, and a connection of its own to look into the book."""

    def __init__(self, engine: Engine, driver: Any, handle: int, lane: int) -> None:
        self._engine = engine
        self._driver = driver
        self._handle = handle
        self._at = lane * _SLOT

    def take_off(self, held: Claim, attempted: int, letter: Letter) -> int:
        os.pwrite(self._handle, _NOTE.pack(held.token.encode(), held.done_after(attempted), letter.seq), self._at)
        try:
            return int(self._driver.execute(_BOOK_MARK).fetchone()[0])
        except Exception as error:
            raise _explained(self._engine, error) from error

    def landed(self, letter: Letter) -> int | None:
        return letter.seq


class _RowLog:
    """With PostgreSQL: the chunk's row."""

    def __init__(self, engine: Engine, driver: Any) -> None:
        self._engine = engine
        self._driver = driver

    def take_off(self, held: Claim, attempted: int, letter: Letter) -> int:
        note = (held.done_after(attempted), letter.seq, held.mailing, held.chunk, held.token)
        try:
            row = self._driver.execute(_TAKE_OFF, note).fetchone()
        except Exception as error:
            raise _explained(self._engine, error) from error
        if row is None:
            raise LostLeaseError
        return int(row[0])

    def landed(self, letter: Letter) -> int | None:
        del letter
        return None


def _explained(engine: Engine, error: Exception) -> Exception:
    """Say what is wrong with the database in one line; the driver's own errors are meant."""
    return explain(DBAPIError("", None, error), file_of(engine))


@contextlib.contextmanager
def flight_log(engine: Engine, held: Lease, lane: int = 0) -> Iterator[FlightLog]:
    """Open the log of a lane; its connection is not one of the others', who must wait for the disk."""
    try:
        opened = engine.connect()
    except SQLAlchemyError as error:
        raise explain(error, file_of(engine)) from error
    with opened as connection:
        driver: Any = connection.connection.driver_connection  # not to be had from one that is detached
        connection.detach()
        if engine.dialect.name == "postgresql":
            driver.autocommit = True
            driver.execute("SET synchronous_commit TO off")
            yield _RowLog(engine, driver)
            return
        handle = os.open(_path(connection.engine, held.owner), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            yield _FileLog(engine, driver, handle, lane)
        finally:
            os.close(handle)


def server_start(connection: Connection) -> str:
    """Return which start of the database server this is, also after a crash; "" for SQLite, which is no server."""
    if connection.dialect.name != "postgresql":
        return ""
    return str(connection.exec_driver_sql(_SERVER_START).scalar_one())[:40]


def find(connection: Connection, row: AnyRow, owner: AnyRow | None, here: Process) -> Found | None:
    """Return what the dead owner of a chunk noted last; None when its notes cannot be believed."""
    if connection.dialect.name == "postgresql":
        return Found(row.done, row.flight) if row.server == server_start(connection) else None
    if owner is None or not here.boot or owner.boot != here.boot:
        return None
    try:
        notes = _path(connection.engine, row.owner).read_bytes()
    except OSError:
        return None
    for at in range(0, len(notes) - _NOTE.size + 1, _SLOT):
        token, done, seq = _NOTE.unpack_from(notes, at)
        if token == row.token.encode():
            return Found(max(done, row.done), None if seq == row.flight else seq)
    return Found(row.done, None)  # claimed, and nothing of it left


def tidy(engine: Engine) -> None:
    """Take away the notes of all who have nothing under way any more.

    Not in the transaction that settles what they had: were it undone, nobody could believe them.
    """
    if engine.dialect.name == "postgresql":
        return
    first = _path(engine, "")
    files = list(first.parent.glob(f"{glob.escape(first.name)}*"))  # before the owners: who is new has no file yet
    with reading(engine) as connection:
        owners = {
            *connection.scalars(select(sender.c.owner)),
            *connection.scalars(select(chunk.c.owner).where(chunk.c.owner.is_not(None))),
        }
    for file in files:
        if file.name.removeprefix(first.name) not in owners:
            file.unlink(missing_ok=True)


def _path(engine: Engine, owner: str) -> Path:
    return Path(f"{engine.url.database}-flight-{owner}")
