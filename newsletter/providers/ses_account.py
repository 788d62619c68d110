"""What both ways of sending with Amazon SES share: settings, signed requests, and what an error says.

SES API v2 as its service model describes it (botocore 1.44.5, 2026).
"""

from __future__ import annotations

import datetime as dt
import re
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from newsletter.config import SecretReference, resolve_secret
from newsletter.errors import TryLaterError
from newsletter.providers import ses_feedback
from newsletter.providers.base import Outcome, Provider, ProviderStoppedError, Receipt, one_line
from newsletter.providers.feedback import Feedback, HookCall, Hooks
from newsletter.providers.http import (
    LONGEST_WAIT,
    Answer,
    BaseUrl,
    NoAnswer,
    Request,
    Web,
    retry_after,
    settled,
)
from newsletter.providers.sigv4 import Credentials, signed
from newsletter.providers.terms import ApiTerms

RATE_WAIT = 5.0  # seconds to be silent after "maximum sending rate exceeded"; the allowance refills every second
# Off in the account or not, each request says so itself (service model, 2026).
NO_TRACKING = {"Tracking": {"OpenTrackingEnabled": "DISABLED", "ClickTrackingEnabled": "DISABLED"}}

# Names of errors; several of those about the key may come as a 400 (vendor's page on common errors, 2026).
_LATER = re.compile("TooManyRequests|Throttling|LimitExceeded")
_STOPS = re.compile(
    "AccountSuspended|SendingPaused|MailFromDomainNotVerified|AccessDenied|NotAuthorized|Expired|Signature|ClientToken"
    "|UnrecognizedClient|AuthenticationToken|OptInRequired"
)
# What SES says of one reader's address ("Missing final '@domain'", "Local address contains control or whitespace",
# "Invalid domain name"), and of what is the same for every reader; a sandbox says "Email address is not verified" of
# readers too, and means us (vendor's page on sending errors, and issues of its clients, 2026).
_ADDRESS = re.compile(
    r"@domain|missing domain|(local|domain)( \S+)? (contains|starts|ends)|(illegal|invalid) .*(address|domain)"
    r"|blacklisted|address(es)? .*\bnot valid",
    re.IGNORECASE,
)
_OURS = re.compile(r"not verified|template|configuration|header|\btags?\b", re.IGNORECASE)


