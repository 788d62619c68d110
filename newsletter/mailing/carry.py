"""Carries one claimed chunk to the provider and settles it, whatever happens on the way."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine

from newsletter.errors import StoppedError
from newsletter.mailing import outcomes
from newsletter.mailing.flight import FlightLog
from newsletter.mailing.lease import RENEW_AFTER, Lease, LostLeaseError
from newsletter.mailing.letters import Letter
from newsletter.mailing.message import Compiler
from newsletter.mailing.outcomes import Claim, Result
from newsletter.providers.base import (
    Batch,
    BatchCarrier,
    Guard,
    MessageCarrier,
    Outcome,
    Provider,
    ProviderStoppedError,
    Receipt,
)

# So many in a row mean that something is wrong with us or the carrier, not with the readers.
MOST_IN_A_ROW = {Outcome.REJECTED: 10, Outcome.UNKNOWN: 3, Outcome.DEFERRED: 3}
CUT_SHORT = "the sender broke off while this was under way"

Fate = tuple[Outcome, str]
Clock = Callable[[], dt.datetime]


def rest_state(provider: Provider) -> str:
    """Say where readers in doubt wait: for the carrier's word, or for a person's."""
    return "unknown" if provider.guard is Guard.LOOKUP else "held"


def make_batch(compiler: Compiler, key: str, letters: Sequence[Letter]) -> Batch:
    """Make the batch of letters that all have one choice of subjects."""
    return Batch(
        key=key,
        tag=compiler.key,  # the issue and its list: the same issue on another list must not pass for this one
        merge=compiler.merge(letters[0].chosen),
        recipients=tuple(compiler.recipient(one.reader, one.address, one.name) for one in letters),
    )


@dataclass
class Streak:
    """How many of the last outcomes were the same, over the whole run."""

    outcome: Outcome | None = None
    length: int = 0
    detail: str = ""

    def add(self, outcome: Outcome, detail: str) -> None:
        """Count one more outcome."""
        self.length = self.length + 1 if outcome is self.outcome else 1
        self.outcome, self.detail = outcome, detail

    def too_long(self, outcome: Outcome) -> bool:
        """Say whether an outcome has come too often in a row."""
        return self.outcome is outcome and self.length >= MOST_IN_A_ROW[outcome]

    def judge(self) -> None:
        """Raise StoppedError when readers are refused, or messages lost, one after the other."""
        if self.too_long(Outcome.REJECTED):
            raise StoppedError(
                f"stopped: the carrier refused {self.length} readers one after another, last: {self.detail};"
                " see what it has against us, then send again"
            )
        if self.too_long(Outcome.UNKNOWN):
            raise StoppedError(
                f"stopped: {self.length} times in a row no clear answer came after a message was handed over, last:"
                f" {self.detail}; those readers are listed as unknown and not sent again"
            )


@dataclass
class Carriage:
    """What stays the same while chunk after chunk is carried; `wait` says how long to leave a carrier alone."""

    engine: Engine
    provider: Provider
    compiler: Compiler
    held: Lease
    flights: FlightLog
    clock: Clock
    stopping: Callable[[], bool]
    told: Callable[[int], None]
    wait: Callable[[Receipt], dt.timedelta]
    streak: Streak = field(default_factory=Streak)

    def carry(self, claim: Claim) -> Result:
        """Carry a chunk and settle it. Raises StoppedError and LostLeaseError, always after settling what it can."""
        if isinstance(self.provider, BatchCarrier):
            result = self._by_batch(self.provider, claim)
        elif isinstance(self.provider, MessageCarrier):
            result = self._one_by_one(self.provider, claim)
        else:
            raise TypeError(f"{type(self.provider).__name__} carries neither messages nor batches")
        self.streak.judge()
        return result

    def _settle(self, claim: Claim, result: Result) -> Result:
        outcomes.settle(self.engine, claim, result, self.clock())
        return result

    # One message at a time.

    def _one_by_one(self, provider: MessageCarrier, claim: Claim) -> Result:
        round_ = _Round(self, provider, claim)
        try:
            round_.go()
        except ProviderStoppedError as error:
            self._settle(claim, round_.result("stopped", str(error)))
            raise
        except LostLeaseError:
            raise
        except BaseException as error:
            round_.break_off(f"{CUT_SHORT}: {type(error).__name__}")
            self._settle(claim, round_.result("broken off", CUT_SHORT))
            raise
        return self._settle(claim, round_.result(round_.word, round_.detail))

    # One batch.

    def _by_batch(self, provider: BatchCarrier, claim: Claim) -> Result:
        try:
            receipt = provider.deliver(make_batch(self.compiler, claim.key, claim.letters))
        except ProviderStoppedError as error:
            self._settle(claim, Result(0, {}, "stopped", str(error)))
            raise
        except BaseException as error:
            detail = f"{CUT_SHORT}: {type(error).__name__}"
            self._settle(claim, self._in_doubt(claim, Receipt(Outcome.UNKNOWN, detail)))
            raise
        if receipt.outcome is Outcome.REJECTED and not receipt.exceptions and len(claim.letters) > 1:
            return self._refused_as_a_whole(claim, receipt)
        result = self._settle(claim, self._interpret(claim, receipt))
        self.streak.add(receipt.outcome, receipt.detail)
        self.told(len(claim.letters) - sum(fate[0] is Outcome.DEFERRED for fate in result.fates.values()))
        return result

    def _refused_as_a_whole(self, claim: Claim, receipt: Receipt) -> Result:
        """Halve a batch that one reader spoils; one that is refused for another reason says nothing of its readers."""
        if receipt.split:
            outcomes.split(self.engine, claim, receipt.detail, self.clock())
            return Result(0, {}, "split", receipt.detail)
        self._settle(claim, Result(0, {}, "refused", receipt.detail))
        raise StoppedError(
            f"stopped: the carrier refused {len(claim.letters)} readers in one answer: {receipt.detail}; nobody of"
            " them is marked as failed, see what it has against us, then send again"
        )

    def _interpret(self, claim: Claim, receipt: Receipt) -> Result:
        fates = {one: receipt.exceptions.get(one.reader, (receipt.outcome, receipt.detail)) for one in claim.letters}
        if self.provider.guard is Guard.REPEATABLE:
            fates = {one: _repeatable(fate) for one, fate in fates.items()}
        kinds = {fate[0] for fate in fates.values()}
        if kinds == {Outcome.DEFERRED}:
            later = self.clock() + self.wait(receipt)
            return Result(0, {}, "deferred", receipt.detail, receipt.reference, not_before=later)
        if kinds == {Outcome.UNKNOWN}:
            return self._in_doubt(claim, receipt)
        not_before = self.clock() + self.wait(receipt) if Outcome.DEFERRED in kinds else None
        return Result(
            len(claim.letters), fates, str(receipt.outcome), receipt.detail, receipt.reference, not_before=not_before
        )

    def _in_doubt(self, claim: Claim, receipt: Receipt) -> Result:
        if self.provider.guard is Guard.REPEATABLE:
            return Result(0, {}, "deferred", receipt.detail, not_before=self.clock() + self.wait(receipt))
        again = {one: (Outcome.UNKNOWN, receipt.detail) for one in claim.letters if one.again}
        return Result(0, again, "unknown", receipt.detail, receipt.reference, rest=rest_state(self.provider))


@dataclass
class _Round:
    """One chunk, message by message."""

    on: Carriage
    provider: MessageCarrier
    claim: Claim
    attempted: int = 0
    accepted: int = 0
    fates: dict[Letter, Fate] = field(default_factory=dict)
    in_flight: Letter | None = None
    put_off: Receipt | None = None
    reference: str = ""

    @property
    def tracked(self) -> bool:
        """Whether it matters which message is under way: not where a second copy cannot come to be."""
        return self.provider.guard is not Guard.REPEATABLE

    @property
    def word(self) -> str:
        if self.put_off is not None and not self.accepted:
            return "deferred"
        return "stopped" if self.attempted < len(self.claim.letters) else "accepted"

    @property
    def detail(self) -> str:
        return self.put_off.detail if self.put_off else ""

    def result(self, word: str, detail: str) -> Result:
        not_before = self.on.clock() + self.on.wait(self.put_off) if self.put_off else None
        return Result(self.attempted, self.fates, word, detail, self.reference, not_before=not_before)

    def break_off(self, detail: str) -> None:
        """Call the message unknown that was under way, unless its outcome is known already."""
        if self.in_flight is not None and self.tracked:
            self.fates.setdefault(self.in_flight, (Outcome.UNKNOWN, detail))
            self.attempted = self.claim.letters.index(self.in_flight) + 1

    def go(self) -> None:
        renewed = self.on.clock()
        for letter in self.claim.letters:
            if self.on.stopping():
                return
            now = self.on.clock()
            if now - renewed >= RENEW_AFTER:
                outcomes.hold_on(self.on.engine, self.claim, self.on.held, now)
                renewed = now
            receipt = self._hand_over(letter)
            self._note(letter, receipt)
            if self._is_enough(receipt):
                return

    def _hand_over(self, letter: Letter) -> Receipt:
        envelope = self.on.compiler.compose(letter.reader, letter.address, letter.name, letter.chosen)
        if self.tracked:
            self.on.flights.take_off(self.claim, self.attempted, letter)
        self.in_flight = letter
        try:
            return self.provider.deliver(envelope)
        except ProviderStoppedError:
            self.in_flight = None
            raise

    def _note(self, letter: Letter, receipt: Receipt) -> None:
        """Take an outcome down. Until that is done the letter counts as under way: an interruption may come here."""
        fate: Fate = (receipt.outcome, receipt.detail)
        if not self.tracked:
            fate = _repeatable(fate)
        exceptional = fate[0] is not Outcome.ACCEPTED or letter.again
        if exceptional:
            self.fates[letter] = fate
        self.attempted += 1
        self.in_flight = None
        if fate[0] is Outcome.ACCEPTED:
            self.accepted += 1
        elif fate[0] is Outcome.DEFERRED:
            self.put_off = receipt
        self.reference = receipt.reference or self.reference
        self.on.streak.add(*fate)
        if fate[0] is not Outcome.DEFERRED:
            self.on.told(1)
        if exceptional and self.tracked:  # at once and to the disk: the flight log is for accepted ones only
            outcomes.record(self.on.engine, self.claim, self.attempted, {letter: fate}, self.on.clock())
            del self.fates[letter]

    def _is_enough(self, receipt: Receipt) -> bool:
        streak = self.on.streak
        asked_to_wait = receipt.outcome is Outcome.DEFERRED and receipt.retry_after is not None
        return asked_to_wait or any(streak.too_long(outcome) for outcome in MOST_IN_A_ROW)


def _repeatable(fate: Fate) -> Fate:
    """Where the same message again makes no second copy, one in doubt may simply be tried again."""
    return (Outcome.DEFERRED, fate[1]) if fate[0] is Outcome.UNKNOWN else fate
