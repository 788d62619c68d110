"""The consent log: appended to, never edited; a row that was edited all the same is found.

Each row's hash is an HMAC over the row and the hash before it, and a seal holds the end, so that a changed, removed or
inserted row shows. The words of a consent are hashed on their own: when a reader is erased they go, the chain stays.
"""

from __future__ import annotations

import datetime as dt
import hmac
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from newsletter.database.engine import alone
from newsletter.subscribers.tables import consent, seal
from newsletter.subscribers.tokens import derive

BOOK = "book"  # what its writers ask to be alone with
ERASED = "erased"
_START = bytes(32)
_END = "consent-end"


@dataclass(frozen=True, slots=True)
class Record:
    """One event: what happened, on which list, to whom (by hash), and the words that prove it."""

    at: dt.datetime
    action: str
    list: str
    address_hash: bytes
    evidence: str


class ConsentLog:
    """Appends and verifies with a key derived from the project's secret."""

    def __init__(self, secret: bytes) -> None:
        self._key = derive(secret, "consent")

    def append(self, connection: Connection, records: Iterable[Record]) -> None:
        """Append records, in the transaction that makes the change they speak of; one such transaction at a time."""
        alone(connection, BOOK)
        last = connection.execute(select(consent.c.id, consent.c.hash).order_by(consent.c.id.desc()).limit(1)).first()
        number, previous = (last.id, last.hash) if last else (0, _START)
        rows = []
        for number, record in enumerate(records, number + 1):  # noqa: B020 - goes on from the last row's number
            digest = self._mac(record.evidence.encode())
            previous = self._link(previous, number, record, digest)
            rows.append(
                {
                    "id": number,
                    "at": record.at,
                    "action": record.action,
                    "list": record.list,
                    "address_hash": record.address_hash,
                    "evidence": record.evidence,
                    "evidence_hash": digest,
                    "hash": previous,
                }
            )
        if rows:
            connection.execute(insert(consent), rows)
            connection.execute(delete(seal).where(seal.c.name == _END))
            connection.execute(insert(seal), [{"name": _END, "value": self._seal(number, previous)}])

    def forget(self, connection: Connection, address_hash: bytes) -> None:
        """Take away the words of an erased reader's consents; that there were some stays provable."""
        connection.execute(update(consent).where(consent.c.address_hash == address_hash).values(evidence=None))

    def verify(self, connection: Connection) -> tuple[str, ...]:
        """Return a line for each place where the log is not what was written; an empty tuple is a sound log."""
        return tuple(self._faults(connection))

    def _faults(self, connection: Connection) -> Iterator[str]:
        erased = set(connection.scalars(select(consent.c.address_hash).where(consent.c.action == ERASED)))
        number, previous = 0, _START
        for row in connection.execute(select(consent).order_by(consent.c.id).execution_options(yield_per=1000)):
            if row.id != number + 1:
                yield f"consent log: rows {number + 1} to {row.id - 1} are missing"
            elif self._link(previous, row.id, _record(row), row.evidence_hash) != row.hash:
                yield f"consent log: row {row.id} is not what was written"
            if row.evidence is None and row.address_hash not in erased:
                yield f"consent log: the words of row {row.id} are gone, but its reader was not erased"
            if row.evidence is not None and self._mac(row.evidence.encode()) != row.evidence_hash:
                yield f"consent log: the words of row {row.id} are not what was written"
            number, previous = row.id, row.hash
        end = connection.scalar(select(seal.c.value).where(seal.c.name == _END))
        if end != (self._seal(number, previous) if number else None):
            yield f"consent log: rows after row {number} are missing, or were added by another program"

    def _mac(self, data: bytes) -> bytes:
        return hmac.digest(self._key, data, "sha256")

    def _seal(self, number: int, last: bytes) -> bytes:
        return self._mac(b"end %d " % number + last)

    def _link(self, previous: bytes, number: int, record: Record, digest: bytes) -> bytes:
        at = record.at.astimezone(dt.UTC).isoformat()
        row = [number, at, record.action, record.list, record.address_hash.hex(), digest.hex()]
        return self._mac(previous + json.dumps(row).encode())


def _record(row: Row[Any]) -> Record:
    return Record(row.at, row.action, row.list, row.address_hash, row.evidence or "")
