"""Writes the book, or a list of it, as a CSV that a spreadsheet opens unharmed and an import takes back."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from newsletter import source
from newsletter.errors import NewsletterError
from newsletter.subscribers.book import Book
from newsletter.subscribers.formulas import armour
from newsletter.subscribers.model import Entry, Status

COLUMNS = ("email", "name", "language", "timezone", "follows", "status", "joined", "changed", "list")


def write_csv(stream: TextIO, book: Book, list_name: str | None = None, status: Status | None = None) -> int:
    """Write a header and a row for each subscription, and return how many rows. Without a list: all lists."""
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    number = 0
    for entry in book.entries(list_name, status if list_name else None):
        for cells in _rows(entry, list_name, status):
            writer.writerow([armour(cell) for cell in cells])
            number += 1
    return number


def export_file(path: Path, book: Book, list_name: str | None = None, status: Status | None = None) -> int:
    """Write the same to a file that only its owner can read: all of it or nothing. Raises NewsletterError.

    The file starts with a byte order mark: without one, spreadsheets take its letters for another alphabet's.
    """
    if path.exists() and not path.is_file() and not path.is_dir():  # a device would be replaced by a file of that name
        raise NewsletterError(f"{source.display(path)}: this is no file; leave it out to write to the terminal")
    try:
        with _replacing(path) as stream:
            stream.write("\ufeff")
            return write_csv(stream, book, list_name, status)
    except OSError as error:
        raise NewsletterError(f"{source.display(path)}: cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _rows(entry: Entry, list_name: str | None, status: Status | None) -> Iterator[tuple[str, ...]]:
    for one in entry.subscriptions:
        if list_name in (None, one.list) and status in (None, one.status):
            yield (
                entry.reader.address,
                entry.reader.name,
                entry.reader.language,
                entry.reader.timezone,
                "; ".join(one.follows),
                one.status.value,
                _moment(one.joined_at),
                _moment(one.changed_at),
                one.list,
            )


def _moment(when: dt.datetime) -> str:
    return when.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
