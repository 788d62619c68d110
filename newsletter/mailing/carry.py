"""Carries claimed chunks to the provider, whatever happens on the way; several lanes share one carriage."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

from newsletter.database.engine import writing
from newsletter.errors import StoppedError, TryLaterError
from newsletter.mailing import bucket, claims, ledger, outcomes
from newsletter.mailing.claims import Taker, carrier_name, rest_state
from newsletter.mailing.lease import LostLeaseError
from newsletter.mailing.ledger import IN_DOUBT
from newsletter.mailing.letters import Letter
from newsletter.mailing.message import Compiler
from newsletter.mailing.outcomes import PUT_BACK, Claim, Result
from newsletter.mailing.streak import GIVE_UP_AFTER, Streak, is_late
from newsletter.providers.base import Batch, BatchCarrier, Guard, Outcome, Provider, ProviderStoppedError, Receipt

CUT_SHORT = "the sender broke off while this was under way"
GIVEN_UP = f"put off for more than {GIVE_UP_AFTER.days} days, last: "

AGAIN = (Guard.REPEATABLE, Guard.KEY)  # with these, what is in doubt is handed over again

AHEAD = 2  # lanes that get a batch ready while those of all connections are under way

_STEP = 0.5  # seconds between two tries

Fate = tuple[Outcome, str]
Clock = Callable[[], dt.datetime]


def make_batch(compiler: Compiler, carrier: BatchCarrier, key: str, letters: Sequence[Letter]) -> Batch:
    """Make a carrier's batch of letters that all have one choice of subjects."""
    merge = compiler.merge(letters[0].chosen, carrier.their_headers)
    return Batch(
        key=key,
        tag=compiler.edition.slug,
        merge=merge,
        recipients=compiler.recipients(merge, [(one.reader, one.address, one.name) for one in letters]),
        mailing=compiler.key,  # the issue and its list: the same issue on another list must not pass for this one
    )


@dataclass
class Carriage:
    """What stays the same while chunk after chunk is carried; `wait` says how long to leave a carrier alone.

    `started` is when the mailing began, None when it begins with this run; `worked` says whether the carrier had taken
    anybody's copy before. What several lanes change is changed under `lock`.
    """

    taker: Taker
    compiler: Compiler
    clock: Clock
    stopping: Callable[[], bool]
    told: Callable[[int], None]
    wait: Callable[[Receipt], dt.timedelta]
    started: dt.datetime | None = None
    worked: bool = False
    streak: Streak = field(default_factory=Streak)
    lock: threading.RLock = field(default_factory=threading.RLock)
    patience: float = 0.0  # seconds
    helpers: Executor | None = None  # who composes messages ahead; None where that does not pay
    connections: threading.Semaphore | None = None  # as many as requests may be under way; None: one for each lane
    rest_until: dt.datetime | None = None  # the carrier is left alone until then
    rest_words: str = ""  # what it said
    over: bool = False  # whether a lane met what ends them all

    @contextlib.contextmanager
    def connection(self) -> Iterator[bool]:
        """Hold a connection to the carrier when one is free; False when nothing may leave any more, or not now."""
        while self.connections is not None and not self.connections.acquire(timeout=_STEP):
            if self.stopping():
                yield False
                return
        try:
            yield not (self.over or self.resting or self.stopping())
        finally:
            if self.connections is not None:
                self.connections.release()

    @property
    def resting(self) -> bool:
        """Whether the carrier is left alone after a try of some lane that brought nothing."""
        return self.rest_until is not None and self.clock() < self.rest_until

    def rest_after(self, claim: Claim, result: Result) -> None:
        """Keep all lanes from a carrier that put one off, if that speaks of the carrier and not of the readers."""
        if result.in_vain and result.word != IN_DOUBT and (claim.fresh or result.asked):
            self.rest_until, self.rest_words = result.not_before, result.detail

    def add(self, fate: Fate, letters: Sequence[Letter] = ()) -> None:
        """Count an outcome, of one message or one batch."""
        with self.lock:
            self.streak.add(*fate, letters, late=fate[0] is Outcome.REJECTED and self.is_late())

    @property
    def stuck(self) -> bool:
        """Whether the same answer came again and again."""
        return any(map(self.streak.too_long, (Outcome.REJECTED, Outcome.UNKNOWN)))

    def judge(self, claim: Claim, result: Result) -> None:
        """Raise StoppedError when the same answer came again and again; the result is settled by then.

        Readers whose refusals are not believed are pending again.
        """
        with self.lock:
            if not self.stuck:
                return
            if not result.settled:
                self.settle(claim, result)
            if self.streak.too_long(Outcome.REJECTED):
                taker = self.taker
                outcomes.take_back(taker.engine, taker.held, taker.mailing.id, self.streak.refused, self.clock())
            self.streak.judge()

    def is_late(self) -> bool:
        """Say whether readers who are still put off are given up now."""
        return is_late(self.started, self.clock())

    def put_off(self, result: Result, receipt: Receipt) -> Result:
        """Say until when a chunk has to wait of which something was put off."""
        asked = receipt.retry_after is not None
        return replace(result, not_before=self.clock() + self.wait(receipt), asked=asked)

    def give_up(self, letter: Letter, fate: Fate) -> Fate:
        """Turn the fate of a reader whom the carrier puts off into a refusal, if that has gone on for too long.

        A carrier that has not taken a single copy of this mailing is not believed: it may be putting us off.
        """
        believed = self.worked or self.streak.taken
        if fate[0] is Outcome.DEFERRED and letter.again and believed and self.is_late():
            return Outcome.REJECTED, GIVEN_UP + fate[1]
        return fate

    def settle(self, claim: Claim, result: Result) -> None:
        """Write a claim's outcome; where the carrier asked for patience, everybody has it.

        A database server that is away is waited for as long as `patience` says: only we know what became of the claim.
        """
        give_up = time.monotonic() + self.patience
        while True:
            try:
                return self._settle(claim, result)
            except TryLaterError:
                if time.monotonic() >= give_up:
                    raise
                time.sleep(_STEP)

    def _settle(self, claim: Claim, result: Result) -> None:
        now = self.clock()
        with writing(self.taker.engine) as connection:
            outcomes.settle_in(connection, claim, result, now)
            if result.asked and result.not_before is not None:
                bucket.hold(connection, carrier_name(self.taker.provider), result.not_before)
            ledger.mark_finished(connection, claim.mailing, now)


