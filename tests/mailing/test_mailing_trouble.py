"""Trouble on the way: refusals, waits, interruptions, changes in the middle of a mailing."""

from __future__ import annotations

import pytest
from mailing_carriers import (
    ACCEPTED,
    DEFERRED,
    REJECTED,
    UNKNOWN,
    Batches,
    Messages,
    Repeatable,
    always,
)
from mailing_house import House, edition

from newsletter.errors import StoppedError, TryLaterError
from newsletter.mailing import dispatch, ledger
from newsletter.providers.base import Outcome, Provider, Receipt


def send(house: House, provider: Provider, **more: object) -> dispatch.Summary:
    return dispatch.send(
        house.order(provider, **more), clock=house.clock, sleep=house.clock.sleep, chance=house.clock.chance
    )  # type: ignore[arg-type]


def test_three_lost_answers_in_a_row_stop_the_run(house: House) -> None:
    house.enrol(range(1, 61))
    with pytest.raises(StoppedError, match="3 times in a row no clear answer"):
        send(house, Messages(always(UNKNOWN)))
    assert house.counts() == {"unknown": 3, "pending": 57}


def test_ten_refusals_in_a_row_stop_the_run_and_are_not_believed(house: House) -> None:
    house.enrol(range(1, 61))
    with pytest.raises(StoppedError, match="refused 10 readers one after another, last: 550 no such user"):
        send(house, Messages(always(REJECTED)))
    assert house.counts() == {"pending": 60}


def test_a_reader_put_off_once_gets_it_in_the_same_run(house: House) -> None:
    house.enrol(range(1, 61))
    tries: dict[int, int] = {}

    def greylist(reader: int) -> Receipt:
        tries[reader] = tries.get(reader, 0) + 1
        return DEFERRED if reader in (5, 50, 51) and tries[reader] == 1 else ACCEPTED

    for carrier in (Messages(greylist), Repeatable(greylist)):
        tries.clear()
        send(house, carrier, issue=edition(f"by-{carrier.name}"))
        assert sorted(carrier.readers) == list(range(1, 61))
        assert house.counts() == {"accepted": 60}
    assert house.clock.waits


def test_a_carrier_that_is_away_is_tried_seven_times_and_nobody_is_marked_as_failed(house: House) -> None:
    house.enrol(range(1, 201))
    for carrier in (Messages(always(DEFERRED)), Repeatable(always(DEFERRED)), Batches(lambda _: DEFERRED)):
        house.clock.waits.clear()
        with pytest.raises(TryLaterError, match="7 times in a row, last: 450 later"):
            send(house, carrier, issue=edition(f"by-{carrier.name}"))
        assert sum(house.clock.waits) == 5 + 10 + 20 + 40 + 80 + 160
        assert house.counts() == {"pending": 200}
        house.clock.forward(minutes=5)
        send(house, type(carrier)(), issue=edition(f"by-{carrier.name}"))
        assert house.counts() == {"accepted": 200}


def test_a_wait_the_carrier_asks_for_is_kept_and_a_long_one_left_to_a_later_run(house: House) -> None:
    house.enrol(range(1, 11))
    answers = [Receipt(Outcome.DEFERRED, "slow down", retry_after=42.0)]
    carrier = Messages(lambda _: answers.pop() if answers else ACCEPTED)
    send(house, carrier)
    assert sum(house.clock.waits) == 42
    assert carrier.readers == [*range(2, 11), 1]
    far = Receipt(Outcome.DEFERRED, "tomorrow", retry_after=1e9)
    with pytest.raises(TryLaterError, match="wait until 2016-04-23 12:00 UTC, its words: tomorrow"):
        send(house, Messages(always(far)), issue=edition("other"))
    with pytest.raises(TryLaterError, match="wait until 2016-04-23 12:00 UTC"):
        send(house, Messages(), issue=edition("other"))
    assert house.counts() == {"pending": 10}
    house.clock.forward(days=1)
    send(house, Messages(), issue=edition("other"))
    assert house.counts() == {"accepted": 10}


def test_an_interrupted_message_is_unknown_only_where_a_second_copy_could_come_of_it(house: House) -> None:
    house.enrol(range(1, 11))

    def cut(reader: int) -> Receipt:
        if reader == 4:
            raise KeyboardInterrupt
        return ACCEPTED

    with pytest.raises(KeyboardInterrupt):
        send(house, Messages(cut))
    assert house.counts() == {"accepted": 3, "unknown": 1, "pending": 6}
    send(house, Messages())
    assert house.counts() == {"accepted": 9, "unknown": 1}
    with pytest.raises(KeyboardInterrupt):
        send(house, Repeatable(cut), issue=edition("other"))
    assert house.counts() == {"accepted": 3, "pending": 7}
    send(house, Repeatable(), issue=edition("other"))
    assert house.counts() == {"accepted": 10}


def test_a_changed_issue_stops_a_mailing_that_is_under_way(house: House) -> None:
    house.enrol(range(1, 61))
    with pytest.raises(StoppedError):
        send(house, Messages(lambda reader: REJECTED if reader > 20 else ACCEPTED))
    changed = edition(digest="cd" * 32)
    for call in (dispatch.plan, dispatch.send):
        said = r"2016-04-22-weekly: the issue, .* or the program was upgraded, .* frozen on 2016-04-22 12:00 UTC"
        with pytest.raises(StoppedError, match=said):
            call(house.order(Messages(), changed), clock=house.clock)
    with pytest.raises(StoppedError, match=r"the carrier in newsletter\.yaml has changed"):
        send(house, Repeatable())
    send(house, Messages())
    assert house.counts() == {"accepted": 60}
    carrier = Messages()
    assert send(house, carrier, issue=changed).nothing_to_do  # it is finished: a correction needs an issue of its own
    assert carrier.sent == []


def test_a_mailing_of_which_nothing_left_is_frozen_anew_when_the_settings_are_mended(house: House) -> None:
    house.enrol(range(1, 6))
    with pytest.raises(TryLaterError):
        send(house, Messages(always(DEFERRED)))
    house.enrol(range(6, 8))
    mended = edition(digest="cd" * 32)
    made = dispatch.plan(house.order(Repeatable(), mended), clock=house.clock)
    assert (made.state, made.to_send) == ("new", 7)
    send(house, Repeatable(), issue=mended)
    assert house.counts() == {"accepted": 7}
    assert len(ledger.status(house.engine)) == 1
