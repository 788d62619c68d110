"""The message that a carrier is told of while the one before is handed over, so that it may prepare for it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from mailing_carriers import ACCEPTED, REJECTED, Messages, Repeatable
from mailing_house import House

from newsletter.mailing import control, dispatch
from newsletter.providers.base import ProviderStoppedError, Receipt
from newsletter.subscribers.book import Book


def send(house: House, carrier: Messages, **more: Any) -> dispatch.Summary:
    return dispatch.send(house.order(carrier), clock=house.clock, sleep=time.sleep, chance=house.clock.chance, **more)


def test_each_message_of_a_chunk_but_the_last_names_the_one_after_it(shared_house: House) -> None:
    shared_house.enrol(range(1, 11))
    carrier = Repeatable()  # whose chunks are of four
    send(shared_house, carrier)
    assert carrier.readers == list(range(1, 11))
    assert carrier.prepared == [2, 3, 4, 6, 7, 8, 10]
    assert carrier.retracted == []


def test_a_refused_reader_changes_nothing_for_the_following_one(house: House) -> None:
    house.enrol(range(1, 5))
    carrier = Messages(lambda reader: REJECTED if reader == 2 else ACCEPTED)
    send(house, carrier)
    assert carrier.readers == [1, 3, 4]
    assert (carrier.prepared, carrier.retracted) == ([2, 3, 4], [])


@pytest.mark.parametrize("agreed", [{"rate": 100.0}, {"domains": {"example.org": 100.0}}])
def test_none_is_named_where_it_would_have_to_wait_for_its_turn(house: House, agreed: dict[str, Any]) -> None:
    house.enrol(range(1, 5))
    carrier = Messages(**agreed)
    send(house, carrier)
    assert carrier.readers == [1, 2, 3, 4]
    assert carrier.prepared == []


def test_who_leaves_after_being_named_gets_nothing_and_is_taken_back(shared_house: House) -> None:
    shared_house.enrol(range(1, 9))
    book = Book(shared_house.engine, shared_house.clock, shared_house.project.secret())

    def one(reader: int) -> Receipt:
        if reader in (1, 6):
            book.leave(reader + 1)
        return ACCEPTED

    carrier = Messages(one)
    send(shared_house, carrier)
    assert carrier.readers == [1, 3, 4, 5, 6, 8]
    assert carrier.prepared == [2, 4, 5, 6, 7]  # 3 and 8 stand behind a leaver
    assert carrier.retracted == [2, 7]
    assert shared_house.counts() == {"accepted": 6, "left": 2}


def test_a_pause_takes_back_what_was_named(house: House) -> None:
    house.enrol(range(1, 9))

    def one(reader: int) -> Receipt:
        if reader == 2:
            control.pause(house.engine, house.order(carrier).name, "by a test", house.clock())
            time.sleep(1.0)
        return ACCEPTED

    carrier = Messages(one)
    with pytest.raises(Exception, match="paused"):
        send(house, carrier)
    assert carrier.readers == carrier.readers[: len(carrier.prepared) + 1]
    assert carrier.prepared[len(carrier.readers) - 1 :] == carrier.retracted


def test_a_carrier_that_refuses_us_has_nothing_left_to_wait_for(house: House) -> None:
    house.enrol(range(1, 5))

    def one(reader: int) -> Receipt:
        if reader == 2:
            raise ProviderStoppedError("535 wrong password")
        return ACCEPTED

    carrier = Messages(one)
    with pytest.raises(ProviderStoppedError):
        send(house, carrier)
    assert (carrier.readers, carrier.prepared, carrier.retracted) == ([1], [2], [3])
    assert house.counts() == {"accepted": 1, "pending": 3}
