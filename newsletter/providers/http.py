"""The one door to the web for carriers: one request, no retry inside, and an outcome for all that a network may do."""

from __future__ import annotations

import datetime as dt
import email.utils
import hashlib
import ipaddress
import itertools
import json
import operator
import re
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator

from newsletter import __version__
from newsletter.providers.base import Outcome, ProviderStoppedError, Receipt, one_line
from newsletter.source import refused

if TYPE_CHECKING:
    import requests

LONGEST_WAIT = 3600.0  # seconds; a longer Retry-After is cut to this, so that a typo of a server costs an hour at most
MAX_ANSWER = 4 * 1024 * 1024  # bytes read of one answer
_IDLE = 3.0  # seconds; servers drop idle connections, and a POST lost that way would count as unknown

# What a status says by itself (house rules for every carrier with an HTTP interface).
_STOPS = frozenset({401, 402, 403, 404, 405, 407, 410, 411, 415})
_WAITS = frozenset({420, 429})
_REFUSES = frozenset({400, 422})
_NEVER_TALKED = frozenset(
    {"WRONG_VERSION_NUMBER", "UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "SSLV3_ALERT_HANDSHAKE_FAILURE"}
)


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine, so that what is sent to it crosses no network."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _base_url(value: str) -> str:
    parts = urllib.parse.urlsplit(value)
    beyond = parts.query or parts.fragment or "@" in parts.netloc  # a name or a key before the host would be printed
    if parts.scheme not in ("http", "https") or not parts.hostname or beyond:
        raise refused("this is not a base address; write it like https://api.example.org")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise refused("the key would travel unprotected; write an address that starts with https://")
    return value.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base_url)]


@dataclass(frozen=True)
class Request:
    """A request, complete but for the key: the same for the same batch, byte for byte."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What a server answered. Names of headers are in lower case; `complete` is False when the body broke off."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True

    def json(self) -> Any:
        """Return what the body says in JSON, or None when it is not JSON or broke off."""
        try:
            return json.loads(self.body) if self.complete else None
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True)
class NoAnswer:
    """Nothing was answered: DEFERRED when the request surely never left, else UNKNOWN."""

    outcome: Outcome
    detail: str


class _Line(threading.local):
    """One thread's connection."""

    session: requests.Session | None = None
    last_used = 0.0


class Web:
    """Sends requests, one at a time in each thread. `auth` is a name and a key, `secret_headers` are for carriers that
    take the key in a header of their own; neither shows in any message.

    The environment's proxies, certificates and .netrc are not looked at (`trust_env=False`): what a send does is in the
    settings alone, and it doubles the rate of small requests.
    """

    def __init__(
        self,
        auth: tuple[str, str] | None = None,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        *,
        secret_headers: Mapping[str, str] | None = None,
    ) -> None:
        self._auth = auth
        self._secret_headers = {name: value.encode() for name, value in (secret_headers or {}).items()}
        self._timeouts = (connect_timeout, read_timeout)
        self._line = _Line()
        self._sessions: list[requests.Session] = []

    def __repr__(self) -> str:
        return "Web()"

    def ask(self, request: Request) -> Answer | NoAnswer:
        """Send a request once and read the answer. Redirects are answers, never followed.

        Raises ProviderStoppedError when the server is not who it says it is.
        """
        import requests  # noqa: PLC0415 - costs more than a whole command that sends nothing

        try:
            with self._opened().request(
                request.method,
                request.url,
                data=request.body or None,
                headers={
                    "User-Agent": f"country-newsletter/{__version__}",
                    **request.headers,
                    **self._secret_headers,
                },
                auth=self._auth and requests.auth.HTTPBasicAuth(*(part.encode() for part in self._auth)),
                timeout=self._timeouts,
                allow_redirects=False,
                stream=True,
            ) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                body, complete = self._read(response)
                return Answer(response.status_code, headers, body, complete)
        except requests.RequestException as error:
            return _no_answer(error)
        finally:
            self._line.last_used = time.monotonic()

    def close(self) -> None:
        """Let go of all threads' connections; no request is under way."""
        while self._sessions:
            self._sessions.pop().close()
        self._line = _Line()

    def _opened(self) -> requests.Session:
        import requests  # noqa: PLC0415

        line = self._line
        if line.session is not None and time.monotonic() - line.last_used > _IDLE:
            line.session.close()
            self._sessions.remove(line.session)
            line.session = None
        if line.session is None:
            line.session = requests.Session()
            line.session.trust_env = False
            self._sessions.append(line.session)
        return line.session

    def _read(self, response: requests.Response) -> tuple[bytes, bool]:
        import requests  # noqa: PLC0415

        body = bytearray()
        deadline = time.monotonic() + self._timeouts[1]
        try:
            for part in response.iter_content(65536):
                body += part
                if len(body) > MAX_ANSWER or time.monotonic() > deadline:
                    return bytes(body[:MAX_ANSWER]), False
        except requests.RequestException:
            return bytes(body), False
        return bytes(body), True


