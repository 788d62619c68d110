"""Lanes that have a batch ready before a connection is free, and what may come up while it waits."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest
from mailing_carriers import ACCEPTED, DEFERRED, Batches, BlindBatches, Messages
from mailing_house import House
from sqlalchemy import func, select

from newsletter.database.engine import reading
from newsletter.mailing import control, dispatch
from newsletter.mailing.carry import AHEAD, lanes
from newsletter.mailing.claims import HaltedError
from newsletter.mailing.tables import attempt, chunk
from newsletter.providers.base import Batch, Provider, ProviderStoppedError, Receipt
from newsletter.subscribers.book import Book

PATIENCE = 20.0  # seconds for what takes a moment
CONNECTIONS = 2


def claimed(house: House) -> int:
    with reading(house.engine) as connection:
        query = select(func.count()).where(chunk.c.state == "sending")
        return int(connection.execute(query).scalar_one())


def wait_for_all_lanes(house: House) -> None:
    give_up = time.monotonic() + PATIENCE
    while claimed(house) < CONNECTIONS + AHEAD:
        assert time.monotonic() < give_up, "the lanes ahead have claimed nothing"
        time.sleep(0.01)


def words(house: House) -> Counter[str]:
    with reading(house.engine) as connection:
        return Counter(connection.execute(select(attempt.c.outcome)).scalars())


def send(house: House, provider: Provider) -> dispatch.Summary:
    return dispatch.send(house.order(provider), clock=house.clock, sleep=time.sleep, chance=house.clock.chance)


class Moment:
    """Does something once, in the first call, when the lanes ahead have their batches ready; the others wait for it."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.first = threading.Lock()
        self.done = threading.Event()

    def __call__(self, batch: Batch) -> Receipt:
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
            for reader in (10, 14):  # of the third chunk and the fourth
                book.leave(reader)
                left.append(reader)

    carrier = Batches(Leaving(shared_house), connections=CONNECTIONS)
    send(shared_house, carrier)
    assert left == [10, 14]
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


def test_a_carrier_that_puts_us_off_is_left_alone_by_all_lanes(house: House) -> None:
    house.enrol(range(1, 41))
    calls: list[int] = []
    seen: list[int] = []

    class Later(Moment):
        def answer(self, batch: Batch) -> Receipt:
            calls.append(len(batch.recipients))
            return ACCEPTED if seen else DEFERRED

    def sleep(seconds: float) -> None:
        time.sleep(0.2)  # time enough for the other lanes to call, if they did
        if not seen:
            seen.append(len(calls))
            house.clock.forward(seconds=60)
        else:
            house.clock.forward(seconds=seconds)

    carrier = Batches(Later(house), connections=CONNECTIONS)
    dispatch.send(house.order(carrier), clock=house.clock, sleep=sleep, chance=house.clock.chance)
    assert seen == [CONNECTIONS]
    assert house.counts() == {"accepted": 40}
    assert words(house)["put back"] >= AHEAD
