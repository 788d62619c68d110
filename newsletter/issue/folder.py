"""The folder of issue files: which there are, which is the newest, which one a name means."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from pathlib import Path

from newsletter import source
from newsletter.config import Project
from newsletter.errors import Fault, FaultsError, NewsletterError
from newsletter.issue.countries import Countries
from newsletter.issue.load import IssueFile, dated, is_slug, load

__all__ = ["IssueFile", "by_slug", "find", "load_all", "paths"]

# Enough to order files by day without loading them; keys of the first level stand at the start of a line.
_DAY = rb"[ \t]*[\"']?(\d{4}-\d{2}-\d{2})"
_PUBLISHED = re.compile(rb"^published:" + _DAY, re.MULTILINE)
_PERIOD = re.compile(rb"^period:((?:[^\r\n]*)(?:\r?\n(?:[ ][^\r\n]*)?)*)", re.MULTILINE)
_END = re.compile(rb"\bend:" + _DAY)


def paths(folder: Path) -> tuple[Path, ...]:
    """Return the issue files of a folder, newest first; a name with a second dot belongs to another file's notes.

    Raises NewsletterError for a folder that cannot be read, which must not look like one without issues.
    """
    try:
        entries = list(folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise NewsletterError(f"{source.display(folder)}: cannot be read: {error.strerror}") from None
    found = [path for path in entries if path.suffix == ".yaml" and "." not in path.stem and path.is_file()]
    return tuple(sorted(found, key=lambda path: (_day(path), path.stem), reverse=True))


def find(project: Project, reference: str | None = None) -> Path:
    """Return the file that a slug or a path means, or the newest issue's. Raises NewsletterError."""
    if reference is None:
        newest = next(iter(paths(project.issues)), None)
        if newest is None:
            raise NewsletterError(f"{source.display(project.issues)}: no issue yet; 'newsletter new' makes one")
        return newest
    if not reference.endswith(".yaml"):
        return by_slug(project, reference)
    path = Path(reference)
    if not path.is_file() and "/" not in reference:
        return by_slug(project, reference.removesuffix(".yaml"))
    if not path.is_file():
        path = project.root / reference
    if not path.is_file():
        raise NewsletterError(f"{reference}: there is no such file")
    if not is_slug(path.stem):
        raise NewsletterError(f"'{path.name}' cannot name an issue; call the file something like 2016-04-22.yaml")
    return path


def by_slug(project: Project, slug: str) -> Path:
    """Return the file of an issue by its slug alone, so that nothing outside the folder can be meant.

    Raises NewsletterError when the slug is none, or there is no such issue.
    """
    if not is_slug(slug):
        raise NewsletterError(f"{_shown(slug)} is no issue's name; write it like 2016-04-22, or the path of its file")
    path = project.issues / f"{slug}.yaml"
    if path.is_file():
        return path
    near = difflib.get_close_matches(slug, [other.stem for other in paths(project.issues)], n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise NewsletterError(f"{source.display(project.issues)}: there is no issue called '{slug}'{hint}")


def load_all(project: Project, countries: Countries) -> tuple[IssueFile, ...]:
    """Load every issue of a project, newest first. Raises FaultsError with the faults of all files."""
    files: list[IssueFile] = []
    faults: list[Fault] = []
    for path in paths(project.issues):
        try:
            files.append(load(path, countries))
        except FaultsError as error:
            faults.extend(error.faults)
    if faults:
        raise FaultsError(faults)
    return tuple(sorted(files, key=lambda file: (file.published, file.slug), reverse=True))


def _day(path: Path) -> dt.date:
    """Read the day of an issue off its file; the first of all days when it cannot be seen there."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NewsletterError(f"{source.display(path)}: cannot be read: {error.strerror}") from None
    found = _PUBLISHED.search(data)
    if not found and (period := _PERIOD.search(data)):
        found = _END.search(period[1])
    try:
        day = dt.date.fromisoformat(found[1].decode()) if found else None
    except ValueError:
        day = None
    return day or dated(path.stem) or dt.date.min


def _shown(text: str) -> str:
    """Quote what somebody typed on one line, in a length that leaves room for the message."""
    return ascii(text) if len(text) <= 60 else f"{text[:60]!a}..."