def settled(answer: Answer | NoAnswer, provider: str, now: dt.datetime) -> Receipt | Answer:
    """Judge what needs no look into the body; a complete 2xx is handed back, for there the body decides.

    400 and 422 refuse the batch, for the sake of one address or more, and 413 because of its size: both are `split`.
    Raises ProviderStoppedError for an answer that concerns our account or settings.
    """
    if isinstance(answer, NoAnswer):
        return Receipt(answer.outcome, answer.detail)
    said = one_line(f"{provider} answered {answer.status}: {one_line(answer.body)}")
    wait = retry_after(answer.headers.get("retry-after"), now)
    if answer.status in _STOPS:
        raise ProviderStoppedError(f"{said} (check the provider's key, name and base_url in newsletter.yaml)")
    if 300 <= answer.status < 400:
        raise ProviderStoppedError(f"{said} (base_url leads elsewhere; write the final address)")
    if answer.status in _WAITS:
        return Receipt(Outcome.DEFERRED, said, retry_after=wait)
    if answer.status in _REFUSES or answer.status == 413:
        return Receipt(Outcome.REJECTED, said, split=True)
    if not 200 <= answer.status < 300:
        return Receipt(Outcome.UNKNOWN, said, retry_after=wait)
    if not answer.complete:
        return Receipt(Outcome.UNKNOWN, f"{provider} answered {answer.status}, but the answer broke off")
    return answer


def too_large(request: Request, limit: int | None) -> Receipt | None:
    """Answer for the carrier when a request has more bytes than it takes: nothing leaves, the batch is to be cut."""
    if limit is None or len(request.body) <= limit:
        return None
    return Receipt(Outcome.REJECTED, f"the request has {len(request.body)} bytes, {limit} are allowed", split=True)


def retry_after(value: str | None, now: dt.datetime) -> float | None:
    """Read a Retry-After header (RFC 9110, 10.2.3) as seconds from `now`, LONGEST_WAIT at most; None for nonsense."""
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text):
        return min(float(text), LONGEST_WAIT)
    try:
        moment = email.utils.parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        return min(max((moment - now).total_seconds(), 0.0), LONGEST_WAIT)
    except (ValueError, TypeError, OverflowError):
        return None


def multipart(fields: Iterable[tuple[str, str]]) -> tuple[str, bytes]:
    """Write fields as multipart/form-data (RFC 7578); return its Content-Type and body.

    The boundary follows from the fields, so that the same fields give the same bytes and none of them can contain it.
    """
    runs = [(name, [value for _, value in run]) for name, run in itertools.groupby(fields, operator.itemgetter(0))]
    content = hashlib.sha256()
    for name, values in runs:  # of the fields called "to" there are a thousand
        content.update("\0".join([name, *values, ""]).encode())
    boundary = content.hexdigest()[:48]
    parts = []
    for name, values in runs:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        parts.append((head + f"\r\n{head}".join(values) + "\r\n").encode())
    return f"multipart/form-data; boundary={boundary}", b"".join([*parts, f"--{boundary}--\r\n".encode()])


def _no_answer(error: requests.RequestException) -> NoAnswer:
    import requests  # noqa: PLC0415
    from urllib3.exceptions import NewConnectionError  # noqa: PLC0415

    causes = tuple(_causes(error))
    certificate = next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if certificate is not None:
        raise ProviderStoppedError(f"the provider's certificate is not valid: {one_line(certificate.verify_message)}")
    if any(isinstance(cause, ssl.SSLError) and cause.reason in _NEVER_TALKED for cause in causes):
        raise ProviderStoppedError("the provider does not speak TLS at this base_url; check it in newsletter.yaml")
    if isinstance(error, requests.ConnectTimeout) or any(isinstance(cause, NewConnectionError) for cause in causes):
        return NoAnswer(Outcome.DEFERRED, "the provider cannot be reached")
    if isinstance(error, requests.Timeout):
        return NoAnswer(Outcome.UNKNOWN, "the provider did not answer in time")
    return NoAnswer(Outcome.UNKNOWN, "the connection broke before the provider's answer")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk down to what really happened: requests and urllib3 wrap it in arguments, reasons and contexts."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop()
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]
