"""Lets Ctrl-C, a polite kill and a closed terminal end a send between two messages: nothing is left unknown."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from newsletter.errors import StoppedError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class AskedToStopError(StoppedError):
    """A person at the keyboard, or the system, asked the run to stop."""

    def __init__(self) -> None:
        super().__init__("stopped as asked, between two messages; send again to go on")


class Stop:
    """Whether somebody has asked to stop. `outer` is that of whoever called us, and is asked with us."""

    def __init__(self, outer: Stop | None = None, heard: Callable[[], None] | None = None) -> None:
        self.asked: bool = outer is not None and outer.asked
        self._over = False
        self._outer = outer
        self._heard = heard

    def __call__(self) -> bool:
        """Say whether to stop now."""
        return self.asked or self._over

    def end(self) -> None:
        """Let all lanes of a run stop because one had to; nobody asked for it."""
        self._over = True

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Take a signal down; the second one is not waited for."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if self._outer is not None:
            self._outer.ask(number, frame)
        if self._heard is not None:
            self._heard()


@contextlib.contextmanager
def stop_on_signals(heard: Callable[[], None] | None = None) -> Iterator[Stop]:
    """Turn the signals into a question that the send asks between messages; elsewhere than in the main thread, none.

    `heard` is called at the first one, between any two steps of the program.
    """
    outer = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    stop = Stop(outer if isinstance(outer, Stop) else None, heard)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    wanted = [number for number in SIGNALS if not _is_for_nohup(number)]
    before = {number: signal.signal(number, stop.ask) for number in wanted}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_for_nohup(number: signal.Signals) -> bool:
    """Say whether a program that was started by nohup is to outlive its terminal."""
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN
