"""The errors raised on purpose: each one is a line an editor can act on.

NewsletterError            exit 2; the root, so that the command line shows no traceback for any of them
├── FaultsError            exit 2; faults in a file, each with its line, all of them at once
├── BlockedError           exit 1; findings that block a send
├── StoppedError           exit 1; a send stopped and can go on once the cause is mended
└── TryLaterError          exit 75; nothing is wrong, but not now (EX_TEMPFAIL of sysexits.h)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class NewsletterError(Exception):
    """Something the person at the keyboard can mend; `str()` is the line that says how."""

    exit_code = 2


@dataclass(frozen=True, order=True)
class Fault:
    """One thing wrong in one file. `line` counts from 1."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class FaultsError(NewsletterError):
    """A file that cannot be used as it is; `faults` holds every reason, in the order of the lines."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


class BlockedError(NewsletterError):
    """The checks found something that must be mended before a send."""

    exit_code = 1


class StoppedError(NewsletterError):
    """A send stopped before its end, with nobody marked as failed; running it again goes on."""

    exit_code = 1


class TryLaterError(NewsletterError):
    """Somebody else holds what is needed (another sender, a locked database)."""

    exit_code = 75
