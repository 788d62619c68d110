"""The archive on the desk: every issue of the project, kept for good."""

from __future__ import annotations

from pathlib import Path

from newsletter.archive import site
from newsletter.desk.project import Desk
from newsletter.issue import folder


def build_archive(desk: Desk, out: Path | None) -> site.Report:
    """Build the archive, by default in the project's folder public/archive/, since mails link to {url}/archive/."""
    files = folder.load_all(desk.project, desk.countries)
    return site.build(desk.project, desk.countries, files, out or desk.project.root / "public" / "archive")
