"""The archive on the desk: every issue of the project, kept for good."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from newsletter.archive import site
from newsletter.desk.project import Desk
from newsletter.issue import folder
from newsletter.issue.folder import IssueFile


def archive_folder(desk: Desk) -> Path:
    """Say where the archive stands unless told otherwise; mails link to {url}/archive/, so public/ is the web site."""
    return desk.project.root / "public" / "archive"


def build_archive(desk: Desk, out: Path, day: dt.date) -> tuple[site.Report, tuple[IssueFile, ...]]:
    """Build the archive in a folder; return also the issues in it that are dated after a day, likely unfinished."""
    files = folder.load_all(desk.project, desk.countries)
    report = site.build(desk.project, desk.countries, files, out)
    return report, tuple(file for file in files if file.published > day)
