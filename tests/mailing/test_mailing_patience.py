"""Readers whom the carrier puts off for days: nobody waits for them, and in the end they are given up."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mailing_carriers import ACCEPTED, DEFERRED, Batches, Messages, Repeatable, RepeatableBatches, always
from mailing_house import House, edition
from sqlalchemy import select

from newsletter.errors import TryLaterError
from newsletter.mailing import dispatch
from newsletter.mailing.tables import exception
from newsletter.providers.base import Batch, Outcome, Provider, Receipt

FULL = Receipt(Outcome.DEFERRED, "452 4.2.2 mailbox full")


def send(house: House, provider: Provider, **more: object) -> dispatch.Summary:
    return dispatch.send(
        house.order(provider, **more), clock=house.clock, sleep=house.clock.sleep, chance=house.clock.chance
    )  # type: ignore[arg-type]


def slow(house: House, full: set[int], receipt: Receipt = FULL) -> Callable[[int], Receipt]:
    """Take so long for a message that a reader put off is due again before the next chunk."""

    def answer(reader: int) -> Receipt:
        house.clock.forward(seconds=0.2)
        return receipt if reader in full else ACCEPTED

    return answer


@pytest.mark.parametrize(
    "full",
    [{3}, {3, 4, 5}, {3, 103, 153, 203, 253, 303}, {1, 51, 101, 151, 201}],
    ids=["one", "three in a row", "one in many chunks", "the first of five chunks"],
)
@pytest.mark.parametrize("carrier", [Messages, Repeatable])
def test_nobody_waits_for_readers_whom_the_carrier_puts_off_for_days(
    house: House, full: set[int], carrier: type[Messages]
) -> None:
    house.enrol(range(1, 401))
    with pytest.raises(TryLaterError, match=r"put us off 7 times in a row, last: 452 4\.2\.2 mailbox full"):
        send(house, carrier(slow(house, full)))
    assert house.counts() == {"accepted": 400 - len(full), "pending": len(full)}


@pytest.mark.parametrize(("carrier", "size"), [(Messages, 50), (Repeatable, 4)])
def test_nobody_waits_for_five_chunks_in_which_everybody_is_put_off(
    house: House, carrier: type[Messages], size: int
) -> None:
    house.enrol(range(1, 401))
    with pytest.raises(TryLaterError):
        send(house, carrier(slow(house, set(range(1, 5 * size + 1)))))
    assert house.counts() == {"accepted": 400 - 5 * size, "pending": 5 * size}


def test_first_readers_of_five_chunks_who_are_put_off_with_a_time_do_not_end_the_run(house: House) -> None:
    house.enrol(range(1, 401))
    full = {1, 51, 101, 151, 201}
    receipt = Receipt(Outcome.DEFERRED, "slow down", retry_after=42.0)
    with pytest.raises(TryLaterError):
        send(house, Messages(slow(house, full, receipt)))
    assert house.counts() == {"accepted": 395, "pending": 5}


def test_of_readers_put_off_each_has_a_turn(house: House) -> None:
    house.enrol(range(1, 401))
    full = {reader for first in range(1, 401, 50) for reader in range(first, first + 4)}
    for _ in range(2):  # three of a chunk are tried at most when all are put off
        with pytest.raises(TryLaterError):
            send(house, Messages(slow(house, full)))
        house.clock.forward(hours=1)
    mended = {4, 354}
    with pytest.raises(TryLaterError):
        send(house, Messages(slow(house, full - mended)))
    assert house.counts() == {"accepted": 400 - 32 + 2, "pending": 30}


@pytest.mark.parametrize("kind", [Messages, Repeatable])
def test_a_carrier_so_slow_to_put_readers_off_that_others_are_due_again_meanwhile_is_left_too(
    house: House, kind: type[Messages]
) -> None:
    house.enrol(range(1, 401))
    full = {3, 103, 203, 303}
    tries: list[int] = []

    def answer(reader: int) -> Receipt:
        tries.append(reader)
        assert len(tries) < 600
        house.clock.forward(seconds=45.0 if reader in full else 0.0)
        return FULL if reader in full else ACCEPTED

    with pytest.raises(TryLaterError, match="7 times in a row"):
        send(house, kind(answer))
    assert all(5 <= tries.count(reader) <= 10 for reader in full)
    assert house.counts() == {"accepted": 396, "pending": 4}


@pytest.mark.parametrize("kind", [Messages, Repeatable, Batches, RepeatableBatches])
def test_a_carrier_that_puts_off_everybody_is_left_after_few_tries(
    house: House, kind: type[Messages | Batches]
) -> None:
    house.enrol(range(1, 2001))
    tries: list[object] = []

    def answer(one: object) -> Receipt:
        tries.append(one)
        return DEFERRED

    with pytest.raises(TryLaterError, match="nobody is marked as failed"):
        send(house, kind(answer))
    assert len(tries) <= 9
    assert house.counts() == {"pending": 2000}


def test_a_reader_put_off_for_more_than_five_days_is_rejected_with_the_carriers_last_words(house: House) -> None:
    house.enrol(range(1, 61))
    full = slow(house, {3})
    for days in (0, 1, 3):
        house.clock.forward(days=days)
        for carrier in (Messages, Repeatable):
            with pytest.raises(TryLaterError):
                send(house, carrier(full), issue=edition(carrier.name))
            assert house.counts() == {"accepted": 59, "pending": 1}
    house.clock.forward(days=1)
    for carrier in (Messages, Repeatable):
        summary = send(house, carrier(full), issue=edition(carrier.name))
        assert summary.status.complete
        assert (summary.status.accepted, summary.status.rejected) == (59, 1)
    with house.engine.connect() as connection:
        said = connection.execute(select(exception.c.detail)).scalars().all()
    assert said == ["put off for more than 5 days, last: 452 4.2.2 mailbox full"] * 2


def test_a_reader_of_a_batch_who_is_put_off_by_name_is_given_up_too(house: House) -> None:
    house.enrol(range(1, 6))

    def answer(batch: Batch) -> Receipt:
        there = {one.reader for one in batch.recipients} & {5}
        return Receipt(Outcome.ACCEPTED, exceptions=dict.fromkeys(there, (Outcome.DEFERRED, "mailbox full")))

    for _ in range(2):
        with pytest.raises(TryLaterError, match="7 times in a row"):
            send(house, Batches(answer))
        assert house.counts() == {"accepted": 4, "pending": 1}
    house.clock.forward(days=5)
    send(house, Batches(answer))
    assert house.counts() == {"accepted": 4, "rejected": 1}


@pytest.mark.parametrize("kind", [Messages, Repeatable, Batches])
def test_after_five_days_a_carrier_that_has_taken_no_copy_yet_fails_nobody(
    house: House, kind: type[Messages | Batches]
) -> None:
    house.enrol(range(1, 61))
    away = Receipt(Outcome.DEFERRED, "connection refused", retry_after=30.0)
    for answer in (always(DEFERRED), always(away), always(DEFERRED), always(away)):
        with pytest.raises(TryLaterError):
            send(house, kind(answer))  # type: ignore[arg-type]
        house.clock.forward(days=6)
    assert house.counts() == {"pending": 60}


def test_after_five_days_a_reader_never_tried_before_is_not_given_up_at_once(house: House) -> None:
    house.enrol(range(1, 61))
    away = Receipt(Outcome.DEFERRED, "come back in a week", retry_after=86_400.0)
    with pytest.raises(TryLaterError):
        send(house, Messages(always(away)))
    house.clock.forward(days=7)
    tries: list[int] = []

    def once(reader: int) -> Receipt:
        tries.append(reader)
        return FULL if reader == 40 and tries.count(40) == 1 else ACCEPTED

    send(house, Messages(once))
    assert house.counts() == {"accepted": 60}


def test_a_batch_that_is_put_off_does_not_count_as_progress(house: House) -> None:
    house.enrol(range(1, 9))
    seen: list[dispatch.Progress] = []
    with pytest.raises(TryLaterError):
        dispatch.send(
            house.order(Batches(always(DEFERRED))),  # type: ignore[arg-type]
            seen.append,
            clock=house.clock,
            sleep=house.clock.sleep,
        )
    assert {one.done for one in seen} == {0}
