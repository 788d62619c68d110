"""A database that stays locked while messages leave: what was accepted is accepted or unknown, and never sent again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from mailing_carriers import ACCEPTED, REJECTED, Batches, BlindBatches, Messages, Repeatable
from mailing_house import House

from newsletter.database import engine
from newsletter.errors import TryLaterError
from newsletter.mailing import dispatch
from newsletter.mailing.lease import LEASE
from newsletter.providers.base import Batch, Outcome, Receipt


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    made = House(tmp_path / "project")
    yield made
    made.engine.dispose()


class Locker:
    """Another program that begins to write when a certain reader's message leaves, and does not end."""

    def __init__(self, house: House, at: int, answer: Receipt = ACCEPTED) -> None:
        self.other = sqlite3.connect(house.root / "newsletter.db", isolation_level=None)
        self.at = at
        self.answer = answer
        self.left: list[int] = []

    def one(self, reader: int) -> Receipt:
        self.left.append(reader)
        if reader == self.at:
            self.other.execute("BEGIN IMMEDIATE")
            return self.answer
        return ACCEPTED

    def many(self, batch: Batch) -> Receipt:
        for recipient in batch.recipients:
            self.one(recipient.reader)
        return ACCEPTED

    def end(self) -> None:
        self.other.execute("ROLLBACK")
        self.other.close()


@pytest.mark.parametrize("at", [1, 4, 50, 51, 60])
@pytest.mark.parametrize("answer", [ACCEPTED, REJECTED])
def test_a_message_whose_outcome_cannot_be_noted_is_unknown_and_not_sent_again(
    house: House, at: int, answer: Receipt
) -> None:
    house.enrol(range(1, 61))
    locker = Locker(house, at, answer)
    with pytest.raises(TryLaterError, match="another program is writing"):
        dispatch.send(
            house.order(Messages(locker.one)), clock=house.clock, sleep=house.clock.sleep, chance=house.clock.chance
        )
    locker.end()
    last = at if answer is REJECTED else 50 if at <= 50 else 60  # what is accepted is written with its group
    assert locker.left == list(range(1, last + 1))
    house.clock.forward(seconds=LEASE.total_seconds() + 1)
    again = Messages()
    dispatch.send(house.order(again), clock=house.clock)
    assert again.readers == list(range(last + 1, 61))
    assert house.counts() == {"accepted": 59, "unknown": 1}


@pytest.mark.parametrize("kind", [Batches, BlindBatches])
def test_a_batch_whose_outcome_cannot_be_noted_is_unknown_and_not_sent_again(house: House, kind: type[Batches]) -> None:
    house.enrol(range(1, 13))
    locker = Locker(house, 6)
    with pytest.raises(TryLaterError, match="another program is writing"):
        dispatch.send(house.order(kind(locker.many)), clock=house.clock)
    locker.end()
    house.clock.forward(hours=1)
    again = kind(known=dict.fromkeys(locker.left, Outcome.ACCEPTED))
    dispatch.send(house.order(again), clock=house.clock)
    assert again.groups == [[9, 10, 11, 12]]
    assert house.counts() == ({"accepted": 12} if kind is Batches else {"accepted": 8, "unknown": 4})


def test_what_makes_no_second_copy_is_given_again(house: House) -> None:
    house.enrol(range(1, 13))
    locker = Locker(house, 6)
    with pytest.raises(TryLaterError, match="another program is writing"):
        dispatch.send(house.order(Repeatable(locker.one)), clock=house.clock)
    locker.end()
    house.clock.forward(hours=1)
    again = Repeatable()
    dispatch.send(house.order(again), clock=house.clock)
    assert again.readers == list(range(5, 13))
    assert house.counts() == {"accepted": 12}