def repeatable(fate: Fate) -> Fate:
    """Where the same message again makes no second copy, one in doubt may simply be tried again."""
    return (Outcome.DEFERRED, fate[1]) if fate[0] is Outcome.UNKNOWN else fate


def lanes(provider: Provider, connections: int) -> int:
    """Say how many lanes keep so many connections busy.

    Some get their next batch ready while the others wait for an answer. Not where nobody could say after a crash that
    it had not left, and not at an agreed rate, which one lane a connection keeps anyway; who wants one connection is
    not in a hurry.
    """
    hurried = connections > 1 and provider.rate is None
    return connections + AHEAD * (hurried and isinstance(provider, BatchCarrier) and provider.guard is not Guard.NONE)


def carry_batch(on: Carriage, provider: BatchCarrier, claim: Claim) -> Result:
    """Carry a chunk in one request; the result is still to be settled. Raises after settling what it can.

    When something came up before a connection was free, nothing leaves, and the result says that it was put back.
    """
    with _put_back_on_failure(on, claim):
        batch = make_batch(on.compiler, provider, claim.key, claim.letters)
    with on.connection() as free:
        with _put_back_on_failure(on, claim):
            if not free or not claims.may_leave(on.taker, claim, on.clock()):
                return _put_back(claim)
        result = _understood(on, provider, claim, _hand_over(on, provider, claim, batch))
        on.rest_after(claim, result)  # before whoever waits for the connection has it
    return result


@contextlib.contextmanager
def _put_back_on_failure(on: Carriage, claim: Claim) -> Iterator[None]:
    try:
        yield
    except LostLeaseError:
        raise
    except BaseException as error:
        on.settle(claim, _put_back(claim, f"{CUT_SHORT}: {type(error).__name__}"))
        raise


def _put_back(claim: Claim, detail: str = "") -> Result:
    """Make a chunk ready again of which nothing left; one that was put off before goes among those again."""
    return Result(0, {}, PUT_BACK, detail, not_before=None if claim.fresh else claim.at)


