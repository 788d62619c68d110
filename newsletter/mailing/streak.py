"""Notices when something is wrong with us or the carrier, and not with the readers: the same answer again and again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from newsletter.errors import StoppedError
from newsletter.mailing.letters import Letter
from newsletter.providers.base import Outcome

# So many in a row mean that something is wrong with us or the carrier, not with the readers.
MOST_IN_A_ROW = {Outcome.REJECTED: 10, Outcome.UNKNOWN: 3, Outcome.DEFERRED: 3}

# A reader who is still put off so long after the mailing began is given up, so that it comes to an end: "the give-up
# time generally needs to be at least 4-5 days" (RFC 5321, 4.5.4.1).
GIVE_UP_AFTER = dt.timedelta(days=5)


def is_late(started: dt.datetime | None, now: dt.datetime) -> bool:
    """Say whether a mailing began so long ago that its last readers are given up."""
    return started is not None and now - started > GIVE_UP_AFTER


@dataclass
class Streak:
    """How many of the last outcomes were the same, over the whole run.

    Refusals in a row that stop a run are not believed: those readers are pending again, once each. When such a reader
    is refused again, that stands if the carrier has taken somebody else's copy in the same run, and then it does not
    count here: a list may well begin with dead addresses. But if ten others follow in the same row, none of it is
    believed.
    """

    outcome: Outcome | None = None
    length: int = 0
    detail: str = ""
    refused: list[Letter] = field(default_factory=list)  # all who were refused in this row
    taken: bool = False  # whether the carrier has taken anybody's copy in this run

    def add(self, outcome: Outcome, detail: str, letters: Sequence[Letter] = (), *, late: bool = False) -> None:
        """Count one more outcome, of one message or one batch; `letters` are those whom it concerns."""
        if outcome is not self.outcome:
            self.outcome, self.length, self.refused = outcome, 0, []
        self.detail = detail
        self.taken = self.taken or outcome is Outcome.ACCEPTED
        if outcome is Outcome.REJECTED:
            self.refused += letters
        known_bad = outcome is Outcome.REJECTED and letters and all(letter.taken_back for letter in letters)
        if not (known_bad and (self.taken or late)):
            self.length += 1

    def too_long(self, outcome: Outcome) -> bool:
        """Say whether an outcome has come too often in a row."""
        return self.outcome is outcome and self.length >= MOST_IN_A_ROW[outcome]

    def judge(self) -> None:
        """Raise StoppedError when readers are refused, or messages lost, one after the other."""
        if self.too_long(Outcome.REJECTED):
            raise StoppedError(
                f"stopped: the carrier refused {len(self.refused)} readers one after another, last: {self.detail};"
                " none of them is marked as failed, see what it has against us, then send again"
            )
        if self.too_long(Outcome.UNKNOWN):
            raise StoppedError(
                f"stopped: {self.length} times in a row no clear answer came after a message was handed over, last:"
                f" {self.detail}; those readers are listed as unknown and not sent again"
            )
