"""Imports readers from a plain CSV: reads every line, says what is wrong with each, then writes all or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from newsletter.database.engine import reading
from newsletter.errors import Fault
from newsletter.subscribers import enrolment, filing, lookup
from newsletter.subscribers.book import Book, required_note
from newsletter.subscribers.columns import Columns, Parsed, Person
from newsletter.subscribers.enrolment import Candidate, KeptOut, Move
from newsletter.subscribers.model import Status
from newsletter.subscribers.names import shown
from newsletter.subscribers.sheet import read_sheet

Level = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Remark:
    """What there is to say of one line. Errors keep the whole file from being written."""

    line: int
    address: str
    level: Level
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """What an import did, or would do. The counts add up to the lines that hold a reader."""

    file: str
    remarks: tuple[Remark, ...]
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    kept_out: int = 0  # left, bounced, complained or removed before
    duplicates: int = 0
    refused: int = 0
    written: bool = False

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The errors, as lines with file and line."""
        return tuple(Fault(self.file, one.line, one.message) for one in self.remarks if one.level == "error")


def import_file(
    book: Book,
    path: Path,
    *,
    list_name: str,
    consent_note: str,
    resolve: Callable[[str], str],
    dry_run: bool = False,
    skip_errors: bool = False,
) -> Report:
    """Put the readers of a file on a list; `consent_note` says where their consent came from.

    `resolve` turns a country's name or code into the key that is followed, or raises NewsletterError. Nothing is
    written with `dry_run`, or when a line has an error, unless `skip_errors` leaves such lines out.
    Raises FaultsError for a file that is no table with a column 'email', NewsletterError for a missing note.
    """
    note = f"{required_note(consent_note)} ({path.name}, line "
    sheet = read_sheet(path, Columns.suffice)
    now = book.now()
    columns = Columns(sheet, resolve, now)
    tally = _Tally(sheet.file, list_name)
    tally.remark_all(((line, "", "warning", text) for line, text in sheet.notes))
    tally.remark_all((sheet.header.line, "", "info", text) for text in columns.notes)
    sound = tally.sift(columns.parse(row) for row in sheet.rows)
    candidates = [(line, _candidate(book, person, f"{note}{line})")) for line, person in sound]
    write = not dry_run and (skip_errors or not tally.counts["refused"])
    with book.writing() if write else reading(book.engine) as connection:
        for batch in lookup.chunks(candidates):
            known = lookup.known(connection, [one.address_hash for _, one in batch])
            moves = []
            for line, one in batch:
                decision = enrolment.by_import(one, known.get(one.address_hash), list_name, now)
                tally.decided(line, one, decision)
                if isinstance(decision, Move):
                    moves.append(decision)
            if write:
                filing.file_moves(connection, book.log, moves, now)
    return tally.report(written=write)


def _candidate(book: Book, person: Person, evidence: str) -> Candidate:
    return Candidate(
        address=person.address.text,
        address_hash=book.address_hash(person.address),
        evidence=evidence,
        name=person.name,
        language=person.language,
        timezone=person.timezone,
        follows=person.follows,
        status=person.status,
        joined_at=person.joined_at,
        changed_at=person.changed_at,
    )


class _Tally:
    """Counts and remarks of one import."""

    def __init__(self, file: str, list_name: str) -> None:
        self.counts: Counter[str] = Counter()
        self._file = file
        self._list = list_name
        self._remarks: list[Remark] = []

    def remark_all(self, remarks: Iterable[tuple[int, str, Level, str]]) -> None:
        self._remarks.extend(Remark(*one) for one in remarks)

    def sift(self, parsed: Iterable[Parsed]) -> Iterator[tuple[int, Person]]:
        """Let through the lines that hold a person of this list for the first time, and remark upon the others."""
        first: dict[str, tuple[int, Status]] = {}
        for line in parsed:
            self.remark_all((line.line, line.address, "warning", text) for text in line.warnings)
            if line.person is None:
                self._refuse(line, *line.errors)
            elif line.person.list not in ("", self._list):
                self._count("kept_out", line, "info", f"is on the list '{shown(line.person.list)}' here; not added")
            elif line.person.address.folded in first:
                self._repeated(line, line.person, *first[line.person.address.folded])
            else:
                first[line.person.address.folded] = (line.line, line.person.status)
                yield line.line, line.person

    def decided(self, line: int, candidate: Candidate, decision: Move | KeptOut) -> None:
        self.counts["kept_out" if isinstance(decision, KeptOut) else decision.change.value] += 1
        if decision.message:
            self._remarks.append(Remark(line, candidate.address, "info", decision.message))

    def report(self, *, written: bool) -> Report:
        remarks = sorted(self._remarks, key=lambda one: one.line)
        return Report(self._file, tuple(remarks), written=written, **self.counts)

    def _repeated(self, line: Parsed, person: Person, before: int, first: Status) -> None:
        if person.status is first:
            self._count("duplicates", line, "warning", f"the same address as in line {before}; that line is read")
        else:
            self._refuse(
                line, f"'{person.status}' here and '{first}' in line {before} for one address; delete one line"
            )

    def _refuse(self, line: Parsed, *errors: str) -> None:
        self.counts["refused"] += 1
        self.remark_all((line.line, line.address, "error", text) for text in errors)

    def _count(self, what: str, line: Parsed, level: Level, message: str) -> None:
        self.counts[what] += 1
        self._remarks.append(Remark(line.line, line.address, level, message))
