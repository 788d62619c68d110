"""How patient a send is with a carrier that puts it off, and how it waits."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable

from newsletter.errors import TryLaterError
from newsletter.mailing.outcomes import PUT_BACK, Claim, Result
from newsletter.mailing.stop import AskedToStopError, Stop
from newsletter.providers.base import Receipt

Clock = Callable[[], dt.datetime]
Sleep = Callable[[float], None]
Chance = Callable[[], float]  # from 0 to 1

FIRST_WAIT = 5.0  # seconds; doubled with every try that brought nothing
LONGEST_WAIT = 300.0  # that this run waits; a carrier that asks for more is left to a later run
LONGEST_ASKED = 86_400.0  # what a carrier asks beyond a day is not believed
TRIES = 7  # in a row that brought nothing, some five minutes, then the run ends
JITTER = 0.25  # the part of a wait of ours that is left to chance, so that senders do not come back all at once

_STEP = 1.0  # how often a wait looks whether somebody wants to stop


class Pace:
    """Counts the tries that brought nothing, and waits between them; all lanes share it.

    A chunk that was never tried before and is put off speaks of the carrier, so there is a wait before the next one.
    One that is put off again may be the fault of its readers: the others that are due have their turns at once, and
    all of these turns together are one try, which ends when none is due or one would have its second turn. What other
    lanes had under way while a try was counted belongs to that try.
    """

    def __init__(self, clock: Clock, sleep: Sleep, stop: Stop, chance: Chance) -> None:
        self.clock = clock
        self.sleep = sleep
        self.stop = stop
        self._chance = chance
        self._lock = threading.Lock()
        self._in_vain = 0
        self._counted_at: dt.datetime | None = None
        self._turns: set[int] = set()  # chunks that had theirs in vain since the last try was counted
        self._last = ""

    @property
    def doubtful(self) -> bool:
        """Whether to look at the other end of the audience if the carrier takes anything: every second try in vain."""
        return self._in_vain % 2 == 1

    def wait_for(self, receipt: Receipt) -> dt.timedelta:
        """Say how long to leave the carrier alone after it put something off."""
        if receipt.retry_after is not None:
            return dt.timedelta(seconds=min(max(receipt.retry_after, 1.0), LONGEST_ASKED))
        whole = min(FIRST_WAIT * 2**self._in_vain, LONGEST_WAIT)
        return dt.timedelta(seconds=whole * (1 - JITTER * self._chance()))

    def _shortest_wait(self) -> dt.timedelta:
        return dt.timedelta(seconds=min(FIRST_WAIT * 2 ** (self._in_vain - 1), LONGEST_WAIT) * (1 - JITTER))

    def after(self, result: Result, claim: Claim) -> None:
        """Wait if a try brought nothing. Raises TryLaterError when that happens too often, or the wait is too long."""
        if result.word == PUT_BACK:  # which says nothing of the carrier
            return
        with self._lock:
            if not result.in_vain or result.not_before is None:
                self._in_vain = 0
                self._turns.clear()
                return
            self._last = result.detail
            if not (claim.fresh or result.asked or claim.chunk in self._turns):
                self._turns.add(claim.chunk)
                return
            if self._counted_at is None or claim.at >= self._counted_at:
                self._count()
        self.until(result.not_before, result.detail)

    def until_due(self, moment: dt.datetime) -> None:
        """Wait for what was put off, since nothing else is left. Raises as `after` and `until`."""
        with self._lock:
            if self._turns:
                self._count()
            last = self._last
        self.until(moment, last, by_carrier=bool(last))

    def _count(self) -> None:
        """Count a try, unless the wait after the one before is not over: it is still that one."""
        self._turns.clear()
        now = self.clock()
        if self._in_vain and self._counted_at is not None and now < self._counted_at + self._shortest_wait():
            return
        self._in_vain += 1
        self._counted_at = now
        if self._in_vain >= TRIES:
            raise TryLaterError(
                f"the carrier put us off {TRIES} times in a row, last: {self._last}; nobody is marked as failed,"
                " send again later"
            )

    def until(self, moment: dt.datetime, detail: str = "", *, by_carrier: bool = True) -> None:
        """Wait until a moment. Raises TryLaterError when that is too long, AskedToStopError when somebody stops it."""
        seconds = (moment - self.clock()).total_seconds()
        if seconds > LONGEST_WAIT:
            said = f", its words: {detail}" if detail else ""
            when = f"{moment:%Y-%m-%d %H:%M} UTC"
            why = f"the carrier asks us to wait until {when}{said}" if by_carrier else f"nobody is due before {when}"
            raise TryLaterError(f"{why}; send again after that")
        while seconds > 0:
            self.may_go_on()
            self.sleep(min(seconds, _STEP))
            seconds -= _STEP

    def may_go_on(self) -> None:
        """Raise AskedToStopError when somebody has asked to stop."""
        if self.stop():
            raise AskedToStopError
