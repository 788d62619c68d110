"""The agenda: one line an issue and list, sent as it was looked at, or not at all."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from mailing_house import NOON, House

from newsletter.errors import NewsletterError
from newsletter.mailing import agenda
from newsletter.mailing.agenda import Planned

DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
DIGEST = "ab" * 32


def planned(**changes: Any) -> Planned:
    made = Planned(0, "2016-04-22", "weekly", DIGEST, NOON + DAY, "America/New_York", by_reader=False, made_at=NOON)
    return replace(made, **changes)


def test_a_line_waits_until_its_moment_and_is_kept_as_it_was_said(house: House) -> None:
    number, before = agenda.add(house.engine, planned())
    assert before == ()
    (one,) = agenda.listed(house.engine)
    assert one == planned(id=number)
    assert str(one.when) == "Saturday 2016-04-23 08:00 America/New_York"
    assert agenda.due(house.engine, NOON + DAY - HOUR) == ()
    assert agenda.due(house.engine, NOON + DAY) == (one,)


def test_an_issue_waits_once_for_each_list(house: House) -> None:
    first, _ = agenda.add(house.engine, planned())
    press, _ = agenda.add(house.engine, planned(list="press"))
    second, before = agenda.add(house.engine, planned(at=NOON + 2 * DAY))
    assert before == (first,)
    assert [one.id for one in agenda.listed(house.engine) if one.state == "waiting"] == [press, second]
    gone = next(one for one in agenda.listed(house.engine) if one.id == first)
    assert (gone.state, gone.reason) == ("cancelled", f"number {second} took its place")


def test_a_line_is_taken_off_once(house: House) -> None:
    number, _ = agenda.add(house.engine, planned())
    agenda.cancel(house.engine, number)
    assert agenda.due(house.engine, NOON + 9 * DAY) == ()
    with pytest.raises(NewsletterError, match=f"number {number} waits no more: it is cancelled, taken off the agenda"):
        agenda.cancel(house.engine, number)
    with pytest.raises(NewsletterError, match="nothing on the agenda has the number 99"):
        agenda.cancel(house.engine, 99)


def test_a_line_is_marked_by_one_of_two(house: House) -> None:
    number, _ = agenda.add(house.engine, planned())
    assert agenda.mark(house.engine, number, "done")
    assert not agenda.mark(house.engine, number, "refused", "too late")
    assert [one.state for one in agenda.listed(house.engine)] == ["done"]


def test_what_has_changed_or_was_missed_is_stale() -> None:
    one = planned()
    assert one.stale(DIGEST, one.at, DAY) is None
    assert one.stale(DIGEST, one.at + DAY, DAY) is None
    assert "has changed since" in (one.stale("cd" * 32, one.at, DAY) or "")
    assert "passed more than 24h ago" in (one.stale(DIGEST, one.at + DAY + HOUR, DAY) or "")
    assert "more than 90m ago" in (one.stale(DIGEST, one.at + 2 * HOUR, dt.timedelta(minutes=90)) or "")


def test_readers_own_time_begins_where_the_day_begins_first() -> None:
    at = dt.datetime(2016, 4, 22, 20, tzinfo=dt.UTC)  # 16:00 in New York
    one = planned(at=at, by_reader=True, made_at=NOON - DAY)
    assert one.begins == at - 18 * HOUR  # 16:00 on Kiritimati
    assert one.ends == dt.datetime(2016, 4, 23, 4, tzinfo=dt.UTC)  # 16:00 in the last zone of all
    assert planned(at=at, by_reader=True).begins == NOON  # when it was put there, since that is over
    assert (planned(at=at).begins, planned(at=at).ends) == (at, at)


def test_old_lines_are_forgotten_and_waiting_ones_are_not(house: House) -> None:
    done, _ = agenda.add(house.engine, planned(issue="old"))
    agenda.mark(house.engine, done, "done")
    agenda.add(house.engine, planned(issue="waiting"))
    assert agenda.forget(house.engine, NOON) == 0
    assert agenda.forget(house.engine, NOON + 2 * DAY) == 1
    assert [one.issue for one in agenda.listed(house.engine)] == ["waiting"]
