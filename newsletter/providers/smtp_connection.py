"""One SMTP connection: opened by the standard library, then driven over its socket a group of commands at a time."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from newsletter.config import SETTINGS_FILE
from newsletter.providers.base import ProviderStoppedError, one_line

Security = Literal["none", "starttls", "tls"]

_LONGEST_LINE = 8192  # bytes of one line of a reply; RFC 5321 asks for 512, real servers write more
_MOST_LINES = 100


class Lost(Exception):  # noqa: N818 - not an error: what became of the message depends on the moment
    """The connection is gone, or the server said nothing that can be understood."""


class Unreachable(Exception):  # noqa: N818 - the same
    """No connection can be had now; nothing is wrong with the settings."""


@dataclass(frozen=True)
class Reply:
    """What a server replied: its code and its text, made fit for a report."""

    code: int
    text: str

    @property
    def positive(self) -> bool:
        """Say whether the command was done."""
        return 200 <= self.code < 300

    def __str__(self) -> str:
        return one_line(f"{self.code} {self.text}")


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
    """A connection that is logged in and ready for messages."""

    def __init__(self, client: smtplib.SMTP, timeout: float) -> None:
        assert client.sock is not None  # noqa: S101 - connect() returned
        self._client = client
        self._socket: socket.socket = client.sock
        self._replies: BinaryIO = client.file or client.sock.makefile("rb")
        self.timeout = timeout
        self.used = False  # whether a transaction was begun: an idle server may have hung up since
        self.pipelining = client.has_extn("pipelining")
        self.size = client.has_extn("size")
        self.eightbit = client.has_extn("8bitmime")
        self.utf8 = client.has_extn("smtputf8")
        # Without this, the last piece of a message waits for the acknowledgement of the one before: 40 ms a reader.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def write(self, data: bytes) -> None:
        """Send bytes; when this raises Lost, the last of them never left."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise Lost(_reason(error)) from None

    def read(self) -> Reply:
        """Read one reply, of one line or several (RFC 5321, 4.2.1). Raises Lost."""
        texts = []
        for _ in range(_MOST_LINES):
            try:
                line = self._replies.readline(_LONGEST_LINE)
            except OSError as error:
                raise Lost(_reason(error)) from None
            if not line.endswith(b"\n"):
                raise Lost("the server closed the connection" if len(line) < _LONGEST_LINE else "an endless reply")
            code = line[:3]
            if not code.isdigit() or not 200 <= int(code) < 600 or line[3:4] not in (b" ", b"-", b"\r", b"\n"):
                raise Lost(f"no SMTP reply: {one_line(line, 60)}")
            texts.append(line[4:])
            if line[3:4] != b"-":
                return Reply(int(code), one_line(b" ".join(texts)))
        raise Lost("an endless reply")

    def wait(self, seconds: float) -> None:
        """Set how long the next replies may take."""
        self._socket.settimeout(seconds)

    def close(self, quit_first: bool = False) -> None:
        """Hang up; say QUIT before when nothing is under way. Never raises."""
        with contextlib.suppress(OSError, Lost):
            if quit_first:
                self.wait(2.0)
                self.write(b"QUIT\r\n")
                self.read()
        with contextlib.suppress(OSError):
            self._replies.close()
        self._client.close()


def connect(account: Account) -> Connection:
    """Connect, greet, switch to TLS and log in, as the account says.

    Raises Unreachable when it may work later, ProviderStoppedError when the settings or the account must change.
    """
    where = f"{account.host}:{account.port}"
    try:
        client = _client(account)
        try:
            _greet(client, account, where)
            if account.username is not None:
                _log_in(client, account, where)
            return Connection(client, account.timeout)
        except BaseException:
            client.close()
            raise
    except UnicodeError:
        raise ProviderStoppedError(f"{where}: this cannot be the name of a host") from None
    except OSError as error:  # SMTPException and SSLError are of this family too
        raise _explained(error, where) from None


def _explained(error: OSError, where: str) -> Exception:
    """Tell what may work later from what somebody must mend."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ProviderStoppedError(f"{where}: its certificate is not valid: {one_line(error.verify_message)}")
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        hint = f"it does not speak TLS from the start; 'security: starttls' may be right ({error.reason})"
        return ProviderStoppedError(f"{where}: {hint}")
    if isinstance(error, smtplib.SMTPResponseException):
        said = f"{where}: {Reply(error.smtp_code, one_line(error.smtp_error))}"
        return Unreachable(said) if error.smtp_code < 500 else ProviderStoppedError(said)
    return Unreachable(f"{where}: {_reason(error)}")


def _client(account: Account) -> smtplib.SMTP:
    # A name is given, because smtplib asks the domain name system for one otherwise, which may take seconds.
    hello = account.hello or "localhost"
    if account.security == "tls":
        return smtplib.SMTP_SSL(account.host, account.port, hello, timeout=account.timeout, context=_context(account))
    return smtplib.SMTP(account.host, account.port, hello, timeout=account.timeout)


def _context(account: Account) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=account.ca)
    except (OSError, ssl.SSLError) as error:
        raise ProviderStoppedError(f"{account.ca}: no certificates can be read from it: {_reason(error)}") from None


def _greet(client: smtplib.SMTP, account: Account, where: str) -> None:
    if account.hello is None and client.sock is not None:
        address = client.sock.getsockname()[0]
        client.local_hostname = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
    client.ehlo_or_helo_if_needed()
    if account.security != "starttls":
        return
    if not client.has_extn("starttls"):
        raise ProviderStoppedError(
            f"{where}: it does not offer STARTTLS, which {SETTINGS_FILE} asks for; nothing was sent"
        )
    client.starttls(context=_context(account))
    client.ehlo_or_helo_if_needed()


def _log_in(client: smtplib.SMTP, account: Account, where: str) -> None:
    try:
        client.login(account.username or "", account.password or "")
    except smtplib.SMTPNotSupportedError:
        raise ProviderStoppedError(f"{where}: it takes no log-in; delete username and password") from None
    except UnicodeEncodeError:
        raise ProviderStoppedError(f"{where}: username and password must be ASCII for this server") from None
    except smtplib.SMTPException as error:
        if type(error) is smtplib.SMTPException:  # its only name for "no way of theirs is ours"
            raise ProviderStoppedError(
                f"{where}: it offers no way of logging in with a password that we know"
            ) from None
        raise


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError) or "timed out" in str(error):  # smtplib tells of it as a disconnection
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return f"there is no such host ({error.strerror})"
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return "the server closed the connection"
    return one_line(getattr(error, "strerror", None) or str(error))