class SesTerms(ApiTerms):
    """`access_key` is the key's id, no secret; `key` and `session_token` name where its secrets are kept."""

    access_key: Annotated[str, Field(pattern=r"^[A-Z0-9]{16,128}$")]
    session_token: SecretReference | None = None
    region: Annotated[str, Field(pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]$")]
    configuration_set: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    base_url: BaseUrl | None = None

    @property
    def endpoint(self) -> str:
        """Where the requests go: as written, else the region's own."""
        suffix = ".cn" if self.region.startswith("cn-") else ""
        return self.base_url or f"https://email.{self.region}.amazonaws.com{suffix}"


class SesAccount(Provider):
    """A carrier that sends from an account of SES.

    SES has neither a key against a second copy nor a way to ask for what it took: what is in doubt is held. In test
    mode mail goes to Amazon's mailbox simulator, which takes it and shows it to nobody.
    """

    hooks: ClassVar[Hooks] = Hooks.SIGNED

    def __init__(
        self,
        settings: Any,
        key: str,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        token: str = "",
    ) -> None:
        self._settings: SesTerms = settings
        self._credentials = Credentials(settings.access_key, key, token)
        self._clock = clock
        self._web = Web(read_timeout=settings.timeout)
        self.connections, self.rate = settings.connections, settings.rate

    @classmethod
    def open(cls, settings: Any, root: Path) -> Self:
        """Make the carrier; its secrets are read at once, so that a missing one stops a send before it starts."""
        token = "" if settings.session_token is None else resolve_secret(settings.session_token, root)
        return cls(settings, resolve_secret(settings.key, root), token=token)

    def describe(self) -> str:
        """Name where it is reached."""
        mode = ", test mode: nothing is delivered" if self._settings.test_mode else ""
        return f"{self.name} {urllib.parse.urlsplit(self._settings.endpoint).netloc}{mode}"

    def close(self) -> None:
        """Let go of the connections."""
        self._web.close()

    def probe(self) -> str:
        """Ask for the account's state and quota; see Provider.probe."""
        answer = judged(self.ask(Request("GET", self.url("account"))), self.name, self._clock())
        if isinstance(answer, Receipt):
            raise TryLaterError(f"{self.name}: {answer.detail}")
        said = answer.json()
        quota = said.get("SendQuota") if isinstance(said, dict) else None
        if not isinstance(quota, dict):
            raise TryLaterError(one_line(f"{self.name} answered {answer.status} without a quota: {answer.body!r}"))
        told = (
            f"{quota.get('SentLast24Hours', 0):.0f} of {quota.get('Max24HourSend', 0):.0f} messages sent in 24 hours,"
            f" {quota.get('MaxSendRate', 0):g} a second allowed"
        )
        if said.get("SendingEnabled") is False:
            told += "; sending is paused"
        if said.get("ProductionAccessEnabled") is False:
            told += "; in the sandbox: only verified addresses are reached"
        return told

    @classmethod
    def feedback(cls, call: HookCall, secret: str) -> tuple[Feedback, ...]:
        """Read a notification of Amazon SNS; `secret` is the ARN of the topic that reports to us."""
        return ses_feedback.read(call, secret)

    def ask(self, request: Request) -> Answer | NoAnswer:
        """Sign a request at the last moment, for a signature is good for minutes only, and send it once."""
        return self._web.ask(signed(request, self._credentials, self._settings.region, "ses", self._clock()))

    def url(self, what: str) -> str:
        """Return the address of a resource."""
        return f"{self._settings.endpoint}/v2/email/{what}"

    def destination(self, reader: int, address: str) -> Mapping[str, Any]:
        """Say whom a message goes to; in test mode that is a mailbox of the simulator, told apart by its label."""
        if self._settings.test_mode:
            address = f"success+{reader}@simulator.amazonses.com"
        return {"ToAddresses": [address]}

    def shared(self) -> dict[str, Any]:
        """Return what every request says."""
        chosen = self._settings.configuration_set
        return {"ConfigurationOverrides": NO_TRACKING, **({"ConfigurationSetName": chosen} if chosen else {})}


def judged(answer: Answer | NoAnswer, provider: str, now: dt.datetime) -> Receipt | Answer:
    """Judge an answer as `http.settled` does, but look into an error of SES first.

    Raises ProviderStoppedError for what concerns us and not a reader.
    """
    if isinstance(answer, NoAnswer) or not 400 <= answer.status < 500:
        return settled(answer, provider, now)
    kind, message = _error(answer)
    said = one_line(f"{provider} answered {answer.status} {kind}: {message}")
    if _LATER.match(kind):
        wait = retry_after(answer.headers.get("retry-after"), now)
        daily = kind == "LimitExceededException" or "quota" in message.lower()
        return Receipt(
            Outcome.DEFERRED, said, retry_after=wait if wait is not None else LONGEST_WAIT if daily else RATE_WAIT
        )
    if _STOPS.search(kind) or (answer.status == 400 and concerns_us(message, unless_said=kind == "MessageRejected")):
        raise ProviderStoppedError(f"{said} (this would happen to every reader)")
    return settled(answer, provider, now)


def concerns_us(message: str, *, unless_said: bool) -> bool:
    """Tell whether a refusal is about us; `unless_said` is what holds for one that speaks of neither us nor a reader.

    A message that was rejected without a word about the address was rejected for its content, the same for all.
    """
    if "not verified" in message:
        return True
    return not _ADDRESS.search(message) and (unless_said or bool(_OURS.search(message)))


def tags(reader: int, issue: str, chunk: str) -> list[dict[str, str]]:
    """Write what SES brings back with each event: letters, digits, '-' and '_' only (service model, 2026)."""
    given = {"reader": str(reader), "issue": issue, "chunk": chunk}
    return [{"Name": name, "Value": value} for name, value in given.items() if value]


def _error(answer: Answer) -> tuple[str, str]:
    """Return an error's name and message; the name is in a header, with an address behind it at times."""
    said = answer.json()
    body = said if isinstance(said, dict) else {}
    kind = answer.headers.get("x-amzn-errortype") or str(body.get("__type", ""))
    message = body.get("message", body.get("Message"))
    return (
        one_line(kind.split(":")[0].rpartition("#")[2], 60),
        message if isinstance(message, str) else one_line(answer.body),
    )
