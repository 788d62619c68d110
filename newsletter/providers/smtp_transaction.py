"""One SMTP transaction over an open connection: its commands in a group, the message, and how to leave it."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Sequence

from newsletter.providers.base import Envelope
from newsletter.providers.smtp_connection import Connection, Lost, Reply

COMMANDS = 3  # of a transaction: MAIL, RCPT, DATA
GOING = 421  # the server closes the connection, whatever was asked (RFC 5321, 3.8)

_OUT_OF_ORDER = frozenset({500, 502, 503})  # RFC 5321, 4.2.2: not 501, which is about what stands in the command
_ADDRESS = re.compile(r"[^\s<>\x00-\x20\x7f-\x9f]+@[^\s<>@\x00-\x20\x7f-\x9f]+")


class Doubtful(Lost):
    """A group that came behind a message was refused, and that may be why."""


class Groups:
    """Whether a transaction may be begun behind the message before. One connection finds that out for all.

    A server that offers PIPELINING has to bear it (RFC 2920, 3.1), but what stands in between may not; and where the
    reply to the message before were lost by it, each connection that tried would cost a reader.
    """

    def __init__(self) -> None:
        self._borne: bool | None = None
        self._trial: Connection | None = None
        self._lock = threading.Lock()

    def may_follow(self, connection: Connection) -> bool:
        """Say whether to begin the next one on this connection; while it is not known, one may at a time."""
        if self._borne is not None:
            return self._borne
        with self._lock:
            if self._trial is not None and self._trial.begun:
                return False
            self._trial = connection
            connection.begun = time.monotonic()  # as it is about to be
            return True

    def borne(self) -> None:
        """Say that the server answered a group as it should."""
        self._borne = self._borne is not False

    def refused(self) -> None:
        """Say that the server may not bear it: from now on there are none."""
        self._borne = False


def commands(connection: Connection, envelope: Envelope) -> tuple[bytes, bytes, bytes]:
    """Write the commands of a transaction. Raises ValueError when this server cannot be asked for it."""
    for address in filter(None, (envelope.sender, envelope.recipient)):
        if not _ADDRESS.fullmatch(address):
            raise ValueError("the address cannot be written in SMTP")
    if not envelope.recipient:
        raise ValueError("there is no address")
    options = b""
    if connection.size:
        options += b" SIZE=%d" % len(envelope.data)
    if not envelope.data.isascii():
        if not connection.eightbit:
            raise ValueError("the server takes no message in 8 bits (8BITMIME)")
        options += b" BODY=8BITMIME"
    if not (envelope.sender + envelope.recipient).isascii():
        if not connection.utf8:
            raise ValueError("the server takes no address with other than ASCII letters (SMTPUTF8)")
        options += b" SMTPUTF8"
    mail = b"MAIL FROM:<%b>%b\r\n" % (envelope.sender.encode(), options)
    return mail, b"RCPT TO:<%b>\r\n" % envelope.recipient.encode(), b"DATA\r\n"


def begin(connection: Connection, group: Sequence[bytes], replies: list[Reply]) -> None:
    """Send MAIL, RCPT and DATA, in one write where the server allows it (RFC 2920), and collect the replies.

    Without a group it was sent behind the message before, and only the replies are left to be read. Raises Lost, and
    Doubtful when such a group is refused in a way that may be about how it came.
    """
    if not group:
        _collect(connection, replies)
        return
    if connection.pipelining:
        connection.write(*group)
    for command in group:
        if not connection.pipelining:
            connection.write(command)
        reply = connection.read()
        replies.append(reply)
        if reply.code == GOING or (reply.code >= 400 and not connection.pipelining):
            return


def _collect(connection: Connection, replies: list[Reply]) -> None:
    connection.acknowledge()
    try:
        while len(replies) < COMMANDS and not (replies and replies[-1].code == GOING):
            replies.append(connection.read())
    except Lost:
        if not _is_doubtful(replies):
            raise
    if _is_doubtful(replies):
        raise Doubtful(str(replies[0]))
    connection.begun = 0.0


def invited(replies: list[Reply]) -> bool:
    """Say whether the server took MAIL and RCPT and now waits for the message."""
    return len(replies) == COMMANDS and replies[0].positive and replies[1].positive and replies[2].code == 354


def hand_over(connection: Connection, envelope: Envelope, following: Envelope | None) -> None:
    """Send a message, and behind it the commands of the following one, if there is one and the server allows it.

    Raises Lost when the message has not left as a whole. Both leave together, because a server answers what comes
    together together: one that answered in two packets would have to wait with the second (see `acknowledge`).
    """
    more = b""
    if following is not None and connection.pipelining:
        with contextlib.suppress(ValueError):  # it cannot be asked for: that is said in its own turn
            more = b"".join(commands(connection, following))
    connection.begun = time.monotonic() if more else 0.0
    connection.write(*_ended(envelope), more=more)


def _ended(envelope: Envelope) -> tuple[bytes, bytes]:
    """Return a message and what ends it. In it, a line that is only a dot would end it early (RFC 5321, 4.5.2).

    From the end, the look for lines with a dot takes a quarter of the time of `in`, which stops at every dot and n.
    """
    data = envelope.data
    if not envelope.dotless and (data.startswith(b".") or data.rfind(b"\r\n.") >= 0):
        data = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in data.split(b"\r\n"))
    return data, b".\r\n" if data.endswith(b"\r\n") else b"\r\n.\r\n"


def has_refused(replies: Sequence[Reply]) -> bool:
    """Say whether the server refused a command, other than by taking its leave."""
    return any(reply.code >= 400 and reply.code != GOING for reply in replies)


def _is_doubtful(replies: Sequence[Reply]) -> bool:
    """Say whether the refusal of a group may be about how it came: behind a message.

    So it may where MAIL was refused, or the first refusal says that a command is unknown or out of order; not where the
    server takes its leave.
    """
    stage, code = next(((stage, one.code) for stage, one in enumerate(replies) if one.code >= 400), (0, 0))
    return code in _OUT_OF_ORDER or (code not in (0, GOING) and stage == 0)


def leave(connection: Connection, replies: list[Reply]) -> None:
    """Leave a refused transaction so that the next one starts clean. Raises Lost when only a new one can."""
    last = replies[-1]
    if last.code == GOING:
        raise Lost(str(last))
    if last.code == 354:
        connection.write(b".\r\n")  # RFC 2920, 3.1: DATA was taken though every reader was refused
    elif last.code < 400:
        raise Lost(f"the server is out of step: {last}")
    else:
        connection.write(b"RSET\r\n")
    connection.read()


def idle_too_long(replies: list[Reply]) -> bool:
    """Say whether a connection that was used before ended between two messages: in silence, or with a 421 for MAIL.

    Nothing of the message was asked for then, so beginning again on a new connection costs nothing.
    """
    return not replies or (len(replies) == 1 and replies[0].code in (250, GOING))
