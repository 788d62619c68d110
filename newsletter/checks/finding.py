"""What a check is given and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from newsletter.config import Project
from newsletter.edition.model import Edition
from newsletter.issue.countries import Countries
from newsletter.issue.folder import IssueFile

Level = Literal["block", "warn", "info"]


@dataclass(frozen=True)
class Finding:
    """One thing a check found. `line` counts from 1 in `file`."""

    code: str
    level: Level
    message: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.level} {self.code}: {self.message}"


@dataclass(frozen=True)
class Proof:
    """Everything a check may look at: the issue as written and the edition made from it."""

    project: Project
    countries: Countries
    file: IssueFile
    edition: Edition


# A check yields (level, message, location in the issue, line breaks into the text there).
CheckFunction = Callable[[Proof], Iterable[Finding]]
