"""Each reader gets an issue at the same time of their own day."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from mailing_carriers import ACCEPTED, Batches, Messages
from mailing_house import NOON, House

from newsletter.errors import TryLaterError
from newsletter.mailing import dispatch
from newsletter.providers.base import Batch, Provider, Receipt

FOUR = dt.datetime(2016, 4, 22, 16, 0)  # noqa: DTZ001 - a local time, of whatever zone
ZONES = {1: "Pacific/Auckland", 2: "Africa/Bujumbura", 3: "", 4: "America/New_York", 5: "Africa/Bujumbura"}
MOMENTS = {1: 4, 2: 14, 5: 14, 3: 20, 4: 20}  # hours in UTC


@pytest.mark.parametrize("kind", [Messages, Batches])
def test_readers_get_it_when_it_is_four_where_they_are(house: House, kind: type[Messages | Batches]) -> None:
    house.enrol(range(1, 6))
    for number, zone in ZONES.items():
        house.change(number, timezone=zone)
    got: dict[int, int] = {}

    def one(reader: int) -> Receipt:
        got[reader] = house.clock.now.hour
        return ACCEPTED

    def many(batch: Batch) -> Receipt:
        for recipient in batch.recipients:
            one(recipient.reader)
        return ACCEPTED

    carrier: Provider = kind(many) if kind is Batches else kind(one)  # type: ignore[arg-type]
    order = dataclasses.replace(house.order(carrier), reader_time=(FOUR, "America/New_York"))
    house.clock.now = NOON.replace(hour=3, minute=59)
    while True:
        try:
            dispatch.send(order, clock=house.clock, sleep=house.clock.sleep)
            break
        except TryLaterError:
            house.clock.forward(minutes=10)
    assert got == MOMENTS
    assert house.counts() == {"accepted": 5}
