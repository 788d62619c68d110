"""SMTP: one message a reader over one connection that is kept, to a server that takes our mail."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from newsletter.config import SecretReference, Settings, resolve_secret
from newsletter.providers.base import Envelope, Guard, MessageCarrier, Outcome, ProviderStoppedError, Receipt
from newsletter.providers.http import is_loopback
from newsletter.source import Line, refused

if TYPE_CHECKING:
    from newsletter.providers.smtp_connection import Account, Connection, Reply

RECONNECT_AFTER = 30.0  # seconds to leave a server alone that could not be reached

_PORTS = {"none": 25, "starttls": 587, "tls": 465}
_ADDRESS = re.compile(r"[^\s<>\x00-\x20\x7f-\x9f]+@[^\s<>@\x00-\x20\x7f-\x9f]+")
_NOT_ALLOWED = frozenset({530, 534, 535, 538})  # log in, or use TLS, first (RFC 4954, RFC 3207)
_TOO_LARGE = 552  # the one refusal at MAIL that is about this message (RFC 1870)


class SmtpSettings(Settings):
    """`provider: {name: smtp, host: mail.example.org, username: u, password: env:SMTP_PASSWORD}`; times in seconds."""

    name: Literal["smtp"]
    host: Annotated[Line, Field(pattern=r"^[A-Za-z0-9._:-]+$")]
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    security: Literal["none", "starttls", "tls"] | None = None
    username: Line | None = None
    password: SecretReference | None = None
    hello: Annotated[Line, Field(pattern=r"^[A-Za-z0-9._:\[\]-]+$")] | None = None
    ca: Line | None = None
    timeout: Annotated[float, Field(gt=0, le=3600)] = 60.0
    final_timeout: Annotated[float, Field(gt=0, le=3600)] = 600.0  # RFC 5321, 4.5.3.2.6: ten minutes

    @property
    def protection(self) -> Literal["none", "starttls", "tls"]:
        """How the connection is protected: as written, else STARTTLS, and nothing on this machine itself."""
        return self.security or ("none" if is_loopback(self.host) else "starttls")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise refused("'username' and 'password' go together; write both or neither")
        if self.username is not None and self.protection == "none" and not is_loopback(self.host):
            raise refused("the password would travel unprotected; write 'security: starttls' or 'security: tls'")
        return self


class Smtp(MessageCarrier):
    """Sends each message in a transaction of its own; MAIL, RCPT and DATA are told apart.

    Until the last byte of a message has left, nothing was delivered (RFC 5321, 4.1.1.4), so a failure defers it. From
    then to the reply it is unknown, for at most one reader a connection. Not for use by two threads at once.
    """

    name = "smtp"
    guard = Guard.NONE
    chunk_size = 50
    settings: ClassVar[type[Settings]] = SmtpSettings

    def __init__(self, account: Account, final_timeout: float = 600.0) -> None:
        self._account = account
        self._final_timeout = final_timeout
        self._connection: Connection | None = None
        self._reader_taken = False  # whether the server has taken any reader of ours yet

    @classmethod
    def open(cls, settings: Any, root: Path) -> Smtp:
        """Make the carrier; the password is read now, so that a missing one stops a send before it starts."""
        from newsletter.providers.smtp_connection import Account  # noqa: PLC0415 - ssl is slow to import

        account = Account(
            host=settings.host,
            port=settings.port or _PORTS[settings.protection],
            security=settings.protection,
            username=settings.username,
            password=None if settings.password is None else resolve_secret(settings.password, root),
            hello=settings.hello,
            ca=None if settings.ca is None else root / settings.ca,
            timeout=settings.timeout,
        )
        return cls(account, settings.final_timeout)

    def describe(self) -> str:
        """Name the server."""
        return f"smtp {self._account.host}:{self._account.port}"

    def deliver(self, envelope: Envelope) -> Receipt:
        """Send one message. Raises ProviderStoppedError when the server refuses us, whoever the reader is."""
        from newsletter.providers.smtp_connection import Unreachable  # noqa: PLC0415

        try:
            return self._attempt(envelope)
        except Unreachable as error:
            return Receipt(Outcome.DEFERRED, str(error), retry_after=RECONNECT_AFTER)
        except BaseException:
            self._drop()  # whatever it is, what is under way on this connection is not known any more
            raise

    def close(self) -> None:
        """Take leave of the server."""
        if self._connection is not None:
            self._connection.close(quit_first=True)
            self._connection = None

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> Connection:
        from newsletter.providers.smtp_connection import connect  # noqa: PLC0415

        if self._connection is None:
            self._connection = connect(self._account)
        return self._connection

    def _attempt(self, envelope: Envelope) -> Receipt:
        """Hand one message over, once; or begin again if the connection had died since the message before."""
        from newsletter.providers.smtp_connection import Lost  # noqa: PLC0415

        connection = self._opened()
        used, connection.used = connection.used, True
        try:
            commands = _commands(connection, envelope)
        except ValueError as error:
            return Receipt(Outcome.REJECTED, str(error))
        replies: list[Reply] = []
        try:
            _begin(connection, commands, replies)
            if not _invited(replies):
                self._leave(connection, replies)
            else:
                self._reader_taken = True
                connection.write(_ended(envelope.data))
        except Lost as lost:
            self._drop()
            if used and _idle_too_long(replies):
                return self._attempt(envelope)
            return self._judge(replies) or Receipt(Outcome.DEFERRED, str(lost))
        return self._judge(replies) or self._finish(connection)

    def _finish(self, connection: Connection) -> Receipt:
        """Read the reply that says whether the server took the message upon itself."""
        from newsletter.providers.smtp_connection import Lost  # noqa: PLC0415

        try:
            connection.wait(self._final_timeout)
            reply = connection.read()
            connection.wait(connection.timeout)
        except Lost as lost:
            self._drop()
            return Receipt(Outcome.UNKNOWN, f"no reply to the message: {lost}")
        if reply.positive:
            return Receipt(Outcome.ACCEPTED, str(reply))
        if reply.code == 421 or reply.code < 400:
            self._drop()
        if reply.code < 400:
            return Receipt(Outcome.UNKNOWN, f"no clear reply to the message: {reply}")
        return Receipt(Outcome.DEFERRED if reply.code < 500 else Outcome.REJECTED, str(reply))

    def _leave(self, connection: Connection, replies: list[Reply]) -> None:
        """Leave a refused transaction so that the next one starts clean. Raises Lost when only a new one can."""
        from newsletter.providers.smtp_connection import Lost  # noqa: PLC0415

        last = replies[-1]
        if last.code == 421:
            raise Lost(str(last))
        if last.code == 354:
            connection.write(b".\r\n")  # RFC 2920, 3.1: DATA was taken though every reader was refused
        elif last.code < 400:
            raise Lost(f"the server is out of step: {last}")
        else:
            connection.write(b"RSET\r\n")
        connection.read()

    def _judge(self, replies: list[Reply]) -> Receipt | None:
        """Say what the first refusal of a transaction means; None when nothing was refused."""
        refusals = [(stage, reply) for stage, reply in enumerate(replies) if reply.code >= 400]
        if not refusals:
            return None
        stage, reply = refusals[0]
        if reply.code < 500:
            return Receipt(Outcome.DEFERRED, str(reply))
        if (stage == 0 and reply.code != _TOO_LARGE) or reply.code in _NOT_ALLOWED:
            raise ProviderStoppedError(f"{self.describe()} refuses our mail: {reply}")
        if stage == 1 and not self._reader_taken and "relay" in reply.text.lower():
            raise ProviderStoppedError(f"{self.describe()} does not pass mail on for us: {reply}")
        return Receipt(Outcome.REJECTED, str(reply))


def _invited(replies: list[Reply]) -> bool:
    """Say whether the server took MAIL and RCPT and now waits for the message."""
    return len(replies) == 3 and replies[0].positive and replies[1].positive and replies[2].code == 354


def _idle_too_long(replies: list[Reply]) -> bool:
    """Say whether a connection that was used before ended between two messages: in silence, or with a 421 for MAIL.

    Nothing of the message was asked for then, so beginning again on a new connection costs nothing.
    """
    return not replies or (len(replies) == 1 and replies[0].code in (250, 421))


def _begin(connection: Connection, commands: tuple[bytes, bytes, bytes], replies: list[Reply]) -> None:
    """Send MAIL, RCPT and DATA, in one write where the server allows it (RFC 2920), and collect the replies."""
    if connection.pipelining:
        connection.write(b"".join(commands))
    for command in commands:
        if not connection.pipelining:
            connection.write(command)
        reply = connection.read()
        replies.append(reply)
        if reply.code == 421 or (reply.code >= 400 and not connection.pipelining):
            return


def _commands(connection: Connection, envelope: Envelope) -> tuple[bytes, bytes, bytes]:
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


def _ended(data: bytes) -> bytes:
    """Put the end of data behind a message.

    No line of it starts with a dot (the contract says so); looking once more costs microseconds, and a line that does
    would end the message early (RFC 5321, 4.5.2).
    """
    if data.startswith(b".") or b"\r\n." in data:
        data = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in data.split(b"\r\n"))
    return data + (b".\r\n" if data.endswith(b"\r\n") else b"\r\n.\r\n")
