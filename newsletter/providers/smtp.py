"""SMTP: one message a reader, over connections that are kept, to a server that takes our mail."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from newsletter.config import SecretReference, Settings, resolve_secret
from newsletter.errors import TryLaterError
from newsletter.providers.base import Envelope, Guard, MessageCarrier, Outcome, ProviderStoppedError, Receipt
from newsletter.providers.dkim import DkimSettings, DnsName, open_signer
from newsletter.providers.http import is_loopback
from newsletter.providers.smtp_connection import Account, Connection, Lost, Reply, Silent, Unreachable
from newsletter.providers.smtp_transaction import (
    GOING,
    Doubtful,
    Groups,
    begin,
    commands,
    hand_over,
    has_refused,
    idle_too_long,
    invited,
    leave,
)
from newsletter.providers.terms import Terms
from newsletter.source import Line, refused

BEGUN_FOR = 5.0  # seconds that a server is believed to wait for a message; nothing of it has left before
RECONNECT_AFTER = 30.0  # seconds to leave a server alone that could not be reached, or has enough of us

_PORTS = {"none": 25, "starttls": 587, "tls": 465}
_NOT_ALLOWED = frozenset({530, 534, 535, 538})  # log in, or use TLS, first (RFC 4954, RFC 3207)
_TOO_LARGE = 552  # the one refusal at MAIL that is about this message (RFC 1870)
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
    then to the reply it is unknown, for at most one reader a connection. Each call takes the connection on which its
    message was begun, or an idle one, or opens one, and gives it back.
    """

    name = "smtp"
    guard = Guard.NONE
    chunk_size = 50
    settings: ClassVar[type[Settings]] = SmtpSettings

    def __init__(self, account: Account, final_timeout: float = 600.0) -> None:
        self._account = account
        self._final_timeout = final_timeout
        self._idle: list[Connection] = []  # the one used last at its end; append and pop are whole steps for a thread
        self._begun: dict[str, tuple[Envelope, Connection]] = {}  # messages whose commands have left, by their key
        self._groups = Groups()
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

    def deliver(self, envelope: Envelope, following: Envelope | None = None) -> Receipt:
        """Send one message. Raises ProviderStoppedError when the server refuses us, whoever the reader is.

        The commands of the following message leave in the same group (RFC 2920, 3.1), which saves a round trip for
        each. No byte of that message itself does: until then, nothing of it can be delivered.
        """
        try:
            return self._attempt(envelope, self._taken(envelope), following)
        except Unreachable as error:
            return Receipt(Outcome.DEFERRED, str(error), retry_after=RECONNECT_AFTER)

    def retract(self, envelope: Envelope) -> None:
        """Hang up where the server waits for a message that does not come: nothing takes back DATA."""
        self._hang_up(envelope.key)

    def close(self) -> None:
        """Take leave of the server on every connection; none of them is waited for longer than the others."""
        for key in list(self._begun):
            self._hang_up(key)
        leaving, self._idle = self._idle, []
        for connection in leaving:
            connection.quit()
        last_words = time.monotonic() + _LAST_WORDS
        for connection in leaving:
            connection.close(wait=last_words - time.monotonic())

    def _taken(self, envelope: Envelope) -> Connection:
        """Take the connection on which a message was begun, else the one used last, or open one when all are in use."""
        named, connection = self._begun.pop(envelope.key, (None, None))
        if connection is not None:
            if named == envelope and time.monotonic() - connection.begun < BEGUN_FOR:
                return connection
            connection.close()
        try:
            return self._idle.pop()
        except IndexError:
            return self._opened()

    def _hang_up(self, key: str) -> None:
        _, connection = self._begun.pop(key, (None, None))
        if connection is not None:
            connection.close()

    def _opened(self) -> Connection:
        from newsletter.providers.smtp_opening import connect  # noqa: PLC0415 - ssl is slow to import

        return connect(self._account)

    def _attempt(self, envelope: Envelope, connection: Connection, following: Envelope | None) -> Receipt:
        """Hand one message over, once; or begin again if the connection had died since the message before."""
        try:
            receipt = self._transact(envelope, connection, following)
        except BaseException:  # whatever it is, what is under way on this connection is not known any more
            connection.close()
            raise
        if receipt is None:
            return self._attempt(envelope, self._opened(), following)
        if connection.begun and following is not None:
            self._hang_up(following.key)  # it was named twice
            self._begun[following.key] = following, connection
        elif connection.open:
            self._idle.append(connection)
        return receipt

    def _transact(self, envelope: Envelope, connection: Connection, following: Envelope | None) -> Receipt | None:
        """Go through one transaction; None when it is to be begun again, and nothing was delivered.

        So it is when the server had hung up before it, and when it was begun behind a message and came to no clear end.
        """
        try:
            group = () if connection.begun else commands(connection, envelope)
        except ValueError as error:
            return Receipt(Outcome.REJECTED, str(error))
        used, connection.used = connection.used, True
        replies: list[Reply] = []
        try:
            begin(connection, group, replies)
            if not invited(replies):
                leave(connection, replies)
            else:
                self._reader_taken = True
                if not group:
                    self._groups.borne()
                follows = following is not None and self._groups.may_follow(connection)
                hand_over(connection, envelope, following if follows else None)
        except Lost as lost:
            if not group and isinstance(lost, Silent | Doubtful):
                self._groups.refused()
            connection.close()
            if not group and (isinstance(lost, Doubtful) or not has_refused(replies)):
                return None
            if used and idle_too_long(replies):
                return None
            return self._judge(replies) or Receipt(Outcome.DEFERRED, str(lost), retry_after=RECONNECT_AFTER)
        return self._judge(replies) or self._finish(connection)

    def _finish(self, connection: Connection) -> Receipt:
        """Read the reply that says whether the server took the message upon itself."""
        try:
            reply = connection.read(self._final_timeout)
        except Lost as lost:
            if connection.begun:
                self._groups.refused()
            connection.close()
            return Receipt(Outcome.UNKNOWN, f"no reply to the message: {lost}")
        if connection.begun:
            connection.begun = time.monotonic()  # from now on the server waits for the next one
        if reply.positive:
            return Receipt(Outcome.ACCEPTED, str(reply))
        if reply.code == GOING or reply.code < 400:
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
    alone = about_us or reply.code == GOING
    return Receipt(Outcome.DEFERRED, str(reply), retry_after=RECONNECT_AFTER if alone else None)
