"""A stand-in for a provider: it takes requests as the provider does, makes each reader's copy, and fails on demand.

Every carrier with an HTTP interface has one, `<name>_server.py`, used by its contract tests and by the fault matrix.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from web_servers import HANG_UP, RESET, SILENCE, Said, Seen, WebServer

NOON = dt.datetime(2016, 4, 22, 12, tzinfo=dt.UTC)
HTML = Said(200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><title>Welcome</title><p>Please log in.")


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one sending request: before the provider takes it, or after it was taken and acted upon.

    `said` is answered instead of the truth; None cuts the true answer in half.
    """

    name: str
    said: Said | str | None
    after: bool = False


def _waits(value: str) -> Said:
    return Said(429, {"Retry-After": value}, b'{"message": "too many requests"}')


LATE_DATE = "Fri, 22 Apr 2016 12:00:30 GMT"
FAULTS: Mapping[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("429", Said(429, {}, b"too many")),
        Fault("429 with seconds", _waits("7")),
        Fault("429 with a date", _waits(LATE_DATE)),
        Fault("429 with an absurd wait", _waits("99999999999")),
        Fault("429 with nonsense", _waits("soon")),
        Fault("503", Said(503, {"Retry-After": "5"}, b"unavailable")),
        Fault("500 before", Said(500, {}, b"oops")),
        Fault("500 after", Said(500, {}, b"oops"), after=True),
        Fault("dropped before", RESET),
        Fault("dropped after", HANG_UP, after=True),
        Fault("cut in half", None, after=True),
        Fault("200 with html before", HTML),
        Fault("200 with html after", HTML, after=True),
        Fault("too slow", SILENCE, after=True),
        Fault("401", Said(401, {}, b'{"message": "wrong key"}')),
    )
}


class ProviderServer(WebServer):
    """Keeps what each reader got. Subclasses write `sends` and `serve`, and note each copy with `deliver`.

    `bad` are addresses the provider does not take; `now` is its clock, for keys that are forgotten and records that
    come late. Nothing here may wait or look at the time of day.
    """

    merges: ClassVar[bool] = True  # whether one request carries many readers
    timeout = 0.3  # seconds that its carrier waits for an answer

    def __init__(self) -> None:
        super().__init__()
        self.copies: dict[str, dict[str, str]] = {}  # by address: subject, html, text, headers in lower case
        self.got: Counter[str] = Counter()  # by address: how many copies were really made
        self.taken_at: dict[str, dt.datetime] = {}
        self.bad: set[str] = set()
        self.faults: list[Fault] = []
        self.now = NOON

    def sends(self, seen: Seen) -> bool:
        """Say whether this request asks for mail to leave (and is no look-up or preparation)."""
        raise NotImplementedError

    def deliver(self, address: str, copy: dict[str, str]) -> None:
        """Note a copy that a reader gets."""
        self.copies[address] = copy
        self.got[address] += 1
        self.taken_at[address] = self.now

    def take_turn(self, seen: Seen) -> Said | str:
        with self._turn:
            if self.faults and not self.answers and self.sends(seen):
                self.answers.append(self._fail(self.faults.pop(0), seen))
            return super().take_turn(seen)

    def _fail(self, fault: Fault, seen: Seen) -> Said | str:
        truth = self.serve(seen) if fault.after else None
        if fault.said is not None:
            return fault.said
        assert isinstance(truth, Said)
        return replace(truth, body=truth.body[: len(truth.body) // 2], promised=len(truth.body))
