"""Refusals in a row: is it the readers, or is it us?"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mailing_carriers import ACCEPTED, REJECTED, Batches, Messages, Repeatable, always
from mailing_house import House, edition

from newsletter.errors import StoppedError
from newsletter.mailing import dispatch
from newsletter.providers.base import Batch, Outcome, Provider, Receipt

REFUSED = "refused 10 readers one after another, last: 550 no such user; none of them is marked as failed"


def send(house: House, provider: Provider, **more: object) -> dispatch.Summary:
    return dispatch.send(
        house.order(provider, **more), clock=house.clock, sleep=house.clock.sleep, chance=house.clock.chance
    )  # type: ignore[arg-type]


def dead(readers: range) -> Callable[[int], Receipt]:
    return lambda reader: REJECTED if reader in readers else ACCEPTED


@pytest.mark.parametrize("kind", [Messages, Repeatable])
def test_readers_refused_in_the_row_that_stopped_the_run_get_theirs_when_the_carrier_is_mended(
    house: House, kind: type[Messages]
) -> None:
    house.enrol(range(1, 121))
    with pytest.raises(StoppedError, match=REFUSED):
        send(house, kind(lambda reader: REJECTED if reader == 2 or reader > 45 else ACCEPTED))
    assert house.counts() == {"accepted": 44, "rejected": 1, "pending": 75}  # the one refused alone stays so
    assert house.status().finished is None
    carrier = kind()
    send(house, carrier)
    assert sorted(carrier.readers) == list(range(46, 121))
    assert house.counts() == {"accepted": 119, "rejected": 1}


@pytest.mark.parametrize("kind", [Messages, Repeatable])
@pytest.mark.parametrize("gone", [range(1, 11), range(47, 60), range(1, 16)])
def test_a_list_with_many_dead_addresses_in_a_row_comes_to_its_end(
    house: House, kind: type[Messages], gone: range
) -> None:
    house.enrol(range(1, 121))
    runs = 0
    while not runs or not house.status().complete:
        runs += 1
        assert runs < 4
        try:
            send(house, kind(dead(gone)))
        except StoppedError:
            assert house.status().rejected < 10
    assert runs == 2
    assert house.counts() == {"accepted": 120 - len(gone), "rejected": len(gone)}


def test_while_the_carrier_takes_nobodys_mail_no_refusal_is_believed_however_often_it_is_tried(house: House) -> None:
    house.enrol(range(1, 26))
    for _ in range(6):
        with pytest.raises(StoppedError, match="one after another"):
            send(house, Messages(always(REJECTED)))
        assert house.counts() == {"pending": 25}
    send(house, Messages())
    assert house.counts() == {"accepted": 25}


def test_refusals_that_came_before_are_not_believed_when_all_others_are_refused_from_there_on(house: House) -> None:
    house.enrol(range(1, 121))
    with pytest.raises(StoppedError):
        send(house, Messages(dead(range(1, 200))))
    with pytest.raises(StoppedError, match="refused 20 readers"):
        send(house, Messages(lambda reader: ACCEPTED if 10 < reader < 51 else REJECTED))
    assert house.counts() == {"accepted": 40, "pending": 80}
    send(house, Messages())
    assert house.counts() == {"accepted": 120}


def test_the_last_ten_of_a_list_that_are_dead_are_given_up_after_five_days(house: House) -> None:
    house.enrol(range(1, 61))
    gone = Messages(dead(range(51, 61)))
    for _ in range(2):
        with pytest.raises(StoppedError, match=REFUSED):
            send(house, gone)
        assert house.counts() == {"accepted": 50, "pending": 10}
    house.clock.forward(days=6)
    assert send(house, gone).status.complete
    assert house.counts() == {"accepted": 50, "rejected": 10}


def test_batches_of_one_reader_refused_in_a_row_are_not_believed_either(house: House) -> None:
    house.enrol(range(1, 41))

    def picky(batch: Batch) -> Receipt:
        first = batch.recipients[0].reader
        return Receipt(Outcome.REJECTED, "550 no such user", split=True) if first < 17 else ACCEPTED

    with pytest.raises(StoppedError, match=REFUSED):
        send(house, Batches(picky))
    assert house.counts() == {"pending": 40}
    with pytest.raises(StoppedError, match=REFUSED):
        send(house, Batches(always(Receipt(Outcome.REJECTED, "550 no such user", split=True))))  # type: ignore[arg-type]
    send(house, Batches())
    assert house.counts() == {"accepted": 40}


def test_a_reader_whose_refusal_was_taken_back_may_be_put_off_and_leave_as_anybody(house: House) -> None:
    house.enrol(range(1, 31))
    with pytest.raises(StoppedError):
        send(house, Messages(dead(range(1, 11))))
    house.change(4, status="left")
    tries: list[int] = []

    def answer(reader: int) -> Receipt:
        tries.append(reader)
        put_off = reader == 5 and tries.count(5) == 1
        return Receipt(Outcome.DEFERRED, "later") if put_off else dead(range(1, 11))(reader)

    send(house, Messages(answer))
    assert house.counts() == {"accepted": 20, "rejected": 9, "left": 1}
    assert tries.count(5) == 2
    send(house, Messages(), issue=edition("other"))
    assert house.counts() == {"accepted": 29}
