"""Several lanes at work on one mailing."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections import Counter

import pytest
from mailing_carriers import ACCEPTED, DEFERRED, UNKNOWN, BlindBatches, Messages, Repeatable, always
from mailing_house import NOON, House
from sqlalchemy import select, update

from newsletter.database.engine import writing
from newsletter.errors import StoppedError, TryLaterError
from newsletter.mailing import dispatch
from newsletter.mailing.claims import HaltedError
from newsletter.mailing.tables import attempt, chunk, mailing, rate
from newsletter.providers.base import Batch, Outcome, Provider, ProviderStoppedError, Receipt
from newsletter.subscribers.book import Book

LANES = 3


def send(house: House, provider: Provider, **more: object) -> dispatch.Summary:
    order = house.order(provider, **more)  # type: ignore[arg-type]
    return dispatch.send(order, clock=house.clock, sleep=time.sleep, chance=house.clock.chance)


def test_three_lanes_give_everybody_one_copy_and_are_at_work_at_the_same_time(house: House) -> None:
    house.enrol(range(1, 501))
    together = threading.Barrier(LANES, timeout=20)
    lanes: set[str] = set()

    def one(_: int) -> Receipt:
        name = threading.current_thread().name
        if name not in lanes:
            lanes.add(name)
            together.wait()  # which ends only when three are here
        return ACCEPTED

    carrier = Messages(one, connections=LANES)
    send(house, carrier)
    assert Counter(carrier.readers) == Counter(range(1, 501))
    assert len(lanes) == LANES
    assert house.counts() == {"accepted": 500}


def test_three_lanes_of_batches_tell_how_far_they_are_and_settle_each_chunk_once(house: House) -> None:
    house.enrol(range(1, 101))
    told: list[int] = []
    carrier = BlindBatches(connections=LANES)
    order = house.order(carrier)
    dispatch.send(order, lambda now: told.append(now.done), clock=house.clock)
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0, 100)
    assert sorted(reader for group in carrier.groups for reader in group) == list(range(1, 101))
    with writing(house.engine) as connection:
        assert set(connection.execute(select(attempt.c.outcome)).scalars()) == {"accepted"}


def test_a_lane_that_must_stop_stops_the_others_after_what_they_have_under_way(house: House) -> None:
    house.enrol(range(1, 501))

    def one(reader: int) -> Receipt:
        if reader == 77:
            raise ProviderStoppedError("535 wrong password")
        time.sleep(0.001)
        return ACCEPTED

    carrier = Messages(one, connections=LANES)
    with pytest.raises(ProviderStoppedError, match="535 wrong password"):
        send(house, carrier)
    status = house.status()
    assert (status.state, status.reason) == ("stopped", "535 wrong password")
    assert status.accepted == len(carrier.sent) < 500
    assert status.unknown == status.rejected == 0
    rest = Messages(connections=LANES)
    send(house, rest)
    assert Counter(carrier.readers + rest.readers) == Counter(range(1, 501))
    assert house.status().state == "sending"


def test_a_mailing_that_is_paused_in_the_middle_ends_without_doubt_and_is_not_sent_until_resumed(house: House) -> None:
    house.enrol(range(1, 501))

    def one(reader: int) -> Receipt:
        if reader == 120:
            with writing(house.engine) as connection:
                connection.execute(update(mailing).values(state="paused", reason="by Ann"))
        return ACCEPTED

    carrier = Messages(one)
    with pytest.raises(HaltedError, match="2016-04-22-weekly: paused: by Ann; 'newsletter resume' goes on"):
        send(house, carrier)
    assert house.counts() == {"accepted": 150, "pending": 350}
    with pytest.raises(StoppedError, match="paused: by Ann"):
        send(house, Messages())
    with writing(house.engine) as connection:
        connection.execute(update(mailing).values(state="sending"))
    send(house, Messages(connections=LANES))
    assert house.counts() == {"accepted": 500}


def test_an_issue_that_is_changed_during_the_run_stops_it(house: House) -> None:
    house.enrol(range(1, 301))
    same = [True]

    def one(reader: int) -> Receipt:
        if reader == 60:
            same[0] = False
            house.clock.forward(seconds=6)
        return ACCEPTED

    carrier = Messages(one)
    order = house.order(carrier)
    order = dispatch.Order(order.engine, order.project, order.edition, order.list, carrier, still=lambda: same[0])
    with pytest.raises(StoppedError, match=r"was changed during the run"):
        dispatch.send(order, clock=house.clock)
    assert house.counts() == {"accepted": 100, "pending": 200}


def test_whoever_leaves_after_the_claim_of_their_group_and_before_their_turn_gets_nothing(house: House) -> None:
    house.enrol(range(1, 41))
    book = Book(house.engine, house.clock, house.project.secret())

    def one(reader: int) -> Receipt:
        if reader == 5:
            book.leave(6)
            book.bounced(20)
            book.remove(30)
        return ACCEPTED

    carrier = Messages(one)
    send(house, carrier)
    assert carrier.readers == [n for n in range(1, 41) if n not in (6, 20, 30)]
    assert house.counts() == {"accepted": 37, "left": 3}


def test_a_carrier_that_asks_one_lane_for_patience_is_left_alone_by_all_and_by_the_next_run(house: House) -> None:
    house.enrol(range(1, 301))
    at: list[dt.datetime] = []

    def one(_: int) -> Receipt:
        at.append(house.clock())
        return Receipt(Outcome.DEFERRED, "429 slow down", retry_after=7200.0) if len(at) == 10 else ACCEPTED

    carrier = Messages(one)
    with pytest.raises(TryLaterError, match="asks us to wait until 2016-04-22 14:00 UTC"):
        send(house, carrier)
    before = len(at)
    with pytest.raises(TryLaterError, match="asks us to wait until 2016-04-22 14:00 UTC"):
        send(house, carrier)
    assert len(at) == before
    house.clock.forward(hours=2, seconds=1)
    send(house, carrier)
    assert house.counts() == {"accepted": 300}


def test_lanes_that_are_put_off_together_count_as_one_try(house: House) -> None:
    house.enrol(range(1, 501))
    carrier = Messages(always(DEFERRED), connections=8)
    seconds: list[float] = []

    def sleep(step: float) -> None:
        seconds.append(step)
        house.clock.forward(seconds=step)
        time.sleep(0.001)

    with pytest.raises(TryLaterError, match="put us off 7 times in a row"):
        dispatch.send(house.order(carrier), clock=house.clock, sleep=sleep, chance=house.clock.chance)
    assert sum(seconds) > 60
    assert house.counts() == {"pending": 500}


def test_an_agreed_rate_is_kept_by_all_lanes_and_is_shared_through_the_ledger(house: House) -> None:
    house.enrol(range(1, 101))
    moments: list[float] = []

    def one(_: int) -> Receipt:
        moments.append(house.clock().timestamp())
        return ACCEPTED

    carrier = Messages(one, rate=20.0)
    dispatch.send(house.order(carrier), clock=house.clock, sleep=house.clock.sleep)
    assert 99 / 20 - 0.3 <= moments[-1] - moments[0] <= 99 / 20 + 0.3
    busiest = max(sum(start <= other < start + 1 for other in moments) for start in moments)
    assert busiest <= 22
    with writing(house.engine) as connection:
        names = connection.execute(select(rate.c.name)).scalars().all()
        assert names == ["rate/messages/a scripted carrier"]


def test_readers_of_a_domain_with_a_limit_are_put_aside_and_nobody_else_waits_for_them(house: House) -> None:
    house.enrol(range(1, 61))
    for number in range(1, 31):
        house.change(number, address=f"reader{number}@example.com")
    sent: list[tuple[int, float]] = []

    def one(reader: int) -> Receipt:
        sent.append((reader, (house.clock() - NOON).total_seconds()))
        return ACCEPTED

    carrier = Messages(one, domains={"Example.com": 0.5})
    dispatch.send(house.order(carrier), clock=house.clock, sleep=house.clock.sleep, chance=house.clock.chance)
    others = [at for reader, at in sent if reader > 30]
    limited = [at for reader, at in sent if reader <= 30]
    assert max(others) < 5
    assert 29 / 0.5 - 2 <= limited[-1] <= 29 / 0.5 + 10
    assert house.counts() == {"accepted": 60}


def test_transient_refusals_of_a_minute_are_all_sent_in_the_end(house: House) -> None:
    house.enrol(range(1, 401))

    def one(reader: int) -> Receipt:
        house.clock.forward(seconds=0.01)
        early = (house.clock() - NOON).total_seconds() < 60
        return Receipt(Outcome.DEFERRED, "451 4.7.1 greylisted") if early and reader % 20 == 0 else ACCEPTED

    for connections in (1,):
        carrier = Messages(one, connections=connections)
        dispatch.send(house.order(carrier), clock=house.clock, sleep=house.clock.sleep)
        assert Counter(carrier.readers) == Counter(range(1, 401))
        assert house.counts() == {"accepted": 400}


def test_what_makes_no_second_copy_is_carried_by_lanes_too(house: House) -> None:
    house.enrol(range(1, 101))
    lost = {7, 30, 55}

    def one(reader: int) -> Receipt:
        if reader in lost:
            lost.discard(reader)
            return UNKNOWN
        return ACCEPTED

    carrier = Repeatable(one, connections=LANES)
    dispatch.send(house.order(carrier), clock=house.clock, sleep=house.clock.sleep)
    assert house.counts() == {"accepted": 100}


def test_a_batch_never_waits_for_its_turn_after_it_was_claimed(house: House) -> None:
    house.enrol(range(1, 41))
    states: list[int] = []

    def many(_: Batch) -> Receipt:
        with house.engine.connect() as other:
            states.append(len(other.execute(select(chunk.c.seq).where(chunk.c.state == "sending")).all()))
        return ACCEPTED

    moments: list[float] = []

    def sleep(seconds: float) -> None:
        with house.engine.connect() as other:
            moments.append(len(other.execute(select(chunk.c.seq).where(chunk.c.state == "sending")).all()))
        house.clock.sleep(seconds)

    dispatch.send(house.order(BlindBatches(many, rate=2.0)), clock=house.clock, sleep=sleep)
    assert set(states) == {1}
    assert moments
    assert set(moments) == {0}
