"""Keep what an editor has accepted, beside the issue: issues/<slug>.accepted.yaml.

An acceptance holds for the very findings it was given for, by code and message; a new one shows again.
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from newsletter import source
from newsletter.checks.finding import Finding
from newsletter.errors import NewsletterError
from newsletter.issue import save
from newsletter.issue.folder import IssueFile
from newsletter.issue.values import Day
from newsletter.source import Line

_HEAD = "# Warnings that an editor has accepted; 'newsletter check --accept CODE --by NAME' writes this file.\n"


class Acceptance(BaseModel):
    """Findings of one code that somebody accepted on a day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: Line
    by: Line
    date: Day
    findings: tuple[str, ...]


class Record(BaseModel):
    """All that was accepted for one issue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accepted: tuple[Acceptance, ...] = ()


def record_path(file: IssueFile) -> Path:
    """Say where the record of an issue stands."""
    return file.path.with_name(f"{file.slug}.accepted.yaml")


def accepted(file: IssueFile) -> tuple[Acceptance, ...]:
    """Read what has been accepted for an issue; nothing when there is no record. Raises FaultsError."""
    path = record_path(file)
    return source.validate(Record, source.read(path)).accepted if path.exists() else ()


def accept(file: IssueFile, findings: Iterable[Finding], code: str, by: str, today: dt.date) -> Path:
    """Record that `by` accepts the warnings of a code as they stand; return the record's path.

    `findings` are those `run` returned. Raises NewsletterError when there is none of that code to accept, when it
    blocks, or when nobody's name is given.
    """
    everything = list(findings)
    found = [finding for finding in everything if finding.code == code]
    warned = [finding.message for finding in found if finding.level == "warn"]
    name = " ".join(by.split())
    if not name:
        raise NewsletterError("a name stands behind every acceptance; write --by and yours")
    if not warned:
        raise NewsletterError(f"{file.file}: {_refusal(found, code, everything)}")
    entry = Acceptance(code=code, by=name, date=today, findings=tuple(warned))
    path = record_path(file)
    _write(path, [*accepted(file), entry])
    return path


def _refusal(found: Sequence[Finding], code: str, everything: Sequence[Finding]) -> str:
    if any(finding.level == "block" for finding in found):
        return f"'{code}' blocks the send and cannot be accepted; mend it: {found[0].message}"
    if any(" (accepted by " in finding.message for finding in found):
        return f"'{code}' is accepted already, and there is nothing new"
    if found:
        return f"'{code}' only informs; there is nothing to accept"
    near = difflib.get_close_matches(code, {finding.code for finding in everything}, n=1)
    return f"nothing was found by '{code}'" + (f"; did you mean '{near[0]}'?" if near else "")


def softened(file: IssueFile, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Turn the warnings that were accepted into information, each with the name and the day."""
    entries = accepted(file)
    left = Counter((entry.code, message) for entry in entries for message in entry.findings)
    by = {(entry.code, message): entry for entry in reversed(entries) for message in entry.findings}
    result = []
    for finding in findings:
        key = (finding.code, finding.message)
        if finding.level == "warn" and left[key] > 0:
            left[key] -= 1
            note = f" (accepted by {by[key].by} on {by[key].date})"
            result.append(replace(finding, level="info", message=finding.message + note))
        else:
            result.append(finding)
    return tuple(result)


def _write(path: Path, entries: Iterable[Acceptance]) -> None:
    """Write the record whole or not at all."""
    tree = {"accepted": [entry.model_dump(mode="json") for entry in entries]}
    text = _HEAD + yaml.safe_dump(tree, allow_unicode=True, sort_keys=False, width=120)
    save.write(path, text.encode())
