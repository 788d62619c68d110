"""Lanes that have a batch ready before a connection is free, and what may come up while it waits."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import ClassVar

import pytest
from mailing_carriers import ACCEPTED, DEFERRED, UNKNOWN, Batches, BlindBatches, KeyedBatches, Messages, always
from mailing_house import House
from sqlalchemy import and_, func, select, update

from newsletter.database.engine import reading, writing
from newsletter.errors import StoppedError, TryLaterError
from newsletter.mailing import audience, claims, control, dispatch, ledger, outcomes
from newsletter.mailing.carry import AHEAD, lanes
from newsletter.mailing.claims import HaltedError, Taker
from newsletter.mailing.lease import Lease, LostLeaseError
from newsletter.mailing.outcomes import PUT_BACK, Claim, Result
from newsletter.mailing.streak import MOST_IN_A_ROW
from newsletter.mailing.tables import attempt, chunk, sender
from newsletter.providers.base import Batch, Outcome, Provider, ProviderStoppedError, Receipt
from newsletter.subscribers.book import Book

PATIENCE = 20.0  # seconds for what takes a moment
CONNECTIONS = 2


def claimed(house: House) -> int:
    with reading(house.engine) as connection:
        query = select(func.count()).where(chunk.c.state == "sending")
        return int(connection.execute(query).scalar_one())


def wait_until(come: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not come():
        assert time.monotonic() < give_up, "it does not come"
        time.sleep(0.01)


def wait_for_all_lanes(house: House) -> None:
    wait_until(lambda: claimed(house) >= CONNECTIONS + AHEAD)


def words(house: House) -> Counter[str]:
    with reading(house.engine) as connection:
        return Counter(connection.execute(select(attempt.c.outcome)).scalars())


def send(house: House, provider: Provider) -> dispatch.Summary:
    return dispatch.send(house.order(provider), clock=house.clock, sleep=time.sleep, chance=house.clock.chance)


def quickly(house: House, provider: Provider) -> dispatch.Summary:
    return dispatch.send(house.order(provider), clock=house.clock, sleep=house.clock.sleep, chance=house.clock.chance)


class Moment:
    """Does something once, in the first call, when the lanes ahead have their batches ready; the others wait for it."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.first = threading.Lock()
        self.done = threading.Event()
        self.keys: list[str] = []

    def __call__(self, batch: Batch) -> Receipt:
        self.keys.append(batch.key)
        if self.first.acquire(blocking=False):
            try:
                wait_for_all_lanes(self.house)
                self.happen()
            finally:
                self.done.set()
        assert self.done.wait(PATIENCE)
        return self.answer(batch)

    def happen(self) -> None:
        """Let something come up."""

    def answer(self, batch: Batch) -> Receipt:
        del batch
        return ACCEPTED


@pytest.mark.parametrize(
    ("provider", "connections", "expected"),
    [
        (Batches(), 4, 4 + AHEAD),
        (Batches(), 1, 1),
        (Batches(rate=2.0), 4, 4),
        (BlindBatches(), 4, 4),  # a crash would leave the readers of what was only ready unknown
        (Messages(), 4, 4),
    ],
)
def test_lanes_are_ahead_where_that_is_faster_and_costs_nobody_anything(
    provider: Provider, connections: int, expected: int
) -> None:
    assert lanes(provider, connections) == expected


def test_no_more_requests_are_under_way_than_there_are_connections(shared_house: House) -> None:
    shared_house.enrol(range(1, 81))
    lock, now, most = threading.Lock(), [0], [0]

    class Counted(Moment):
        def __call__(self, batch: Batch) -> Receipt:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            try:
                time.sleep(0.005)
                return super().__call__(batch)
            finally:
                with lock:
                    now[0] -= 1

    carrier = Batches(Counted(shared_house), connections=CONNECTIONS)
    send(shared_house, carrier)
    assert most == [CONNECTIONS]
    assert Counter(reader for group in carrier.groups for reader in group) == Counter(range(1, 81))
    assert shared_house.counts() == {"accepted": 80}


def test_who_leaves_while_a_batch_waits_for_a_connection_gets_nothing(shared_house: House) -> None:
    shared_house.enrol(range(1, 41))
    book = Book(shared_house.engine, shared_house.clock, shared_house.project.secret())
    left: list[int] = []

    class Leaving(Moment):
        def happen(self) -> None:
            wait_until(lambda: len(self.keys) == CONNECTIONS)
            only_ready = select(chunk.c.first).where(chunk.c.state == "sending", chunk.c.idem_key.not_in(self.keys))
            with reading(self.house.engine) as connection:
                left.extend(first + 2 for first in connection.execute(only_ready).scalars())
            for reader in left:
                book.leave(reader)

    carrier = Batches(Leaving(shared_house), connections=CONNECTIONS)
    send(shared_house, carrier)
    assert len(left) == AHEAD
    assert Counter(r for group in carrier.groups for r in group) == Counter(r for r in range(1, 41) if r not in left)
    assert shared_house.counts() == {"accepted": 38, "left": 2}
    assert words(shared_house) == {"accepted": 10, "put back": 2}


def test_who_joins_or_leaves_elsewhere_meanwhile_changes_nothing(house: House) -> None:
    house.enrol(range(1, 41))
    book = Book(house.engine, house.clock, house.project.secret())

    class Leaving(Moment):
        def happen(self) -> None:
            book.leave(33)

    carrier = Batches(Leaving(house), connections=CONNECTIONS)
    send(house, carrier)
    assert words(house) == {"accepted": 10}
    assert house.counts() == {"accepted": 39, "left": 1}


