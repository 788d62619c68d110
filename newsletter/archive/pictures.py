"""The pictures of issues: those in issues/images, and any other below issues/ that a figure shows."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from newsletter.archive.publish import Page, digest
from newsletter.config import Project
from newsletter.errors import NewsletterError
from newsletter.issue.load import IssueFile
from newsletter.issue.model import Weekly
from newsletter.source import display


def pictures(project: Project, files: Iterable[IssueFile]) -> Iterator[Page]:
    """List the pictures as files of the archive, at the path that issues name them by.

    Hidden files stay behind, and so does what a link leads to outside the issues' folder.
    """
    root = project.issues.resolve()
    found = {path.relative_to(project.issues) for path in (project.issues / "images").rglob("*")}
    found |= {Path(PurePosixPath(source)) for file in files for source in _sources(file)}
    for relative in sorted(found):
        path = project.issues / relative
        hidden = any(part.startswith(".") for part in relative.parts)
        if relative.is_absolute() or hidden or not path.is_file() or not path.resolve().is_relative_to(root):
            continue
        status = path.stat()
        stamp = digest(relative.as_posix(), str(status.st_size), str(status.st_mtime_ns))
        yield Page(relative.as_posix(), stamp, functools.partial(_read, path))


def _sources(file: IssueFile) -> Iterator[str]:
    lead = file.issue.lead if isinstance(file.issue, Weekly) else None
    for figure in lead.figures if lead else ():
        if "://" not in figure.src:
            yield figure.src


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NewsletterError(f"{display(path)}: cannot be read: {error.strerror}") from None
