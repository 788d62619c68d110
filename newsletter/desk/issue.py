"""An issue on the desk: checked, its warnings accepted, built."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from newsletter import checks
from newsletter.checks.finding import Finding, Proof
from newsletter.desk.project import Desk, clock, today
from newsletter.edition.model import Edition
from newsletter.edition.render import make_edition
from newsletter.errors import BlockedError, Fault
from newsletter.issue import folder
from newsletter.issue.folder import IssueFile
from newsletter.issue.load import load
from newsletter.issue.model import Weekly
from newsletter.mailing.message import Sample, sample_copy


def open_issue(desk: Desk, reference: str | None) -> IssueFile:
    """Load an issue by slug or path, by default the newest. Raises NewsletterError and FaultsError."""
    return load(folder.find(desk.project, reference), desk.countries)


@dataclass(frozen=True)
class Checked:
    """An issue with its edition and what the checks found in both."""

    file: IssueFile
    edition: Edition
    findings: tuple[Finding, ...]

    @property
    def blocks(self) -> tuple[Finding, ...]:
        """The findings that keep the issue from being sent."""
        return tuple(finding for finding in self.findings if finding.level == "block")

    def refuse_blocked(self) -> None:
        """Raise BlockedError with a line for each finding that blocks, if there is one."""
        if self.blocks:
            lines = "\n".join(str(finding) for finding in self.blocks)
            raise BlockedError(f"{lines}\n{self.file.file}: not sent: mend what blocks, then send again")


def check(desk: Desk, reference: str | None) -> Checked:
    """Make an issue's edition and look both over."""
    file = open_issue(desk, reference)
    edition = make_edition(file, desk.project, desk.countries)
    return Checked(file, edition, checks.run(Proof(desk.project, desk.countries, file, edition)))


def accept(desk: Desk, reference: str | None, code: str, by: str) -> Path:
    """Record that somebody accepts the warnings of a code as they stand now; return where."""
    checked = check(desk, reference)
    return checks.accept(checked.file, checked.findings, code, by, today())


def finding_record(finding: Finding) -> Mapping[str, Any]:
    """Return what `newsletter check --format json` says of a finding."""
    return {key: getattr(finding, key) for key in ("code", "level", "message", "file", "line")}


def fault_record(fault: Fault) -> Mapping[str, Any]:
    """Return what `newsletter check --format json` says of a fault that keeps the issue from being read."""
    return {"code": "fault", "level": "block", "message": fault.message, "file": fault.file, "line": fault.line}


@dataclass(frozen=True)
class Built:
    """What a build wrote, and how long its steps took, in seconds."""

    paths: tuple[Path, ...]
    subjects: int
    updates: int
    load_seconds: float
    edition_seconds: float


def sample(desk: Desk, edition: Edition) -> Sample:
    """Make a sample reader's copy of an edition, for editors to look at."""
    return sample_copy(edition, desk.project, clock())


def build(desk: Desk, reference: str | None, out: Path | None) -> Built:
    """Write a sample reader's html, text and whole message to a folder named after the issue."""
    started = time.perf_counter()
    file = open_issue(desk, reference)
    loaded = time.perf_counter()
    edition = make_edition(file, desk.project, desk.countries)
    made = time.perf_counter()
    target = (out or desk.project.root / "build") / file.slug
    target.mkdir(parents=True, exist_ok=True)
    copy = sample(desk, edition)
    contents = {"email.html": copy.html.encode(), "email.txt": copy.text.encode(), "message.eml": copy.message}
    for name, data in contents.items():
        (target / name).write_bytes(data)
    updates = (
        sum(len(subject.updates) for subject in file.issue.updates.values()) if isinstance(file.issue, Weekly) else 0
    )
    paths = tuple(target / name for name in contents)
    return Built(paths, len(edition.subjects), updates, loaded - started, made - loaded)
