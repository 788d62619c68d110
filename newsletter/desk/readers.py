"""The readers' book on the desk: lists and countries by name, in the words of the project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from newsletter.config import SETTINGS_FILE, Newsletter
from newsletter.database.engine import open_database
from newsletter.desk.project import Desk, clock, open_desk
from newsletter.errors import NewsletterError
from newsletter.subscribers import exporting, importing
from newsletter.subscribers.addresses import read_address
from newsletter.subscribers.book import Added, Book
from newsletter.subscribers.importing import Report
from newsletter.subscribers.model import Entry, Status, Summary


def list_named(settings: Newsletter, name: str | None) -> str:
    """Return a list of the project; the first one for no name. Raises NewsletterError for one that is not there."""
    known = tuple(settings.lists)
    if name is None:
        return known[0]
    if name not in known:
        raise NewsletterError(f"there is no list '{name}' in {SETTINGS_FILE}; there are: {', '.join(known)}")
    return name


@dataclass(frozen=True)
class Readers:
    """The book of one project, and the names its settings and country table give to things."""

    desk: Desk
    book: Book

    def keys(self, names: str | None) -> tuple[str, ...] | None:
        """Return the keys of followed names separated by ';'. Raises NewsletterError for an unknown one."""
        if names is None:
            return None
        return tuple(self.desk.countries.follow(name.strip()) for name in names.split(";") if name.strip())

    def add(  # noqa: PLR0913 - one argument for each thing that is known of a reader
        self,
        address: str,
        list_name: str | None,
        consent: str,
        *,
        name: str,
        language: str,
        timezone: str,
        follows: str | None,
        dry_run: bool,
    ) -> Added:
        """Put one reader on a list. Raises NewsletterError for what cannot be."""
        return self.book.add(
            address,
            list_name=list_named(self.desk.project.settings, list_name),
            consent_note=consent,
            name=name,
            language=language,
            timezone=timezone,
            follows=self.keys(follows),
            dry_run=dry_run,
        )

    def import_file(self, path: Path, list_name: str | None, consent: str, *, dry_run: bool) -> Report:
        """Take readers in from a CSV file; all of them, or none when one line cannot be right."""
        return importing.import_file(
            self.book,
            path,
            list_name=list_named(self.desk.project.settings, list_name),
            consent_note=consent,
            resolve=self.desk.countries.follow,
            dry_run=dry_run,
        )

    def export(self, list_name: str | None, status: str | None, out: Path | TextIO) -> int:
        """Write readers as CSV to a file or stream; return how many."""
        chosen = list_named(self.desk.project.settings, list_name) if list_name else None
        wanted = Status(status) if status else None
        if isinstance(out, Path):
            return exporting.export_file(out, self.book, chosen, wanted)
        return exporting.write_csv(out, self.book, chosen, wanted)

    def summaries(self, list_name: str | None, status: str | None) -> list[Summary]:
        """List readers as `subscribers list --format json` shows them."""
        chosen = list_named(self.desk.project.settings, list_name) if list_name else None
        entries = self.book.entries(chosen, Status(status) if status else None)
        return [entry.summary(chosen) for entry in entries]

    def show(self, who: str) -> Entry:
        """Return one reader by address or id. Raises NewsletterError when there is none."""
        return self.book.show(_who(who))

    def remove(self, who: str, list_name: str | None, *, dry_run: bool) -> str:
        """Take a reader off a list, or erase them; return the sentence that says what was done."""
        if list_name:
            chosen = list_named(self.desk.project.settings, list_name)
            entry = self.show(who) if dry_run else self.book.leave(_who(who), chosen)
            return f"{entry.reader.address} {'would leave' if dry_run else 'has left'} the list '{chosen}'"
        entry = self.show(who) if dry_run else self.book.remove(_who(who))
        verb = "would be erased" if dry_run else "is erased"
        return f"{entry.reader.address} {verb}; a keyed hash keeps the address from being mailed again"

    def describe(self, entry: Entry) -> str:
        """Describe a reader for a person, a line a property."""
        rows = [
            ("address", entry.reader.address),
            ("id", str(entry.reader.id)),
            ("name", entry.reader.name),
            ("language", entry.reader.language),
            ("time zone", entry.reader.timezone),
        ]
        for one in entry.subscriptions:
            places = [self.desk.countries.by_key(key) for key in one.follows]
            follows = ", ".join(place.heading if place else key for place, key in zip(places, one.follows, strict=True))
            since = f"{one.status} since {one.changed_at:%Y-%m-%d}, joined {one.joined_at:%Y-%m-%d}"
            rows.append((one.list, f"{since}, follows {follows or 'everything'}"))
        if entry.suppressed:
            rows.append(("suppressed", f"{entry.suppressed.reason} on {entry.suppressed.at:%Y-%m-%d}"))
        return "\n".join(f"{title + ':':<13}{value}" for title, value in rows if value)


def _who(text: str) -> str | int:
    return int(text) if text.isdecimal() else text


@contextmanager
def open_readers(start: Path) -> Iterator[Readers]:
    """Open the book of the project that a folder belongs to. Raises NewsletterError and FaultsError."""
    desk = open_desk(start)
    engine = open_database(desk.project.database(), desk.project.root)
    try:
        yield Readers(desk, Book(engine, clock, desk.project.secret()))
    finally:
        engine.dispose()


def check_address(text: str) -> str:
    """Return an address in its normal form. Raises NewsletterError for one that cannot be mailed."""
    return read_address(text).text


def report_record(report: Report) -> Mapping[str, Any]:
    """Return what `subscribers import --format json` says."""
    return asdict(report)


def report_sentence(report: Report, *, dry_run: bool) -> str:
    """Sum a report up in a line."""
    counts = (
        ("added", report.added),
        ("updated", report.updated),
        ("unchanged", report.unchanged),
        ("kept out", report.kept_out),
        ("twice in the file", report.duplicates),
        ("refused", report.refused),
    )
    told = ", ".join(f"{count} {word}" for word, count in counts if count) or "no readers in the file"
    if report.written:
        return f"{report.file}: {told}"
    reason = "this was a dry run" if dry_run else "mend the errors and import again"
    return f"{report.file}: would be {told}; nothing was written: {reason}"
