"""Load one issue file: its slug, its day, its values, or every fault in it at once."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from newsletter import source
from newsletter.errors import Fault, FaultsError
from newsletter.issue.countries import Countries
from newsletter.issue.model import KINDS, Issue
from newsletter.issue.values import SLUG
from newsletter.source import Location

_DATED = re.compile(r"(\d{4}-\d{2}-\d{2})(?![0-9])")


@dataclass(frozen=True)
class IssueFile:
    """An issue, the file it was read from, and the day it is published."""

    slug: str
    path: Path
    issue: Issue
    source: source.Source
    published: dt.date

    @property
    def file(self) -> str:
        """What messages call the file."""
        return self.source.file

    def line(self, location: Location, offset: int = 0) -> int:
        """Return the line of a value; `offset` counts line breaks into its text (see `source.Source.line`)."""
        return self.source.line(location, offset)


def load(path: Path, countries: Countries) -> IssueFile:
    """Load an issue file. Raises FaultsError with every fault in it, NewsletterError when it cannot be opened."""
    return _make(path, source.read(path, keep_faults=True), countries)


def parse(path: Path, data: bytes, countries: Countries) -> IssueFile:
    """Load an issue from bytes that are not in its file yet, as an editor is typing them. Raises FaultsError."""
    return _make(path, source.parse(source.display(path), data, keep_faults=True), countries)


def is_slug(text: str) -> bool:
    """Say whether a text can be the name of an issue."""
    return bool(re.fullmatch(SLUG, text))


def dated(slug: str) -> dt.date | None:
    """Return the date that a slug starts with, if it starts with one."""
    found = _DATED.match(slug)
    try:
        return dt.date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None


def _make(path: Path, read: source.Source, countries: Countries) -> IssueFile:
    faults = list(_slug_faults(path, read))
    issue = None
    try:
        issue = source.validate(model_of(read), read, {"countries": countries})
    except FaultsError as error:
        faults.extend(error.faults)
    published = issue and (issue.published or (issue.period.end if issue.period else None) or dated(path.stem))
    if issue and not published:
        message = "nothing says when this issue is published; write 'published: 2016-04-22'"
        faults.append(Fault(read.file, 1, message))
    if faults or not issue or not published:
        raise FaultsError(faults)
    return IssueFile(path.stem, path, issue, read, published)


def _slug_faults(path: Path, read: source.Source) -> list[Fault]:
    if is_slug(path.stem) and path.suffix == ".yaml":
        return []
    message = (
        f"'{path.name}' cannot name an issue; call the file something like 2016-04-22.yaml "
        "(a-z, 0-9 and hyphens, at most 81 of them)"
    )
    return [Fault(read.file, 1, message)]


def model_of(read: source.Source) -> type[Issue]:
    """Pick the class of an issue by its `kind`. Raises FaultsError when this version has none for it."""
    tree: Any = read.tree
    kind = tree.get("kind", "weekly") if isinstance(tree, dict) else "weekly"
    if isinstance(kind, str) and kind in KINDS:
        return KINDS[kind]
    written = f"'{kind}'" if isinstance(kind, str) else "this"
    message = f"{written} is no kind of issue that this version knows; it knows {' and '.join(KINDS)}"
    raise FaultsError([*read.faults, Fault(read.file, read.line(("kind",)), message)])
