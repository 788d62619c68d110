"""What nobody needs any more goes; no count of a mailing changes by it."""

from __future__ import annotations

import datetime as dt

from mailing_carriers import REJECTED, Messages
from mailing_house import NOON, House
from sqlalchemy import insert, select

from newsletter.database.engine import reading, writing
from newsletter.mailing import agenda, dispatch, tidying
from newsletter.mailing.agenda import Planned
from newsletter.mailing.tables import attempt, worker

DAY = dt.timedelta(days=1)


def enlist(house: House, owner: str, until: dt.datetime) -> None:
    row = {"owner": owner, "host": "h", "boot": "b", "space": "s", "pid": 1, "born": "1", "since": NOON}
    with writing(house.engine) as connection:
        connection.execute(insert(worker).values(**row, lease_until=until))


def details(house: House) -> set[str]:
    with reading(house.engine) as connection:
        return set(connection.execute(select(attempt.c.detail)).scalars())


def test_workers_that_are_gone_for_a_day_are_forgotten(house: House) -> None:
    enlist(house, "gone", NOON - 2 * DAY)
    enlist(house, "silent", NOON - DAY / 2)
    enlist(house, "at work", NOON + DAY)
    assert tidying.tidy(house.engine, NOON) == 1
    with reading(house.engine) as connection:
        assert set(connection.execute(select(worker.c.owner)).scalars()) == {"silent", "at work"}


def test_old_words_go_and_the_counts_stay(house: House) -> None:
    house.enrol(range(1, 4))
    carrier = Messages(lambda reader: REJECTED if reader == 2 else Messages().answer(reader))
    dispatch.send(house.order(carrier), clock=house.clock, sleep=house.clock.sleep)
    with writing(house.engine) as connection:
        connection.execute(attempt.update().values(detail="450 later"))
    counts = house.counts()
    assert tidying.tidy(house.engine, NOON + 89 * DAY) == 0
    assert details(house) == {"450 later"}
    assert tidying.tidy(house.engine, NOON + 91 * DAY) >= 1
    assert details(house) == {""}
    assert house.counts() == counts == {"accepted": 2, "rejected": 1}
    assert tidying.tidy(house.engine, NOON + 91 * DAY) == 0


def test_old_lines_of_the_agenda_go(house: House) -> None:
    made = Planned(0, "2016-04-22", "weekly", "ab" * 32, NOON, "UTC", by_reader=False, made_at=NOON)
    number, _ = agenda.add(house.engine, made)
    agenda.mark(house.engine, number, "done")
    assert tidying.tidy(house.engine, NOON + 91 * DAY) == 1
    assert agenda.listed(house.engine) == ()
