"""What an examination notes, and the parts of a record it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Note:
    """One thing that was looked at: how it stands, and what to do about it; "" when there is nothing to do."""

    level: Level
    topic: str
    what: str
    advice: str = ""


def tags(record: str) -> Mapping[str, str]:
    """Read a list of tags such as `v=DKIM1; k=rsa; p=...` (RFC 6376, 3.2); white space in values is dropped."""
    pairs = (part.partition("=") for part in record.split(";"))
    return {name.strip().lower(): "".join(value.split()) for name, equals, value in pairs if equals}
