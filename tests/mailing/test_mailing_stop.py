"""Stopping on purpose: between two messages, in a wait, from another thread."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from mailing_carriers import ACCEPTED, Messages
from mailing_house import House

from newsletter.errors import StoppedError
from newsletter.mailing import dispatch
from newsletter.mailing.stop import stop_on_signals
from newsletter.providers.base import Receipt


def test_the_second_signal_is_not_waited_for_and_the_old_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("hangups_heard")
def test_a_closed_terminal_stops_the_run_between_two_messages(house: House) -> None:
    house.enrol(range(1, 11))

    def hang_up(reader: int) -> Receipt:
        if reader == 4:
            os.kill(os.getpid(), signal.SIGHUP)
        return ACCEPTED

    with pytest.raises(StoppedError, match="stopped as asked"):
        dispatch.send(house.order(Messages(hang_up)), clock=house.clock)
    assert house.counts() == {"accepted": 4, "pending": 6}


def test_what_nohup_started_outlives_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_signals_are_left_alone(house: House) -> None:
    house.enrol(range(1, 3))
    carrier = Messages()
    thread = threading.Thread(target=lambda: dispatch.send(house.order(carrier), clock=house.clock))
    thread.start()
    thread.join()
    assert carrier.readers == [1, 2]


def test_a_stop_ends_a_wait(house: House) -> None:
    house.enrol(range(1, 3))
    house.clock.sleep = lambda _: os.kill(os.getpid(), signal.SIGINT)  # type: ignore[method-assign]
    put_off = Messages(lambda _: Receipt(dispatch.Outcome.DEFERRED, "later", retry_after=100))
    with pytest.raises(StoppedError, match="stopped as asked"):
        dispatch.send(house.order(put_off), clock=house.clock, sleep=house.clock.sleep, chance=house.clock.chance)
    assert house.counts() == {"pending": 2}
