"""What people do to a mailing: rest, go on, end; and who did it."""

from __future__ import annotations

import pytest
from mailing_carriers import DEFERRED, Messages, always
from mailing_house import House

from newsletter.errors import NewsletterError, TryLaterError
from newsletter.mailing import control, dispatch
from newsletter.mailing.tables import mailing

NAME = "2016-04-22-weekly"


@pytest.fixture
def waiting(house: House) -> House:
    """A house with a mailing that its carrier put off."""
    house.enrol(range(1, 6))
    with pytest.raises(TryLaterError):
        dispatch.send(house.order(Messages(always(DEFERRED))), clock=house.clock, sleep=house.clock.sleep)
    return house


def state(house: House) -> tuple[str, str]:
    with house.engine.connect() as connection:
        one = connection.execute(mailing.select().where(mailing.c.name == NAME)).one()
    return one.state, one.reason


def test_a_mailing_rests_and_goes_on_and_both_names_are_kept(waiting: House) -> None:
    now = waiting.clock()
    assert control.pause(waiting.engine, NAME, "Ann Lee", now)
    assert state(waiting) == ("paused", "paused by Ann Lee")
    assert control.resume(waiting.engine, NAME, " Bob \n Ray ", now)
    assert state(waiting) == ("sending", "")
    told = [(act.by, act.what, act.at) for act in control.acts(waiting.engine, NAME)]
    assert told == [("Ann Lee", "paused", now), ("Bob Ray", "resumed", now)]


def test_doing_it_twice_changes_nothing(waiting: House) -> None:
    now = waiting.clock()
    for change in (control.pause, control.resume, control.pause, control.cancel):
        assert change(waiting.engine, NAME, "Ann Lee", now)
        assert not change(waiting.engine, NAME, "Bob Ray", now)
    assert state(waiting) == ("cancelled", "cancelled by Ann Lee")
    assert {act.by for act in control.acts(waiting.engine, NAME)} == {"Ann Lee"}


def test_a_cancelled_mailing_stays_so(waiting: House) -> None:
    now = waiting.clock()
    control.cancel(waiting.engine, NAME, "Ann Lee", now)
    for change in (control.pause, control.resume):
        with pytest.raises(NewsletterError, match=f"{NAME}: cancelled by Ann Lee, and that is for good"):
            change(waiting.engine, NAME, "Bob Ray", now)


def test_a_finished_mailing_cannot_be_changed_any_more(house: House) -> None:
    house.enrol(range(1, 3))
    dispatch.send(house.order(Messages()), clock=house.clock, sleep=house.clock.sleep)
    for change in (control.pause, control.resume, control.cancel):
        with pytest.raises(NewsletterError, match=f"{NAME}: finished on 2016-04-22"):
            change(house.engine, NAME, "Ann Lee", house.clock())
    assert control.acts(house.engine, NAME) == ()


def test_a_mailing_that_is_not_there_is_named(house: House) -> None:
    for change in (control.pause, control.resume, control.cancel):
        with pytest.raises(NewsletterError, match="there is no mailing 'other'; 'newsletter status' lists them all"):
            change(house.engine, "other", "Ann Lee", house.clock())


@pytest.mark.parametrize("by", ["", "  ", "\n", "?!", "Ann\x1b[0m", "a" * 201])
def test_a_name_stands_behind_every_act(waiting: House, by: str) -> None:
    with pytest.raises(NewsletterError, match="--by"):
        control.pause(waiting.engine, NAME, by, waiting.clock())
    assert state(waiting) == ("sending", "")