def test_a_mailing_that_is_paused_keeps_what_was_only_ready(house: House) -> None:
    house.enrol(range(1, 41))

    class Pausing(Moment):
        def happen(self) -> None:
            control.pause(self.house.engine, "2016-04-22-weekly", "Ann", self.house.clock())

    carrier = Batches(Pausing(house), connections=CONNECTIONS)
    with pytest.raises(HaltedError, match="paused"):
        send(house, carrier)
    assert len(carrier.sent) == CONNECTIONS
    assert house.counts() == {"accepted": 8, "pending": 32}
    assert words(house) == {"accepted": CONNECTIONS, "put back": AHEAD}


def test_a_carrier_that_refuses_us_is_not_shown_what_was_only_ready(house: House) -> None:
    house.enrol(range(1, 41))

    class Refused(Moment):
        def answer(self, batch: Batch) -> Receipt:
            del batch
            raise ProviderStoppedError("401 wrong key")

    carrier = Batches(Refused(house), connections=CONNECTIONS)
    with pytest.raises(ProviderStoppedError, match="401 wrong key"):
        send(house, carrier)
    assert house.counts() == {"pending": 40}
    assert words(house)["stopped"] <= CONNECTIONS


def test_a_carrier_that_puts_us_off_is_left_alone_by_all_lanes_and_what_is_known_is_written(house: House) -> None:
    house.enrol(range(1, 41))
    calls: list[str] = []
    seen: list[tuple[int, Counter[str]]] = []

    class Later(Moment):
        def answer(self, batch: Batch) -> Receipt:
            calls.append(batch.key)
            return DEFERRED if not seen and len(calls) > 1 else ACCEPTED

    def sleep(seconds: float) -> None:
        if not seen:
            wait_until(lambda: claimed(house) == 0)
            time.sleep(0.2)  # time enough for the other lanes to call, if they did
            seen.append((len(calls), words(house)))
        house.clock.forward(seconds=seconds)

    carrier = Batches(Later(house), connections=CONNECTIONS)
    dispatch.send(house.order(carrier), clock=house.clock, sleep=sleep, chance=house.clock.chance)
    number, written = seen[0]
    assert number <= CONNECTIONS + 1  # the one that was accepted may have made room for a third
    assert written["accepted"] >= 1
    assert written[""] == 0
    assert house.counts() == {"accepted": 40}


def test_a_long_wait_is_told_in_the_carriers_words_whichever_lane_ends_first(house: House) -> None:
    house.enrol(range(1, 41))

    class Full(Moment):
        def answer(self, batch: Batch) -> Receipt:
            del batch
            return Receipt(Outcome.DEFERRED, "429 full for today", retry_after=3600.0)

    with pytest.raises(TryLaterError, match="its words: 429 full for today"):
        send(house, Batches(Full(house), connections=CONNECTIONS))
    assert house.counts() == {"pending": 40}


def test_a_run_that_ends_for_lost_answers_shows_the_carrier_nothing_more(house: House) -> None:
    house.enrol(range(1, 81))
    carrier = Batches(lambda _: UNKNOWN, connections=CONNECTIONS)
    with pytest.raises(StoppedError, match="times in a row no clear answer"):
        send(house, carrier)
    assert len(carrier.sent) < MOST_IN_A_ROW[Outcome.UNKNOWN] + CONNECTIONS
    assert claimed(house) == 0


def test_what_somebody_else_took_over_meanwhile_does_not_leave(shared_house: House) -> None:
    shared_house.enrol(range(1, 41))

    class Taken(Moment):
        def happen(self) -> None:
            wait_until(lambda: len(self.keys) == CONNECTIONS)
            with writing(self.house.engine) as connection:
                ours = and_(chunk.c.state == "sending", chunk.c.idem_key.not_in(self.keys))
                connection.execute(update(chunk).where(ours).values(token="of another"))

    moment = Taken(shared_house)
    carrier = Batches(moment, connections=CONNECTIONS)
    with pytest.raises(LostLeaseError):
        send(shared_house, carrier)
    assert len(moment.keys) == len(carrier.sent) == CONNECTIONS


class Patient(KeyedBatches):
    window: ClassVar[float] = 7200.0


def test_the_same_key_does_not_leave_when_its_time_ran_out_on_the_way(house: House) -> None:
    house.enrol(range(1, 9))
    with pytest.raises(TryLaterError):
        quickly(house, Patient(always(Receipt(Outcome.UNKNOWN, "502"))))
    found: list[bool] = []

    def second(_: Batch) -> Receipt:
        if not found:
            with reading(house.engine) as connection:
                one = ledger.find(connection, "2016-04-22", "weekly", "issue")
                owner = connection.execute(select(sender.c.owner)).scalar_one()
                assert one is not None
                taker = Taker(house.engine, Lease(one.id, owner), one, audience.choices(connection, one.id), carrier)
            claim = claims.claim(taker, house.clock())
            assert isinstance(claim, Claim)
            assert claim.doubt_since is not None
            over = claim.doubt_since + dt.timedelta(seconds=Patient.window)
            moments = (house.clock(), over - dt.timedelta(seconds=1), over, claim.doubt_since - dt.timedelta(seconds=1))
            found.extend(claims.may_leave(taker, claim, moment) for moment in moments)
            outcomes.settle(house.engine, claim, Result(0, {}, PUT_BACK), house.clock())
        return ACCEPTED

    carrier = Patient(second)
    quickly(house, carrier)
    assert found == [True, True, False, False]
    assert house.counts() == {"accepted": 8}
