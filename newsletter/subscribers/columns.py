"""Says what the cells of one row tell of a person, or what is wrong with them."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from newsletter.errors import Fault, FaultsError, NewsletterError
from newsletter.subscribers.addresses import Address, read_address, unwrap
from newsletter.subscribers.formulas import disarm, is_formula
from newsletter.subscribers.model import Status
from newsletter.subscribers.names import read_language, read_name, read_timezone, shown
from newsletter.subscribers.sheet import Row, Sheet

KNOWN = ("email", "name", "language", "timezone", "follows", "status", "joined", "changed", "list")

# Columns by which other systems tell of readers who left, bounced or never confirmed (exports seen 2026-11): to leave
# them unread would mail these readers again.
_TELLS_WHO_LEFT = re.compile(
    r"unsubscri|unsub_time|subscriber_type|subscribed$|subscribed_to_emails|(black|block)list|bounce|opt(ed)?[ _-]?out"
    r"|disabled|^confirmed$|^deleted|complain|clean_time|suppress"
)
_LONGEST_ERROR = 500
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))


@dataclass(frozen=True, slots=True)
class Person:
    """What a row tells. `follows` is None where the row does not say; then nothing that is known changes."""

    address: Address
    name: str
    language: str
    timezone: str
    follows: tuple[str, ...] | None
    status: Status
    joined_at: dt.datetime | None
    changed_at: dt.datetime | None
    list: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """One row: the address to show in the report, the person where nothing is wrong, and what there is to say."""

    line: int
    address: str
    person: Person | None
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Columns:
    """Where the columns that an import reads stand in one file."""

    def __init__(self, sheet: Sheet, resolve: Callable[[str], str], now: dt.datetime) -> None:
        """Find the columns. Raises FaultsError when no column is called 'email', or an unread one tells who left."""
        names = [_folded(cell) for cell in sheet.header.cells]
        self._places: Mapping[str, int] = {name: names.index(name) for name in KNOWN if name in names}
        self._seconds = [i for i, name in enumerate(names) if name == "email"][1:]
        self._width = len(names)
        self._resolve = resolve
        self._resolved: dict[str, str] = {}
        self._now = now
        fault = _header_fault(sheet.header.cells, names)
        if fault:
            raise FaultsError([Fault(sheet.file, sheet.header.line, fault)])
        self.notes = tuple(_notes(sheet.header.cells, names))

    @staticmethod
    def suffice(cells: tuple[str, ...]) -> bool:
        """Say whether cells can be a header."""
        return any(_folded(cell) == "email" for cell in cells)

    def parse(self, row: Row) -> Parsed:
        """Read one row, with everything that is wrong in it at once."""
        errors = _Errors()
        cells = {name: errors.of(_bare, self._cell(row, name), "") for name in self._places}
        name, text = unwrap(cells["email"])
        address = None if errors else errors.of(read_address, text, None)
        status = cells.get("status", "").strip()
        person = Person(
            address=address or _NOBODY,
            name=errors.of(read_name, cells.get("name", "").strip(" ") or name, ""),
            language=errors.of(read_language, cells.get("language", ""), ""),
            timezone=errors.of(read_timezone, cells.get("timezone", ""), ""),
            follows=errors.of(self._follows, cells.get("follows", ""), None),
            status=errors.of(_status, status, Status.ACTIVE) if status else Status.ACTIVE,
            joined_at=errors.of(self._moment, cells.get("joined", ""), None),
            changed_at=errors.of(self._moment, cells.get("changed", ""), None),
            list=cells.get("list", "").strip(),
        )
        if errors or address is None:
            return Parsed(row.line, shown(text), None, tuple(errors))
        return Parsed(row.line, address.text, person, (), (*address.hints, *self._left_over(row)))

    def _cell(self, row: Row, name: str) -> str:
        place = self._places[name]
        return row.cells[place] if place < len(row.cells) else ""

    def _follows(self, cell: str) -> tuple[str, ...] | None:
        names = [name.strip() for name in cell.split(";") if name.strip()]
        for name in names:
            if name not in self._resolved:
                self._resolved[name] = self._resolve(name)
        return tuple(sorted({self._resolved[name] for name in names})) or None

    def _moment(self, cell: str) -> dt.datetime | None:
        text = cell.strip()
        if not text:
            return None
        try:
            when = dt.datetime.fromisoformat(text)
        except ValueError:
            raise NewsletterError(f"'{shown(text)}' is not a date; write it like 2016-04-22") from None
        when = when.replace(tzinfo=when.tzinfo or dt.UTC).astimezone(dt.UTC).replace(microsecond=0)
        if when > self._now:
            raise NewsletterError(f"'{shown(text)}' is in the future; write when it was")
        return when

    def _left_over(self, row: Row) -> Iterator[str]:
        """Name what stands in the row and is not read, because a person may have put it there for a reason."""
        own = self._cell(row, "email").strip()
        for place in self._seconds:
            other = row.cells[place].strip() if place < len(row.cells) else ""
            if other not in ("", own):
                yield f"the second 'email' column is not read: {shown(other)}"
        beyond = [shown(cell) for cell in row.cells[self._width :] if cell.strip()]
        if beyond:
            yield f"this line has more cells than the header; not read: {', '.join(beyond)}"


_NOBODY = Address("", "")
Value = TypeVar("Value")


class _Errors(list[str]):
    """Collects what is wrong with a row, so that it is all reported in one go."""

    def of(self, read: Callable[[str], Value], cell: str, otherwise: Value) -> Value:
        try:
            return read(cell)
        except NewsletterError as error:
            self.append(shown(str(error), _LONGEST_ERROR))  # it may repeat what stands in the cell
            return otherwise


def _bare(cell: str) -> str:
    if is_formula(cell):
        raise NewsletterError(
            f"'{shown(cell)}' starts like a spreadsheet formula; delete it, or write an apostrophe before it"
        )
    return disarm(cell)


def _status(cell: str) -> Status:
    try:
        return Status(cell.casefold())
    except ValueError:
        raise NewsletterError(f"there is no status '{shown(cell)}'; write one of {', '.join(Status)}") from None


def _folded(cell: str) -> str:
    name = unicodedata.normalize("NFKC", cell.translate(_INVISIBLE)).strip().casefold()
    return "email" if name == "e-mail" else name


def _header_fault(cells: tuple[str, ...], names: list[str]) -> str:
    """Say why a file with this header cannot be read; "" when it can."""
    if "email" not in names:
        header = ", ".join(f"'{shown(cell)}'" for cell in cells if cell.strip())
        return f"no column is called 'email'; the first line must name the columns, and has {header}"
    telling = [shown(cell.strip()) for cell, name in zip(cells, names, strict=True) if _TELLS_WHO_LEFT.search(name)]
    if telling and "status" not in names:
        return (
            f"the column '{telling[0]}' may say who must not be mailed, and is not read; say it in a column 'status'"
            f" ({', '.join(Status)}), or delete those readers and the column"
        )
    return ""


def _notes(cells: tuple[str, ...], names: list[str]) -> Iterator[str]:
    unread = [f"'{shown(cell.strip())}'" for cell, name in zip(cells, names, strict=True) if name and name not in KNOWN]
    if unread:
        yield f"not read: {', '.join(unread)}; an import reads {', '.join(KNOWN[:5])}"
    twice = [name for name in KNOWN if names.count(name) > 1]
    if twice:
        yield f"more than one column is called {' and '.join(repr(name) for name in twice)}; the first is read"
