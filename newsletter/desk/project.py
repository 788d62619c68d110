"""A project on the desk: made, opened, and its next issue begun."""

from __future__ import annotations

import datetime as dt
import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from newsletter import config
from newsletter.config import Project
from newsletter.edition.themes import built_in as built_in_templates
from newsletter.errors import NewsletterError
from newsletter.issue import folder, skeleton
from newsletter.issue.countries import Countries
from newsletter.issue.folder import IssueFile
from newsletter.issue.load import load
from newsletter.issue.model import Weekly
from newsletter.source import display

Clock = Callable[[], dt.datetime]


def clock() -> dt.datetime:
    """Return the present, aware and in UTC."""
    return dt.datetime.now(dt.UTC)


def today() -> dt.date:
    """Return the date where the editor sits."""
    return clock().astimezone().date()


@dataclass(frozen=True)
class Desk:
    """A project that is being worked on, with its country table."""

    project: Project
    countries: Countries


def open_desk(start: Path) -> Desk:
    """Open the project that a folder belongs to. Raises NewsletterError and FaultsError."""
    project = config.load(config.find(start))
    return Desk(project, Countries.from_settings(project.settings))


def init(root: Path, day: dt.date) -> tuple[Path, ...]:
    """Make a project folder with a first issue; return what was made, the settings file first.

    Raises NewsletterError when there is a project already. Nothing that exists is overwritten.
    """
    settings_file = root / config.SETTINGS_FILE
    if settings_file.exists():
        raise NewsletterError(f"{display(settings_file)} is there already; choose an empty folder")
    for name in ("issues/images", "templates", "subscribers"):
        (root / name).mkdir(parents=True, exist_ok=True)
    built_in = built_in_templates() / "project"
    _write_new(settings_file, (built_in / config.SETTINGS_FILE).read_text("utf-8"))
    _write_new(root / ".gitignore", (built_in / "gitignore").read_text("utf-8"))
    _write_new(root / "secret.key", secrets.token_urlsafe(32) + "\n", mode=0o600)
    return (settings_file, root / "issues" / new_issue(open_desk(root), day).name)


def _write_new(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file that must not exist yet; one that does is left as it is."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)


def new_issue(desk: Desk, day: dt.date | None) -> Path:
    """Write the skeleton of the next issue; return its path. Raises NewsletterError when it is there already."""
    previous = _weekly_before(desk, day)
    due = skeleton.day_after(previous) if previous else today()
    slug, text = skeleton.skeleton(desk.project.settings, day or due, previous)
    path = desk.project.issues / f"{slug}.yaml"
    if path.exists():
        raise NewsletterError(f"{display(path)} is there already; choose another day with --date")
    path.parent.mkdir(exist_ok=True)  # git keeps no empty folder
    _write_new(path, text)
    return path


def _weekly_before(desk: Desk, day: dt.date | None) -> IssueFile | None:
    """Return the newest weekly, or the newest one published by a day."""
    files = (load(path, desk.countries) for path in folder.paths(desk.project.issues))
    return next(
        (file for file in files if isinstance(file.issue, Weekly) and (day is None or file.published <= day)), None
    )


def watched_files(project: Project) -> Iterable[Path]:
    """List every file whose change may change an edition."""
    yield project.root / config.SETTINGS_FILE
    for place in (project.issues, project.templates, built_in_templates()):  # a picture may come after its figure
        yield from (path for path in place.rglob("*") if path.is_file())
