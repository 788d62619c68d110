"""Kills a sender with SIGKILL at its n-th effect on the world, or does something else to it there.

An effect is what outlives the process: a transaction's commit, bytes on a socket, a write to a file, a file's change
of name. Between two of them a sender of one lane changes nothing outside itself, so being killed just before an effect
and just after the one before it leave the same world; a sweep over all effects, up to the run that lives to its end,
has then seen every state a SIGKILL can leave. Reading an answer is no effect either: to die with the answer read and
not yet noted is to die before the commit that notes it. (The thread that keeps a lease alive writes once a minute;
no run here takes so long.)

The doors are those of the standard library, opened anew in the forked child alone: they count, and then do what they
always do. Commits are told by SQLAlchemy.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Engine, event

from newsletter.errors import NewsletterError

LONGEST = 120  # seconds that a sender of a handful of readers may take; one that waits for ever is killed, and told
LIVED, STOPPED, LATER, CRASHED = 0, 1, 75, 99


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Fuse:
    """Counts effects, and acts before the one it is set to; 0 never comes.

    With `idle` it waits on for a moment at which its thread writes nothing to the database, for what writes there
    itself. Threads share it. `told` hears of every effect, with its name and the bytes that are about to go out.
    """

    def __init__(self, at: int, act: Callable[[], object] = die, *, idle: bool = False) -> None:
        self.left = at
        self.act, self.idle = act, idle
        self.told: Callable[[str, Any], None] = lambda *_: None
        self._lock = threading.RLock()

    def burn(self, effect: str, given: Any = None) -> None:
        with self._lock:
            self.left -= 1
            now = self.left == 0
            if now and self.idle and effect == "commit":
                self.left, now = 1, False
        if now:
            self.act()
        self.told(effect, given)

    def watch_commits(self, engine: Engine) -> None:
        event.listen(engine, "commit", lambda *_: self.burn("commit"))

    def watch_doors(self) -> None:
        """Count what leaves through sockets and files. There is no way back, so only a forked child may call this."""
        fuse = self

        class Counted(socket.socket):
            def sendall(self, data: Any, *arguments: Any) -> None:
                fuse.burn("send", data)
                super().sendall(data, *arguments)

            def send(self, data: Any, *arguments: Any) -> int:
                fuse.burn("send", data)
                half = super().send(data[: len(data) // 2], *arguments)  # the rest comes in a send of its own
                return half or super().send(data, *arguments)

        socket.socket = Counted  # type: ignore[misc]
        for name in ("write", "pwrite", "replace"):
            setattr(os, name, self._counted(name, getattr(os, name)))

    def _counted(self, name: str, door: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.burn(name, arguments[1])
            return door(*arguments, **named)

        return counted


def fork(work: Callable[[], object]) -> int:
    """Do something in a forked child, and nothing of what the tests themselves would do at their end; return its id."""
    child = os.fork()
    if child:
        return child
    code = CRASHED
    with _last_words():
        sys.settrace(None)  # coverage would be measured, and never written
        gc.disable()  # it would touch, and so copy, all that the parent has in memory
        signal.alarm(LONGEST)
        try:
            work()
            code = LIVED
        except NewsletterError as error:
            code = error.exit_code
    os._exit(code)


@contextlib.contextmanager
def _last_words() -> Iterator[None]:
    try:
        yield
    except BaseException:  # noqa: BLE001 - whatever it is, the parent's code must not run here
        traceback.print_exc()
        sys.stderr.flush()


def end_of(child: int) -> int | None:
    """Wait for a child; return how it ended, None when it was killed. Raises AssertionError when it crashed."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, f"the sender died of signal {os.WTERMSIG(status)}"
        return None
    assert os.WEXITSTATUS(status) != CRASHED, "the sender crashed; its own words stand in the captured output"
    return os.WEXITSTATUS(status)
