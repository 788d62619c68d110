"""Build the public archive: static pages without script and with relative links, for a server, a ZIP or a disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from newsletter.archive.history import collect
from newsletter.archive.pages import Pages
from newsletter.archive.pictures import pictures
from newsletter.archive.press import Press
from newsletter.archive.publish import Report, publish
from newsletter.config import Project
from newsletter.issue.countries import Countries
from newsletter.issue.load import IssueFile

__all__ = ["Report", "build"]


def build(project: Project, countries: Countries, files: Sequence[IssueFile], out: Path) -> Report:
    """Bring the archive of the issues into the folder `out`, and say how many files were written.

    Only what changed is made and written again. Pages of issues that are gone are removed; a file that the archive did
    not make is never replaced nor removed. Raises NewsletterError.
    """
    archive = collect(files, project.settings, countries)
    pages = Pages(Press(project), archive, countries)
    return publish([*pages.all(), *pictures(project, files)], out)
