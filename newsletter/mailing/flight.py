"""Notes which message is being handed over, so that a killed sender leaves one reader unknown and not its whole chunk.

The note is a commit of its own before each message, with synchronous=NORMAL: in WAL mode it survives the death of the
process at once, and the power cut not always (https://www.sqlite.org/pragma.html#pragma_synchronous). That is why it
is believed only while the machine has not been started anew; the claim itself was forced to the disk.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from newsletter.database.engine import file_of
from newsletter.database.failures import explain, is_environmental
from newsletter.mailing.lease import LostLeaseError
from newsletter.mailing.letters import Letter
from newsletter.mailing.outcomes import Claim

# Written for the driver: this runs once a message, and building the statement would cost more than executing it.
_TAKE_OFF = "UPDATE chunk SET done = ?, flight = ? WHERE mailing = ? AND seq = ? AND token = ?"


class FlightLog:
    """Writes the notes over a connection of its own."""

    def __init__(self, connection: Connection, file: str) -> None:
        self._connection = connection
        self._file = file

    def take_off(self, held: Claim, attempted: int, letter: Letter) -> None:
        """Note that a letter leaves now and that the `attempted` ones before it are settled. Raises LostLeaseError."""
        note = (held.done_after(attempted), letter.seq, held.mailing, held.chunk, held.token)
        try:
            with self._connection.begin():
                found = self._connection.exec_driver_sql(_TAKE_OFF, note)
        except SQLAlchemyError as error:
            if is_environmental(error):
                raise explain(error, self._file) from error
            raise
        if found.rowcount != 1:
            raise LostLeaseError


@contextlib.contextmanager
def flight_log(engine: Engine) -> Iterator[FlightLog]:
    """Open the log; its connection is not given back to the others, who must wait for the disk."""
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        if driver is not None:
            driver.execute("PRAGMA synchronous=NORMAL")
        try:
            yield FlightLog(connection, file_of(engine))
        finally:
            connection.invalidate()
