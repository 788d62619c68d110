"""Carriers that take the same key again: repeated while that is safe, asked or held afterwards, never sent twice."""

from __future__ import annotations

import datetime as dt

import pytest
from mailing_carriers import ACCEPTED, UNKNOWN, Batches, KeyedBatches, always
from mailing_house import House
from sqlalchemy import select

from newsletter.database.engine import reading
from newsletter.errors import NewsletterError, TryLaterError
from newsletter.mailing import dispatch, inquiry, ledger
from newsletter.mailing.claims import OUT_OF_TIME
from newsletter.mailing.tables import act, chunk
from newsletter.providers.base import Batch, Outcome, Receipt


def send(house: House, carrier: Batches) -> dispatch.Summary:
    return dispatch.send(house.order(carrier), clock=house.clock, sleep=house.clock.sleep, chance=house.clock.chance)


def test_a_lost_answer_is_followed_by_the_same_key_and_the_same_bytes(house: House) -> None:
    house.enrol(range(1, 9))
    first = [True]

    def many(_: Batch) -> Receipt:
        return UNKNOWN if first.pop() else ACCEPTED

    carrier = KeyedBatches(lambda batch: many(batch) if first else ACCEPTED)
    send(house, carrier)
    assert carrier.sent[0] in carrier.sent[1:]
    assert carrier.asked == []
    assert house.counts() == {"accepted": 8}


def test_after_its_window_a_chunk_in_doubt_is_asked_for_and_only_the_absent_are_sent_again(house: House) -> None:
    house.enrol(range(1, 5))
    with pytest.raises(TryLaterError):
        send(house, KeyedBatches(always(Receipt(Outcome.UNKNOWN, "502"))))
    house.clock.forward(minutes=11)
    asked = KeyedBatches(known={1: Outcome.ACCEPTED, 2: Outcome.ACCEPTED})
    send(house, asked)
    assert asked.sent == []
    assert house.counts() == {"unknown": 4}
    assert {one.detail for one in ledger.unknown_readers(house.engine, "2016-04-22-weekly")} == {OUT_OF_TIME}
    house.clock.forward(hours=1)
    later = KeyedBatches(known={1: Outcome.ACCEPTED, 2: Outcome.ACCEPTED})
    send(house, later)
    assert later.groups == [[3, 4]]
    assert later.sent[0].key != asked.asked[0].key if asked.asked else True
    assert house.counts() == {"accepted": 4}


def test_a_put_off_after_a_lost_answer_does_not_take_the_doubt_away(house: House) -> None:
    house.enrol(range(1, 5))
    answers = iter([UNKNOWN, Receipt(Outcome.DEFERRED, "429", retry_after=60.0)])
    carrier = KeyedBatches(lambda _: next(answers, ACCEPTED))
    began = house.clock.now
    seen: list[dt.datetime | None] = []

    def sleep(seconds: float) -> None:
        with reading(house.engine) as connection:
            seen.append(connection.execute(select(chunk.c.doubt_since)).scalar_one())
        house.clock.sleep(seconds)

    dispatch.send(house.order(carrier), clock=house.clock, sleep=sleep)
    assert set(seen) == {began}
    assert len({batch.key for batch in carrier.sent}) == 1
    assert house.counts() == {"accepted": 4}


def test_a_chunk_in_doubt_of_which_somebody_left_is_not_repeated_with_other_bytes(house: House) -> None:
    house.enrol(range(1, 5))
    with pytest.raises(TryLaterError):
        send(house, KeyedBatches(always(Receipt(Outcome.UNKNOWN, "502"))))
    house.change(2, status="left")
    carrier = KeyedBatches()
    send(house, carrier)
    assert carrier.sent == []
    assert house.counts() == {"unknown": 4}


def test_a_person_says_who_has_their_copy_and_who_has_not(house: House) -> None:
    house.enrol(range(1, 5))
    with pytest.raises(TryLaterError):
        send(house, KeyedBatches(always(Receipt(Outcome.UNKNOWN, "502"))))
    house.clock.forward(minutes=11)
    send(house, KeyedBatches())
    with reading(house.engine) as connection:
        one = ledger.find(connection, "2016-04-22", "weekly", "issue")
    assert one is not None
    with pytest.raises(NewsletterError, match="2016-04-22-weekly: not unknown: 9, 17;"):
        inquiry.take_word(house.engine, one, {1: True, 9: True, 17: False}, "Ann", house.clock.now)
    assert house.counts() == {"unknown": 4}
    assert inquiry.take_word(house.engine, one, {1: True, 2: False}, "Ann", house.clock.now) == 2
    assert house.counts() == {"accepted": 1, "unknown": 2, "pending": 1}
    with reading(house.engine) as connection:
        rows = connection.execute(select(act.c.by, act.c.what, act.c.detail)).all()
    assert [tuple(row) for row in rows] == [
        ("Ann", "reconcile", "reader 1 has it"),
        ("Ann", "reconcile", "reader 2 has it not"),
    ]
    inquiry.take_word(house.engine, one, {3: True, 4: True}, "Ann", house.clock.now)
    carrier = KeyedBatches()
    send(house, carrier)
    assert carrier.groups == [[2]]
    assert house.status().complete
