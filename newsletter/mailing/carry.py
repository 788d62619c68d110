"""Carries one claimed chunk to the provider and settles it, whatever happens on the way."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Engine

from newsletter.errors import StoppedError
from newsletter.mailing import outcomes
from newsletter.mailing.flight import FlightLog
from newsletter.mailing.lease import RENEW_AFTER, Lease, LostLeaseError
from newsletter.mailing.ledger import IN_DOUBT
from newsletter.mailing.letters import Letter
from newsletter.mailing.message import Compiler
from newsletter.mailing.outcomes import Claim, Result
from newsletter.mailing.streak import GIVE_UP_AFTER, MOST_IN_A_ROW, Streak, is_late
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

CUT_SHORT = "the sender broke off while this was under way"
GIVEN_UP = f"put off for more than {GIVE_UP_AFTER.days} days, last: "

Fate = tuple[Outcome, str]
Clock = Callable[[], dt.datetime]


def rest_state(provider: Provider) -> str:
    """Say where readers in doubt wait: for the carrier's word, or for a person's."""
    return "unknown" if provider.guard is Guard.LOOKUP else "held"


def make_batch(compiler: Compiler, key: str, letters: Sequence[Letter]) -> Batch:
    """Make the batch of letters that all have one choice of subjects."""
    return Batch(
        key=key,
        tag=compiler.edition.slug,
        merge=compiler.merge(letters[0].chosen),
        recipients=tuple(compiler.recipient(one.reader, one.address, one.name) for one in letters),
        mailing=compiler.key,  # the issue and its list: the same issue on another list must not pass for this one
    )


@dataclass
class Carriage:
    """What stays the same while chunk after chunk is carried; `wait` says how long to leave a carrier alone.

    `started` is when the mailing began, None when it begins with this run; `worked` says whether the carrier had taken
    anybody's copy before.
    """

    engine: Engine
    provider: Provider
    compiler: Compiler
    held: Lease
    flights: FlightLog
    clock: Clock
    stopping: Callable[[], bool]
    told: Callable[[int], None]
    wait: Callable[[Receipt], dt.timedelta]
    started: dt.datetime | None = None
    worked: bool = False
    streak: Streak = field(default_factory=Streak)

    def carry(self, claim: Claim) -> Result:
        """Carry a chunk and settle it. Raises StoppedError and LostLeaseError, always after settling what it can."""
        if isinstance(self.provider, BatchCarrier):
            result = self._by_batch(self.provider, claim)
        elif isinstance(self.provider, MessageCarrier):
            result = self._one_by_one(self.provider, claim)
        else:
            raise TypeError(f"{type(self.provider).__name__} carries neither messages nor batches")
        if self.streak.too_long(Outcome.REJECTED):
            outcomes.take_back(self.engine, self.held, self.streak.refused, self.clock())
        self.streak.judge()
        return result

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
            self._settle(claim, round_.result(IN_DOUBT if round_.in_doubt else "broken off", CUT_SHORT))
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
        refused = [letter for letter, fate in result.fates.items() if fate[0] is Outcome.REJECTED]
        said: Fate = (receipt.outcome, receipt.detail)
        said = _repeatable(said) if self.provider.guard is Guard.REPEATABLE else said
        self.streak.add(*said, refused, late=self.is_late())
        if not result.in_vain:
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
        own = {one: receipt.exceptions.get(one.reader) for one in claim.letters}
        fates = {
            one: self.give_up(one, fate) if fate else (receipt.outcome, receipt.detail) for one, fate in own.items()
        }
        if {fate[0] for fate in fates.values()} == {Outcome.UNKNOWN}:
            return self._in_doubt(claim, receipt)
        word = str(receipt.outcome)
        if self.provider.guard is Guard.REPEATABLE:
            word = IN_DOUBT if Outcome.UNKNOWN in {fate[0] for fate in fates.values()} else word
            fates = {one: _repeatable(fate) for one, fate in fates.items()}
        kinds = {fate[0] for fate in fates.values()}
        if Outcome.DEFERRED not in kinds:
            return Result(len(claim.letters), fates, word, receipt.detail, receipt.reference)
        whole = receipt.outcome is Outcome.DEFERRED and not any(own.values())  # which says nothing of its readers
        done = Result(0, {}, word, receipt.detail) if whole else Result(len(claim.letters), fates, word, receipt.detail)
        return self.put_off(replace(done, reference=receipt.reference, in_vain=kinds == {Outcome.DEFERRED}), receipt)

    def _in_doubt(self, claim: Claim, receipt: Receipt) -> Result:
        if self.provider.guard is Guard.REPEATABLE:
            return self.put_off(Result(0, {}, IN_DOUBT, receipt.detail, in_vain=True), receipt)
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
    in_doubt: bool = False
    reference: str = ""

    @property
    def tracked(self) -> bool:
        """Whether it matters which message is under way: not where a second copy cannot come to be."""
        return self.provider.guard is not Guard.REPEATABLE

    @property
    def word(self) -> str:
        if self.in_doubt:
            return IN_DOUBT
        if self.put_off is not None and not self.accepted:
            return "deferred"
        return "stopped" if self.attempted < len(self.claim.letters) else "accepted"

    @property
    def detail(self) -> str:
        return self.put_off.detail if self.put_off else ""

    def result(self, word: str, detail: str) -> Result:
        done = Result(self.attempted, self.fates, word, detail, self.reference)
        if self.put_off is None:
            return done
        return self.on.put_off(replace(done, in_vain=not self.accepted), self.put_off)

    def break_off(self, detail: str) -> None:
        """Call the message unknown that was under way, unless its outcome is known already."""
        self.in_doubt = self.in_doubt or (self.in_flight is not None and not self.tracked)
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
        fate = said = (receipt.outcome, receipt.detail)
        if not self.tracked:
            self.in_doubt = self.in_doubt or receipt.outcome is Outcome.UNKNOWN
            fate = said = _repeatable(fate)
        if receipt.outcome is Outcome.DEFERRED and receipt.retry_after is None:  # else it is not about the reader
            fate = self.on.give_up(letter, fate)
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
        self.on.streak.add(*said, [letter], late=self.on.is_late())
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
