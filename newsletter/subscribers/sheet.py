"""Reads the cells of a CSV file, whatever program and country it comes from."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from newsletter import source
from newsletter.errors import Fault, FaultsError

MAX_BYTES = 256 * 1024 * 1024

_LONGEST_HEADER = 10_000
_SEPARATORS = ",;\t|"
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?(\r\n?|\n)', re.IGNORECASE)
_OTHER_FORMATS = {
    b"PK\x03\x04": "a spreadsheet (.xlsx or .ods)",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet (.xls)",
    b"SQLite format 3": "a database",
    b"%PDF": "a PDF",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line it starts on, counted from 1, and its cells."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file's header and rows without the blank ones, and what was noticed while reading it, with lines."""

    file: str
    header: Row
    rows: tuple[Row, ...]
    notes: tuple[tuple[int, str], ...] = ()


def read_sheet(path: Path, is_header: Callable[[tuple[str, ...]], bool]) -> Sheet:
    """Read a file: UTF-8, UTF-16 or Windows-1252, separated by comma, semicolon, tab or bar.

    `is_header` says whether cells hold what a header must; it chooses the separator where the file does not name one.
    Raises FaultsError with the line, and NewsletterError when the file cannot be read.
    """
    name = source.display(path)
    text, notes = _decode(name, _read(name, path))
    separator_line = _SEPARATOR_LINE.match(text)
    if separator_line:
        found = _rows(name, text[separator_line.end() :], separator_line[1], 1)
    else:
        found = _rows(name, text, _separator(text, is_header), 0)
    if not found:
        raise FaultsError(
            [Fault(name, 1, "the file is empty; its first line must name the columns, one of them 'email'")]
        )
    return Sheet(name, found[0], tuple(found[1:]), tuple(notes))


def _read(name: str, path: Path) -> bytes:
    data = source.read_bytes(path, name, MAX_BYTES)
    if len(data) > MAX_BYTES:
        raise FaultsError([Fault(name, 1, f"the file is larger than {MAX_BYTES // 1024**2} MiB; split it")])
    return data


def _decode(name: str, data: bytes) -> tuple[str, list[tuple[int, str]]]:
    for start, format_name in _OTHER_FORMATS.items():
        if data.startswith(start):
            raise FaultsError([Fault(name, 1, f"this is {format_name}, not a CSV; save the sheet as 'CSV UTF-8'")])
    notes: list[tuple[int, str]] = []
    encoding = _encoding(data)
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise _unreadable(name, data, error) from None
        text = _decode_windows(name, data)
        line = data[: error.start].count(b"\n") + 1
        notes.append((line, "this file is not UTF-8 and was read as Windows-1252; look whether names are right"))
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise FaultsError(
            [Fault(name, line, "there is a NUL in this line, which no text has; save the file as 'CSV UTF-8'")]
        )
    return text, notes


def _encoding(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if data[1:4:2] == b"\0\0":  # the first two letters of a header are ASCII, so the other bytes tell the order
        return "utf-16-le"
    return "utf-16-be" if data[0:3:2] == b"\0\0" else "utf-8"


def _decode_windows(name: str, data: bytes) -> str:
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise _unreadable(name, data, error) from None


def _unreadable(name: str, data: bytes, error: UnicodeDecodeError) -> FaultsError:
    line = data[: error.start].count(b"\n") + 1
    return FaultsError([Fault(name, line, "the letters of this line cannot be read; save the file as 'CSV UTF-8'")])


def _separator(text: str, is_header: Callable[[tuple[str, ...]], bool]) -> str:
    first = re.split(r"[\r\n]", text.lstrip(), maxsplit=1)[0][:_LONGEST_HEADER]
    for separator in _SEPARATORS:
        cells = next(csv.reader([first], delimiter=separator), [])
        if is_header(tuple(cells)):
            return separator
    return max(_SEPARATORS, key=first.count)


def _rows(name: str, text: str, separator: str, lines_before: int) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[Row] = []
    line = lines_before + 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append(Row(line, tuple(cells)))
            line = lines_before + reader.line_num + 1
    except csv.Error as error:
        message = "a quotation mark is opened here and not closed where the cell ends; write it twice inside a cell"
        if "field larger" in str(error):
            message = "a cell of this line is far too long for a table; is a quotation mark not closed?"
        raise FaultsError([Fault(name, line, message)]) from None
    return rows