def _hand_over(on: Carriage, provider: BatchCarrier, claim: Claim, batch: Batch) -> Receipt:
    try:
        return provider.deliver(batch)
    except BaseException as error:
        on.over = True
        if isinstance(error, ProviderStoppedError):
            on.settle(claim, Result(0, {}, "stopped", str(error)))
        else:
            detail = f"{CUT_SHORT}: {type(error).__name__}"
            on.settle(claim, _in_doubt(on, claim, Receipt(Outcome.UNKNOWN, detail)))
        raise


def _understood(on: Carriage, provider: BatchCarrier, claim: Claim, receipt: Receipt) -> Result:
    """Say what an answer means, and count it."""
    if receipt.outcome is Outcome.REJECTED and not receipt.exceptions and len(claim.letters) > 1:
        return _refused_as_a_whole(on, claim, receipt)
    result = _interpret(on, claim, receipt)
    refused = [letter for letter, fate in result.fates.items() if fate[0] is Outcome.REJECTED]
    if refused:  # written before it is counted: from then on another lane may take the refusals back
        on.settle(claim, result)
        result = replace(result, settled=True)
    said: Fate = (receipt.outcome, receipt.detail)
    on.add(repeatable(said) if provider.guard in AGAIN else said, refused)
    on.over = on.over or on.stuck
    if not result.in_vain:
        on.told(len(claim.letters) - sum(fate[0] is Outcome.DEFERRED for fate in result.fates.values()))
    return result


def _refused_as_a_whole(on: Carriage, claim: Claim, receipt: Receipt) -> Result:
    """Halve a batch that one reader spoils; one that is refused for another reason says nothing of its readers."""
    if receipt.split:
        outcomes.split(on.taker.engine, claim, receipt.detail, on.clock())
        return Result(0, {}, "split", receipt.detail, settled=True)
    on.over = True
    on.settle(claim, Result(0, {}, "refused", receipt.detail))
    raise StoppedError(
        f"stopped: the carrier refused {len(claim.letters)} readers in one answer: {receipt.detail}; nobody of"
        " them is marked as failed, see what it has against us, then send again"
    )


def _interpret(on: Carriage, claim: Claim, receipt: Receipt) -> Result:
    if receipt.outcome is Outcome.ACCEPTED and not receipt.exceptions:
        again = {one: (Outcome.ACCEPTED, "") for one in claim.letters if one.again}
        return Result(len(claim.letters), again, str(receipt.outcome), receipt.detail, receipt.reference)
    guard = on.taker.provider.guard
    own = {one: receipt.exceptions.get(one.reader) for one in claim.letters}
    fates = {one: on.give_up(one, fate) if fate else (receipt.outcome, receipt.detail) for one, fate in own.items()}
    kinds = {fate[0] for fate in fates.values()}
    if kinds == {Outcome.UNKNOWN} or (guard is Guard.KEY and Outcome.UNKNOWN in kinds):
        return _in_doubt(on, claim, receipt)
    word = str(receipt.outcome)
    if guard is Guard.REPEATABLE:
        word = IN_DOUBT if Outcome.UNKNOWN in kinds else word
        fates = {one: repeatable(fate) for one, fate in fates.items()}
        kinds = {fate[0] for fate in fates.values()}
    if Outcome.DEFERRED not in kinds:
        odd = {one: fate for one, fate in fates.items() if fate[0] is not Outcome.ACCEPTED or one.again}
        return Result(len(claim.letters), odd, word, receipt.detail, receipt.reference)
    whole = receipt.outcome is Outcome.DEFERRED and not any(own.values())  # which says nothing of its readers
    done = Result(0, {}, word, receipt.detail) if whole else Result(len(claim.letters), fates, word, receipt.detail)
    done = replace(done, reference=receipt.reference, in_vain=kinds == {Outcome.DEFERRED})
    return on.put_off(done, receipt)


def _in_doubt(on: Carriage, claim: Claim, receipt: Receipt) -> Result:
    provider = on.taker.provider
    if provider.guard in AGAIN:
        doubt = Result(0, {}, IN_DOUBT, receipt.detail, in_vain=True, doubt=provider.guard is Guard.KEY)
        return on.put_off(doubt, receipt)
    again = {one: (Outcome.UNKNOWN, receipt.detail) for one in claim.letters if one.again}
    return Result(0, again, "unknown", receipt.detail, receipt.reference, rest=rest_state(provider))
