"""Sees that what is being sent is still what its files make."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from newsletter.config import SETTINGS_FILE
from newsletter.desk.project import Desk, open_desk, watched_files
from newsletter.edition.render import make_edition
from newsletter.errors import NewsletterError
from newsletter.issue.load import load

Stamps = frozenset[tuple[str, int, int]]


def stamps(desk: Desk) -> Stamps | None:
    """Return what shows that a file was changed: size and time of all that may shape an edition.

    None when that cannot be told, because the settings have changed since they were read or a folder is just changing.
    """
    found = set()
    try:
        for path in watched_files(desk.project):
            with contextlib.suppress(FileNotFoundError):  # what an editor's program puts there for a moment
                stat = path.stat()
                found.add((str(path), stat.st_mtime_ns, stat.st_size))
        same = (desk.project.root / SETTINGS_FILE).read_bytes() == desk.project.source.data
    except OSError:
        return None
    return frozenset(found) if same else None


@dataclass
class StillTheSame:
    """Answers whether the edition of an issue's file still has its digest; it is made anew only when a file changed.

    `seen` are the stamps that were taken before the edition was made.
    """

    desk: Desk
    path: Path
    digest: str
    seen: Stamps | None

    def __call__(self) -> bool:
        """Say whether a send may go on; a file that can no longer be read or used is a changed one."""
        now = stamps(self.desk)
        if now is not None and now == self.seen:
            return True
        try:
            desk = open_desk(self.desk.project.root)
            same = make_edition(load(self.path, desk.countries), desk.project, desk.countries).digest == self.digest
        except NewsletterError:
            return False
        if same:
            self.seen = now
        return same
