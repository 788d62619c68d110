"""What a check is, and what it finds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from newsletter.checks.proof import Proof, Spot

__all__ = ["Check", "Finding", "Level", "Proof", "Rule", "Spot", "check"]

Level = Literal["block", "warn", "info"]
Rule = Callable[[Proof], Iterable[Spot]]


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
class Check:
    """A rule with its stable code and its level: block stops a send, warn can be accepted, info only informs."""

    code: str
    level: Level
    rule: Rule

    @property
    def reason(self) -> str:
        """Why the rule is there, for an editor to read."""
        return inspect.cleandoc(self.rule.__doc__ or "")

    def __call__(self, proof: Proof) -> Iterator[Finding]:
        """Apply the rule to a proof."""
        for spot in self.rule(proof):
            yield Finding(self.code, self.level, spot.message, spot.file, spot.line)


def check(code: str, level: Level) -> Callable[[Rule], Check]:
    """Make a check of a function; its docstring is the reason an editor reads."""

    def made(rule: Rule) -> Check:
        return Check(code, level, rule)

    return made
