"""One SMTP connection that is open: a group of commands out, replies in, over its socket."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from newsletter.providers.base import one_line

Security = Literal["none", "starttls", "tls"]

_ACKNOWLEDGE: int | None = getattr(socket, "TCP_QUICKACK", None)
_LONGEST_LINE = 8192  # bytes of one line of a reply; RFC 5321 asks for 512, real servers write more
_MOST_LINES = 100
_TIMED_OUT = (TimeoutError, BlockingIOError)  # as Python says it, and as Linux does
_FAREWELL = 2.0  # seconds that QUIT may take to leave


class Lost(Exception):  # noqa: N818 - not an error: what became of the message depends on the moment
    """The connection is gone, or the server said nothing that can be understood."""


class Silent(Lost):
    """The server is there, and said nothing in time."""


class Unreachable(Exception):  # noqa: N818 - the same
    """No connection can be had now; nothing is wrong with the settings."""


class Reply(NamedTuple):
    """What a server replied, as it stood there. A tuple, because every message has four of them."""

    code: int
    said: bytes

    @property
    def positive(self) -> bool:
        """Say whether the command was done."""
        return 200 <= self.code < 300

    def __str__(self) -> str:
        return one_line(b"%d %b" % self)


@dataclass(frozen=True)
class Account:
    """Where to connect and as whom. Times are in seconds."""

    host: str
    port: int
    security: Security
    username: str | None = None
    password: str | None = None
    hello: str | None = None
    ca: Path | None = None
    timeout: float = 60.0

    def __repr__(self) -> str:
        return f"Account({self.host}:{self.port})"


class Connection:
    """A connection that is logged in and ready for messages; `features` are what EHLO named, in lower case."""

    def __init__(self, opened: socket.socket, features: Container[str], timeout: float) -> None:
        self._socket = opened
        self._unread = b""  # what the server has said beyond the line that was read last
        self._timeout = timeout
        self.open = True
        self.begun = 0.0  # when the commands of the next transaction left (monotonic), whose replies are unread; 0: no
        self.used = False  # whether a transaction was begun: an idle server may have hung up since
        self.pipelining = "pipelining" in features
        self.size = "size" in features
        self.eightbit = "8bitmime" in features
        self.utf8 = "smtputf8" in features
        # Without this, the last piece of a message waits for the acknowledgement of the one before: 40 ms a reader.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wait(timeout)

    def write(self, *parts: bytes, more: bytes = b"") -> None:
        """Send bytes; when this raises Lost, the last of them never left.

        `more` goes with them, in the same packet where that can be. Whether it has left the replies will tell.
        """
        data, sent = b"".join((*parts, more)), 0
        needed = len(data) - len(more)
        until = time.monotonic() + self._timeout
        try:
            while sent < len(data):
                if time.monotonic() > until:
                    raise TimeoutError
                sent += self._socket.send(memoryview(data)[sent:])
        except OSError as error:
            if sent < needed:
                raise Lost(reason(error)) from None

    def acknowledge(self) -> None:
        """Tell the server at once that we have what it said, unless there is more of that to read.

        Nagle's algorithm keeps back its next small packet until then, and our side takes 40 ms (Linux, tcp(7)).
        """
        if _ACKNOWLEDGE is not None and not self._unread:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _ACKNOWLEDGE, 1)

    def read(self, patience: float | None = None) -> Reply:
        """Read one reply, of one line or several (RFC 5321, 4.2.1). Raises Lost.

        `patience` is how many seconds each piece of it may take, where that is not the connection's timeout.
        """
        said = b""
        for _ in range(_MOST_LINES):
            line = self._line(self._timeout if patience is None else patience)
            code, mark = line[:3], line[3:4]
            if not code.isdigit() or not 200 <= int(code) < 600 or mark not in (b" ", b"-", b"\r", b"\n"):
                raise Lost(f"no SMTP reply: {one_line(line, 60)}")
            said += line[4:]
            if mark != b"-":
                return Reply(int(code), said)
        raise Lost("an endless reply")

    def _line(self, patience: float) -> bytes:
        while (end := self._unread.find(b"\n", 0, _LONGEST_LINE)) < 0:
            if len(self._unread) >= _LONGEST_LINE:
                raise Lost("an endless reply")
            self._unread += self._received(patience)
        line, self._unread = self._unread[: end + 1], self._unread[end + 1 :]
        return line

    def _received(self, patience: float) -> bytes:
        """Wait for more. The socket's own timeout, which costs a system call, is changed only where it has to be."""
        try:
            try:
                received = self._socket.recv(_LONGEST_LINE) if patience >= self._timeout else self._within(patience)
            except _TIMED_OUT:
                if patience <= self._timeout:
                    raise
                received = self._within(patience - self._timeout)
        except _TIMED_OUT as error:
            raise Silent(reason(error)) from None
        except OSError as error:
            raise Lost(reason(error)) from None
        if not received:
            raise Lost("the server closed the connection")
        return received

    def _within(self, seconds: float) -> bytes:
        self._wait(seconds)
        received = self._socket.recv(_LONGEST_LINE)
        self._wait(self._timeout)
        return received

    def _wait(self, seconds: float) -> None:
        """Set how long the socket waits for one piece, in or out.

        With its own timeout Python asks the system before each piece whether there is any, which doubles the calls that
        a message takes. Linux can be told (socket(7)); not where TLS stands in between.
        """
        seconds = max(0.001, seconds)  # zero would be for ever
        self._socket.settimeout(seconds)
        if sys.platform != "linux" or type(self._socket) is not socket.socket:
            return
        limit = struct.pack("@ll", *divmod(round(seconds * 1_000_000), 1_000_000))
        with contextlib.suppress(OSError):  # a system whose numbers have another size keeps Python's way
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            self._socket.settimeout(None)

    def quit(self) -> None:
        """Take leave of the server; nothing is under way. Never raises."""
        with contextlib.suppress(OSError, Lost):
            self._timeout = min(self._timeout, _FAREWELL)
            self._wait(self._timeout)
            self.write(b"QUIT\r\n")

    def close(self, wait: float = 0.0) -> None:
        """Hang up, after waiting so many seconds for a last word. Never raises."""
        self.open, self.begun = False, 0.0
        with contextlib.suppress(OSError, Lost):
            if wait > 0:
                self.read(wait)
        with contextlib.suppress(OSError):
            self._socket.close()


def reason(error: OSError) -> str:
    """Say in a few words why a connection failed."""
    if isinstance(error, _TIMED_OUT) or "timed out" in str(error):  # smtplib tells of it as a disconnection
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return f"there is no such host ({error.strerror})"
    return one_line(error.strerror or str(error))
