"""Carriers that take many readers a request: mixed answers, lost answers, halves."""

from __future__ import annotations

import pytest
from mailing_carriers import ACCEPTED, REJECTED, UNKNOWN, Batches, BlindBatches, RepeatableBatches
from mailing_house import House, edition

from newsletter.edition.model import Edition
from newsletter.errors import StoppedError
from newsletter.mailing import dispatch, ledger
from newsletter.providers.base import Batch, Outcome, Provider, Receipt


def send(house: House, provider: Provider, issue: Edition | None = None) -> dispatch.Summary:
    return dispatch.send(
        house.order(provider, issue), clock=house.clock, sleep=house.clock.sleep, chance=house.clock.chance
    )


def test_a_lost_answer_is_resolved_by_asking_after_the_lag(house: House) -> None:
    house.enrol(range(1, 9))
    lost = Batches(lambda batch: UNKNOWN if batch.recipients[0].reader == 1 else ACCEPTED)
    send(house, lost)
    assert house.counts() == {"accepted": 4, "unknown": 4}
    assert house.status().finished is None
    early = Batches(known={1: Outcome.ACCEPTED})
    send(house, early)
    assert early.sent == []
    assert house.counts() == {"accepted": 5, "unknown": 3}
    house.clock.forward(minutes=31)
    late = Batches(known={2: Outcome.REJECTED})
    send(house, late)
    assert [one.reader for one in late.asked[0].recipients] == [2, 3, 4]
    assert late.asked[0].key == lost.sent[0].key
    assert late.groups == [[3, 4]]
    assert house.counts() == {"accepted": 7, "rejected": 1}
    assert house.status().complete


def test_a_whole_batch_the_carrier_does_not_have_is_sent_again_but_not_after_it_may_have_forgotten(
    house: House,
) -> None:
    house.enrol(range(1, 5))
    send(house, Batches(lambda _: UNKNOWN))
    house.clock.forward(days=4)
    late = Batches(known={})
    send(house, late)
    assert late.sent == []
    assert house.counts() == {"unknown": 4}
    house.clock.now -= house.clock.now - dispatch.dt.datetime(2016, 4, 22, 13, tzinfo=dispatch.dt.UTC)
    send(house, late)
    assert late.groups == [[1, 2, 3, 4]]
    assert house.counts() == {"accepted": 4}


def test_a_carrier_that_cannot_say_leaves_them_unknown(house: House) -> None:
    house.enrol(range(1, 5))
    send(house, Batches(lambda _: UNKNOWN))
    house.clock.forward(hours=1)
    mute = Batches(known=None)
    assert send(house, mute).nothing_to_do
    assert (len(mute.asked), mute.sent) == (1, [])
    assert house.counts() == {"unknown": 4}


def test_an_erased_reader_cannot_be_asked_about(house: House) -> None:
    house.enrol(range(1, 3))
    send(house, Batches(lambda _: UNKNOWN))
    house.erase(1)
    house.erase(2)
    house.clock.forward(hours=1)
    carrier = Batches(known={})
    send(house, carrier)
    assert carrier.asked == []
    assert house.counts() == {"unknown": 2}


def test_without_a_look_up_a_lost_answer_is_held(house: House) -> None:
    house.enrol(range(1, 9))
    send(house, BlindBatches(lambda batch: UNKNOWN if batch.recipients[0].reader == 5 else ACCEPTED))
    assert house.counts() == {"accepted": 4, "unknown": 4}
    assert house.status().finished is not None
    assert [one.reader for one in ledger.unknown_readers(house.engine, "2016-04-22-weekly")] == [5, 6, 7, 8]
    again = BlindBatches()
    assert send(house, again).nothing_to_do
    assert again.sent == []


def test_with_a_key_against_copies_a_lost_answer_is_repeated_with_the_same_key(house: House) -> None:
    house.enrol(range(1, 5))
    answers = [UNKNOWN]
    carrier = RepeatableBatches(lambda _: answers.pop() if answers else ACCEPTED)
    send(house, carrier)
    assert carrier.groups == [[1, 2, 3, 4]] * 2
    assert carrier.sent[0] == carrier.sent[1]
    assert house.counts() == {"accepted": 4}


def test_outcomes_may_differ_within_one_batch(house: House) -> None:
    house.enrol(range(1, 5))
    first = Receipt(
        Outcome.ACCEPTED,
        exceptions={
            2: (Outcome.REJECTED, "bad address"),
            3: (Outcome.DEFERRED, "later"),
            4: (Outcome.UNKNOWN, "no word of it"),
        },
    )
    answers = [first]
    carrier = Batches(lambda _: answers.pop() if answers else ACCEPTED)
    send(house, carrier)
    assert carrier.groups == [[1, 2, 3, 4], [3]]
    assert carrier.sent[0].key != carrier.sent[1].key  # other readers: the old key would be refused
    assert house.counts() == {"accepted": 2, "rejected": 1, "unknown": 1}
    house.clock.forward(hours=1)
    later = Batches(known={})
    send(house, later)
    assert later.groups == [[4]]
    assert house.counts() == {"accepted": 3, "rejected": 1}


def test_an_interrupted_retry_of_a_put_off_reader_is_unknown(house: House) -> None:
    house.enrol(range(1, 5))
    answers = [Receipt(Outcome.ACCEPTED, exceptions={3: (Outcome.DEFERRED, "later")})]

    def answer(_: Batch) -> Receipt:
        if answers:
            return answers.pop()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send(house, Batches(answer))
    assert house.counts() == {"accepted": 3, "unknown": 1}
    with pytest.raises(KeyboardInterrupt):
        send(house, RepeatableBatches(answer), issue=edition("other"))
    assert house.counts() == {"pending": 4}


def test_a_batch_spoiled_by_one_reader_is_halved_down_to_that_one(house: House) -> None:
    house.enrol(range(1, 9))

    def picky(batch: Batch) -> Receipt:
        bad = any(recipient.reader == 7 for recipient in batch.recipients)
        return Receipt(Outcome.REJECTED, "to: not a valid address", split=True) if bad else ACCEPTED

    carrier = Batches(picky)
    send(house, carrier)
    assert carrier.groups == [[1, 2, 3, 4], [5, 6, 7, 8], [5, 6], [7, 8], [7], [8]]
    assert len({batch.key for batch in carrier.sent}) == 6
    assert house.counts() == {"accepted": 7, "rejected": 1}


def test_halving_keeps_what_was_recorded_before(house: House) -> None:
    house.enrol(range(1, 5))
    later = (Outcome.DEFERRED, "later")
    answers = [
        Receipt(Outcome.REJECTED, "one is bad", split=True),
        Receipt(Outcome.ACCEPTED, exceptions={1: (Outcome.REJECTED, "gone"), 2: later, 4: later}),
    ]
    carrier = Batches(lambda _: answers.pop() if answers else ACCEPTED)
    send(house, carrier)
    assert carrier.groups == [[1, 2, 3, 4], [2, 4], [2], [4]]
    assert house.counts() == {"accepted": 3, "rejected": 1}


def test_a_batch_refused_as_a_whole_says_nothing_of_its_readers(house: House) -> None:
    house.enrol(range(1, 9))
    with pytest.raises(StoppedError, match="refused 4 readers in one answer: 550 no such user"):
        send(house, Batches(lambda _: REJECTED))
    assert house.counts() == {"pending": 8}
