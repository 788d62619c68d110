"""Lets several lanes carry a mailing at once: each claims a chunk, carries it, and settles it with its next claim."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from newsletter.database.engine import reading, writing
from newsletter.errors import NewsletterError, StoppedError
from newsletter.mailing import claims, flight, lease, recovery
from newsletter.mailing.carry import Carriage, carry_batch
from newsletter.mailing.claims import HaltedError, Held, Taker
from newsletter.mailing.flight import FlightLog
from newsletter.mailing.garbage import collected_apart
from newsletter.mailing.lease import LostLeaseError
from newsletter.mailing.outcomes import Claim, Result
from newsletter.mailing.pace import Pace
from newsletter.mailing.rounds import carry_messages
from newsletter.mailing.speed import Speed
from newsletter.providers.base import BatchCarrier, MessageCarrier

LOOK_EVERY = dt.timedelta(seconds=5)  # at whether the edition is still what is being sent
SWEEP_EVERY = dt.timedelta(minutes=1)  # for what dead workers left
_IDLE = 0.1  # seconds; how often a lane without work looks for some

CHANGED = "the issue, a template or newsletter.yaml was changed during the run; bring that back, then send again"


@dataclass
class Crew:
    """All lanes of one run. `still` says whether the edition that is being sent is the one on the disk."""

    taker: Taker
    carriage: Carriage
    pace: Pace
    speed: Speed
    told: Callable[[int], None]
    still: Callable[[], bool]
    error: BaseException | None = None
    busy: bool = False
    _idle: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)
    _looked: dt.datetime | None = None
    _swept: dt.datetime | None = None
    _heard: set[str] = field(default_factory=set)  # tokens of the claims that lanes were given

    def work(self, lanes: int) -> bool:
        """Carry until nothing is left or somebody stops; return whether there was anything to do.

        Raises what the first lane raised that had to give up; the others ended after what they had under way.
        """
        with collected_apart():
            self._run(lanes)
        if self.error is not None:
            with contextlib.suppress(NewsletterError):  # then they are in doubt
                recovery.free_unheard(self.taker.engine, self.taker.held, self._heard, self.pace.clock())
            raise self.error
        return self.busy

    def _run(self, lanes: int) -> None:
        if lanes == 1:
            self._guarded(0, 1)
            return
        threads = [threading.Thread(target=self._guarded, args=(lane, lanes), daemon=True) for lane in range(lanes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():  # a join without end would keep signals waiting
                thread.join(_IDLE)

    def _guarded(self, lane: int, lanes: int) -> None:
        try:
            self._lane(lane, lanes)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for the lanes
            with self._lock:
                self.error = self.error or error
            self.pace.stop.end()

    def _lane(self, lane: int, lanes: int) -> None:
        pending: tuple[Claim, Result] | None = None
        with self._flights(lane) as flights:
            try:
                while True:
                    if pending is not None and self.carriage.resting:
                        self.carriage.settle(*pending)  # what is known is not left unwritten for so long
                        pending = None
                    self._rest()
                    self._may_go_on()
                    if isinstance(self.taker.provider, BatchCarrier):
                        self.speed.wait()
                    try:
                        found = self._claim(pending)
                    except HaltedError:
                        pending = None
                        raise
                    pending = None
                    if isinstance(found, Claim):
                        pending = self._carry(found, flights)
                    elif isinstance(found, Held):
                        self.pace.until(found.until)
                    elif not self._wait_for_more(lanes):
                        return
            finally:
                if pending is not None:
                    with contextlib.suppress(LostLeaseError):  # or it was settled, and only the answer to that is lost
                        self.carriage.settle(*pending)

    def _rest(self) -> None:
        """Wait with the lane that the carrier put off."""
        if self.carriage.rest_until is not None:
            self.pace.until(self.carriage.rest_until, self.carriage.rest_words)

    def _flights(self, lane: int) -> contextlib.AbstractContextManager[FlightLog | None]:
        """Open a lane's log; a batch leaves as a whole, so its claim says all there is to say."""
        if isinstance(self.taker.provider, BatchCarrier):
            return contextlib.nullcontext()
        return flight.flight_log(self.taker.engine, self.taker.held, lane)

    def _claim(self, done: tuple[Claim, Result] | None) -> Claim | Held | None:
        now = self.pace.clock()
        return claims.claim(self.taker, now, settle=done, other_end=self.pace.doubtful)

    def _carry(self, claim: Claim, flights: FlightLog | None) -> tuple[Claim, Result] | None:
        """Carry a chunk; return it with its result when that may wait for the next claim's commit."""
        self.busy = True
        self._heard.add(claim.token)
        if claim.sifted:
            self.told(claim.sifted)
        provider = self.taker.provider
        if isinstance(provider, BatchCarrier):
            result = carry_batch(self.carriage, provider, claim)
        elif isinstance(provider, MessageCarrier) and flights is not None:
            result = carry_messages(self.carriage, provider, claim, flights, self.speed)
        else:
            raise TypeError(f"{type(provider).__name__} carries neither messages nor batches")
        self.carriage.judge(claim, result)
        at_once = result.not_before is not None or provider.rate is not None  # there is a wait before the next claim
        if at_once and not result.settled:
            self.carriage.settle(claim, result)
        self.pace.after(result, claim)
        return None if at_once or result.settled else (claim, result)

    def _may_go_on(self) -> None:
        self.pace.may_go_on()
        now = self.pace.clock()
        with self._lock:
            look = self._looked is None or now - self._looked >= LOOK_EVERY
            sweep = self._swept is not None and now - self._swept >= SWEEP_EVERY
            self._looked = now if look else self._looked
            self._swept = now if sweep or self._swept is None else self._swept
        if look and not self.still():
            raise StoppedError(f"{self.taker.mailing.name}: {CHANGED}")
        if sweep:
            self._sweep(now)

    def _sweep(self, now: dt.datetime) -> int:
        with writing(self.taker.engine) as connection:
            return recovery.sweep(connection, self.taker.mailing, self.taker.provider, lease.this_process(), now)

    def _wait_for_more(self, lanes: int) -> bool:
        """Wait until there may be something to claim; False when nothing will come any more."""
        with self._lock:
            self._idle += 1
            last = self._idle == lanes
        try:
            if not last or self._ended.is_set():
                return not self._ended.wait(_IDLE)
            now = self.pace.clock()
            with reading(self.taker.engine) as connection:
                due = claims.next_due(connection, self.taker.mailing.id, now)
                others = claims.under_way(connection, self.taker.mailing.id)
            if due is not None:
                if due > now:  # else it has come back since we found nothing
                    self.pace.until_due(due)
            elif others:
                self._wait_for_others()
            else:
                self._ended.set()
            return not self._ended.is_set()
        finally:
            with self._lock:
                self._idle -= 1

    def _wait_for_others(self) -> None:
        """Workers elsewhere have chunks under way, which may come back."""
        if not self._sweep(self.pace.clock()):
            self.pace.sleep(_IDLE * 5)
