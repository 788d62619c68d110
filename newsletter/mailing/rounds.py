"""Carries one claimed chunk message by message."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace

from newsletter.mailing import claims, outcomes
from newsletter.mailing.ahead import Composing
from newsletter.mailing.carry import CUT_SHORT, Carriage, Fate, repeatable
from newsletter.mailing.flight import FlightLog
from newsletter.mailing.lease import RENEW_AFTER, LostLeaseError
from newsletter.mailing.ledger import IN_DOUBT
from newsletter.mailing.letters import Letter
from newsletter.mailing.outcomes import Claim, Result
from newsletter.mailing.speed import Speed
from newsletter.mailing.streak import MOST_IN_A_ROW
from newsletter.providers.base import Envelope, Guard, MessageCarrier, Outcome, ProviderStoppedError, Receipt


def carry_messages(on: Carriage, provider: MessageCarrier, claim: Claim, flights: FlightLog, speed: Speed) -> Result:
    """Carry a chunk; the result is still to be settled. Raises after settling what it can."""
    composing = Composing(on.compiler, claim.letters, on.helpers)
    round_ = _Round(on, provider, claim, flights, speed, composing)
    try:
        round_.go()
    except ProviderStoppedError as error:
        on.settle(claim, round_.result("stopped", str(error)))
        raise
    except LostLeaseError:
        raise
    except BaseException as error:
        round_.break_off(f"{CUT_SHORT}: {type(error).__name__}")
        on.settle(claim, round_.result(IN_DOUBT if round_.in_doubt else "broken off", CUT_SHORT))
        raise
    finally:
        round_.retract()
        composing.close()
    return round_.result(round_.word, round_.detail)


@dataclass
class _Round:
    """One chunk, message by message."""

    on: Carriage
    provider: MessageCarrier
    claim: Claim
    flights: FlightLog
    speed: Speed
    composing: Composing
    attempted: int = 0
    accepted: int = 0
    fates: dict[Letter, Fate] = field(default_factory=dict)
    in_flight: Letter | None = None
    put_off: Receipt | None = None
    in_doubt: bool = False
    reference: str = ""
    book: int = 0  # the mark of the readers' book when it was looked into last
    gone: dict[Letter, str] = field(default_factory=dict)
    aside_until: dt.datetime | None = None
    following: Envelope | None = None  # what the carrier was told comes next

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
        done = Result(self.attempted, self.fates, word, detail, self.reference, not_before=self.aside_until)
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
        renewed, self.book = self.on.clock(), self.claim.book
        for letter in self.claim.letters:
            aside = self.speed.aside(letter.address)
            if not aside:
                self.speed.wait()
            if self.on.stopping():
                return
            if aside:
                self._put_aside(letter, aside)
                continue
            now = self.on.clock()
            if now - renewed >= RENEW_AFTER:
                outcomes.hold_on(self.on.taker.engine, self.claim, self.on.taker.held, now)
                renewed = now
            receipt = self._hand_over(letter)
            if receipt is not None:
                self._note(letter, receipt)
                if self._is_enough(receipt):
                    return

    def _put_aside(self, letter: Letter, seconds: float) -> None:
        """Leave a letter for later because its domain has had enough for now; that says nothing of its reader."""
        until = self.on.clock() + dt.timedelta(seconds=seconds)
        self.aside_until = min(until, self.aside_until or until)
        fate = (Outcome.DEFERRED, "waits for its domain's turn")
        landed, attempted = self.flights.landed(letter), self.attempted + 1
        outcomes.record(self.on.taker.engine, self.claim, attempted, {letter: fate}, self.on.clock(), landed)
        self.attempted = attempted  # not before: if the ledger cannot take it, the letter is still to be tried

    def _hand_over(self, letter: Letter) -> Receipt | None:
        """Deliver a letter; None when its reader has left since the chunk was claimed."""
        envelope, following = self.composing.of(letter), self._next()
        book = self.flights.take_off(self.claim, self.attempted, letter)
        if book != self.book:
            self._look_up_leavers(book)
        if letter in self.gone:
            self.retract()
            self._leave_out(letter)
            return None
        self.in_flight = letter
        self.following = None if following is None or following[0] in self.gone else following[1]
        try:
            return self.provider.deliver(envelope, self.following)
        except ProviderStoppedError:
            self.in_flight = None
            raise

    def _next(self) -> tuple[Letter, Envelope] | None:
        """Return what leaves next, if nothing makes it wait."""
        place = self.attempted + 1
        if self.speed.agreed or place == len(self.claim.letters):
            return None
        letter = self.claim.letters[place]
        envelope = self.composing.ready(letter)
        return None if envelope is None else (letter, envelope)

    def retract(self) -> None:
        """Tell the carrier that the message that was to follow does not."""
        if self.following is not None:
            self.provider.retract(self.following)
            self.following = None

    def _look_up_leavers(self, book: int) -> None:
        rest = self.claim.letters[self.attempted :]
        self.gone.update(claims.leavers(self.on.taker, self.claim, rest))
        self.book = book

    def _leave_out(self, letter: Letter) -> None:
        now, landed, attempted = self.on.clock(), self.flights.landed(letter), self.attempted + 1
        outcomes.leave_out(self.on.taker.engine, self.claim, attempted, letter, self.gone[letter], now, landed)
        self.attempted = attempted
        self.on.told(1)

    def _note(self, letter: Letter, receipt: Receipt) -> None:
        """Take an outcome down. Until that is done the letter counts as under way: an interruption may come here."""
        fate = said = (receipt.outcome, receipt.detail)
        if not self.tracked:
            self.in_doubt = self.in_doubt or receipt.outcome is Outcome.UNKNOWN
            fate = said = repeatable(fate)
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
        if exceptional:  # at once and to the disk: whatever says how far we are takes the others for accepted
            landed = self.flights.landed(letter)
            outcomes.record(self.on.taker.engine, self.claim, self.attempted, {letter: fate}, self.on.clock(), landed)
            del self.fates[letter]
        self.on.add(said, [letter])  # not before it is recorded: another lane may take it back from now on
        if fate[0] is not Outcome.DEFERRED:
            self.on.told(1)

    def _is_enough(self, receipt: Receipt) -> bool:
        if receipt.outcome is Outcome.ACCEPTED:
            return False
        streak = self.on.streak
        asked_to_wait = receipt.outcome is Outcome.DEFERRED and receipt.retry_after is not None
        return asked_to_wait or any(streak.too_long(outcome) for outcome in MOST_IN_A_ROW)
