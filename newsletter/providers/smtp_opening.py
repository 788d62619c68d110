"""Opens an SMTP connection by the standard library: greeting, TLS and log-in, each failure told apart."""

from __future__ import annotations

import smtplib
import ssl

from newsletter.config import SETTINGS_FILE
from newsletter.providers.base import ProviderStoppedError, one_line
from newsletter.providers.smtp_connection import Account, Connection, Unreachable, reason


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
            return _handed_on(client, account)
        except BaseException:
            client.close()
            raise
    except UnicodeError:
        raise ProviderStoppedError(f"{where}: this cannot be the name of a host") from None
    except OSError as error:  # SMTPException and SSLError are of this family too
        raise _explained(error, where) from None


def _handed_on(client: smtplib.SMTP, account: Account) -> Connection:
    """Take the socket out of the library's hands; what the server said before it was asked is thrown away."""
    assert client.sock is not None  # noqa: S101 - it has just greeted
    if client.file is not None:
        client.file.close()
    return Connection(client.sock, client.esmtp_features, account.timeout)


def _explained(error: OSError, where: str) -> Exception:
    """Tell what may work later from what somebody must mend."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ProviderStoppedError(f"{where}: its certificate is not valid: {one_line(error.verify_message)}")
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        hint = f"it does not speak TLS from the start; 'security: starttls' may be right ({error.reason})"
        return ProviderStoppedError(f"{where}: {hint}")
    if isinstance(error, smtplib.SMTPResponseException):
        said = f"{where}: {error.smtp_code} {one_line(error.smtp_error)}"
        return Unreachable(said) if error.smtp_code < 500 else ProviderStoppedError(said)
    if isinstance(error, smtplib.SMTPServerDisconnected) and "timed out" not in str(error):
        return Unreachable(f"{where}: the server closed the connection")
    return Unreachable(f"{where}: {reason(error)}")


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
        raise ProviderStoppedError(f"{account.ca}: no certificates can be read from it: {reason(error)}") from None


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
