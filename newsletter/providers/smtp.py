"""SMTP: one message a reader, over connections that are kept, to a server that takes our mail."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from newsletter.config import SecretReference, Settings, resolve_secret
from newsletter.errors import TryLaterError
from newsletter.providers.base import Envelope, Guard, MessageCarrier, Outcome, ProviderStoppedError, Receipt
from newsletter.providers.dkim import DkimSettings, DnsName, open_signer
from newsletter.providers.http import is_loopback
from newsletter.providers.smtp_connection import Account, Connection, Lost, Reply, Unreachable
from newsletter.providers.terms import Terms
from newsletter.source import Line, refused

RECONNECT_AFTER = 30.0  # seconds to leave a server alone that could not be reached, or has enough of us

_PORTS = {"none": 25, "starttls": 587, "tls": 465}
_ADDRESS = re.compile(r"[^\s<>\x00-\x20\x7f-\x9f]+@[^\s<>@\x00-\x20\x7f-\x9f]+")
_NOT_ALLOWED = frozenset({530, 534, 535, 538})  # log in, or use TLS, first (RFC 4954, RFC 3207)
_TOO_LARGE = 552  # the one refusal at MAIL that is about this message (RFC 1870)
_GOING = 421  # the server closes the connection, whatever was asked (RFC 5321, 3.8)
_LAST_WORDS = 2.0  # seconds that all connections together get for their answer to QUIT


class SmtpSettings(Terms):
    """`provider: {name: smtp, host: mail.example.org, username: u, password: env:SMTP_PASSWORD}`; times in seconds.

    `domains` says how many messages a second a recipient's domain gets at most.
    """

    name: Literal["smtp"]
    connections: Annotated[int, Field(ge=1, le=64)] = 2  # more at once, and many servers of strangers hang up
    domains: dict[DnsName, Annotated[float, Field(gt=0, le=1_000_000)]] = Field(default_factory=dict)
    dkim: tuple[DkimSettings, ...] = ()
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
    then to the reply it is unknown, for at most one reader a connection. Each call takes an idle connection or opens
    one, and gives it back: there are as many as calls were ever under way at once.
    """

    name = "smtp"
    guard = Guard.NONE
    chunk_size = 50
    settings: ClassVar[type[Settings]] = SmtpSettings

    def __init__(self, account: Account, final_timeout: float = 600.0) -> None:
        self._account = account
        self._final_timeout = final_timeout
        self._idle: list[Connection] = []  # the one used last at its end; append and pop are whole steps for a thread
        self._reader_taken = False  # whether the server has taken any reader of ours; never goes back to False

    @classmethod
    def open(cls, settings: Any, root: Path) -> Smtp:
        """Make the carrier; its secrets are read now, so that a missing one stops a send before it starts."""
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
        made = cls(account, settings.final_timeout)
        made.connections, made.rate, made.domains = settings.connections, settings.rate, settings.domains
        made.signer = open_signer(settings.dkim, root)
        return made

    @property
    def host(self) -> str:
        """The server's name or address."""
        return self._account.host

    def describe(self) -> str:
        """Name the server."""
        return f"smtp {self._account.host}:{self._account.port}"

    def probe(self) -> str:
        """Connect and log in; the connection is kept for a message. Raises ProviderStoppedError and TryLaterError."""
        try:
            self._idle.append(self._opened())
        except Unreachable as error:
            raise TryLaterError(str(error)) from None
        return "it lets us in"

    def deliver(self, envelope: Envelope) -> Receipt:
        """Send one message. Raises ProviderStoppedError when the server refuses us, whoever the reader is."""
        try:
            return self._attempt(envelope, self._taken())
        except Unreachable as error:
            return Receipt(Outcome.DEFERRED, str(error), retry_after=RECONNECT_AFTER)

    def close(self) -> None:
        """Take leave of the server on every connection; none of them is waited for longer than the others."""
        leaving, self._idle = self._idle, []
        for connection in leaving:
            connection.quit()
        last_words = time.monotonic() + _LAST_WORDS
        for connection in leaving:
            connection.close(wait=last_words - time.monotonic())

    def _taken(self) -> Connection:
        """Take the connection that was used last, or open one when all are in use."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._opened()

    def _opened(self) -> Connection:
        from newsletter.providers.smtp_opening import connect  # noqa: PLC0415 - ssl is slow to import

        return connect(self._account)

    def _attempt(self, envelope: Envelope, connection: Connection) -> Receipt:
        """Hand one message over, once; or begin again if the connection had died since the message before."""
        try:
            receipt = self._transact(envelope, connection)
        except BaseException:  # whatever it is, what is under way on this connection is not known any more
            connection.close()
            raise
        if receipt is None:
            return self._attempt(envelope, self._opened())
        if connection.open:
            self._idle.append(connection)
        return receipt

    def _transact(self, envelope: Envelope, connection: Connection) -> Receipt | None:
        """Go through one transaction; None when the server had hung up before it, so that nothing was asked for."""
        try:
            commands = _commands(connection, envelope)
        except ValueError as error:
            return Receipt(Outcome.REJECTED, str(error))
        used, connection.used = connection.used, True
        replies: list[Reply] = []
        try:
            _begin(connection, commands, replies)
            if not _invited(replies):
                _leave(connection, replies)
            else:
                self._reader_taken = True
                connection.write(_ended(envelope))
        except Lost as lost:
            connection.close()
            if used and _idle_too_long(replies):
                return None
            return self._judge(replies) or Receipt(Outcome.DEFERRED, str(lost), retry_after=RECONNECT_AFTER)
        return self._judge(replies) or self._finish(connection)

    def _finish(self, connection: Connection) -> Receipt:
        """Read the reply that says whether the server took the message upon itself."""
        try:
            reply = connection.read(self._final_timeout)
        except Lost as lost:
            connection.close()
            return Receipt(Outcome.UNKNOWN, f"no reply to the message: {lost}")
        if reply.positive:
            return Receipt(Outcome.ACCEPTED, str(reply))
        if reply.code == _GOING or reply.code < 400:
            connection.close()
        if reply.code < 400:
            return Receipt(Outcome.UNKNOWN, f"no clear reply to the message: {reply}")
        return _put_off(reply) if reply.code < 500 else Receipt(Outcome.REJECTED, str(reply))

    def _judge(self, replies: list[Reply]) -> Receipt | None:
        """Say what the first refusal of a transaction means; None when nothing was refused."""
        stage, reply = next(((n, reply) for n, reply in enumerate(replies) if reply.code >= 400), (0, None))
        if reply is None:
            return None
        if reply.code < 500:
            return _put_off(reply, about_us=stage == 0)
        if (stage == 0 and reply.code != _TOO_LARGE) or reply.code in _NOT_ALLOWED:
            raise ProviderStoppedError(f"{self.describe()} refuses our mail: {reply}")
        if stage == 1 and not self._reader_taken and b"relay" in reply.said.lower():
            raise ProviderStoppedError(f"{self.describe()} does not pass mail on for us: {reply}")
        return Receipt(Outcome.REJECTED, str(reply))


def _put_off(reply: Reply, *, about_us: bool = False) -> Receipt:
    """Defer a message; the server is left alone for a while when it has said nothing of the reader or the message."""
    alone = about_us or reply.code == _GOING
    return Receipt(Outcome.DEFERRED, str(reply), retry_after=RECONNECT_AFTER if alone else None)


def _leave(connection: Connection, replies: list[Reply]) -> None:
    """Leave a refused transaction so that the next one starts clean. Raises Lost when only a new one can."""
    last = replies[-1]
    if last.code == _GOING:
        raise Lost(str(last))
    if last.code == 354:
        connection.write(b".\r\n")  # RFC 2920, 3.1: DATA was taken though every reader was refused
    elif last.code < 400:
        raise Lost(f"the server is out of step: {last}")
    else:
        connection.write(b"RSET\r\n")
    connection.read()


def _invited(replies: list[Reply]) -> bool:
    """Say whether the server took MAIL and RCPT and now waits for the message."""
    return len(replies) == 3 and replies[0].positive and replies[1].positive and replies[2].code == 354


def _idle_too_long(replies: list[Reply]) -> bool:
    """Say whether a connection that was used before ended between two messages: in silence, or with a 421 for MAIL.

    Nothing of the message was asked for then, so beginning again on a new connection costs nothing.
    """
    return not replies or (len(replies) == 1 and replies[0].code in (250, _GOING))


def _begin(connection: Connection, commands: tuple[bytes, bytes, bytes], replies: list[Reply]) -> None:
    """Send MAIL, RCPT and DATA, in one write where the server allows it (RFC 2920), and collect the replies."""
    if connection.pipelining:
        connection.write(b"".join(commands))
    for command in commands:
        if not connection.pipelining:
            connection.write(command)
        reply = connection.read()
        replies.append(reply)
        if reply.code == _GOING or (reply.code >= 400 and not connection.pipelining):
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


def _ended(envelope: Envelope) -> bytes:
    """Put the end of data behind a message, in which a line that is only a dot would end it early (RFC 5321, 4.5.2).

    From the end, the look for lines with a dot takes a quarter of the time of `in`, which stops at every dot and n.
    """
    data = envelope.data
    if not envelope.dotless and (data.startswith(b".") or data.rfind(b"\r\n.") >= 0):
        data = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in data.split(b"\r\n"))
    return data + (b".\r\n" if data.endswith(b"\r\n") else b"\r\n.\r\n")
