"""Resend: up to 100 messages a request, each written out for its reader, guarded by a key for a day.

POST /emails/batch and GET /domains as Resend's own OpenAPI 1.5 describes them; the keys and the errors by the vendor's
pages on idempotency keys and errors (2026).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from newsletter.config import Settings
from newsletter.errors import TryLaterError
from newsletter.providers.api import WholeBodies
from newsletter.providers.base import (
    USUAL_HEADERS,
    Batch,
    Guard,
    Outcome,
    ProviderStoppedError,
    Receipt,
    one_line,
    opaque,
)
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
    too_large,
)
from newsletter.providers.json_pieces import Html, Pieces, Slot
from newsletter.providers.resend_feedback import read_report
from newsletter.providers.terms import ApiTerms
from newsletter.source import refused

_NOT_IN_TAGS = re.compile("[^A-Za-z0-9_-]")  # OpenAPI 1.5; 256 characters at most
_ABOUT_READER = re.compile(r"`to`|\brecipient", re.IGNORECASE)


def _no_test_mode(value: bool) -> bool:
    if value:
        raise refused("resend has no test mode; send to an address of your own, or use the outbox")
    return value


class ResendSettings(ApiTerms):
    """`provider: {name: resend, key: env:RESEND_KEY}`; what a team may ask by default is 2 requests a second."""

    name: Literal["resend"]
    rate: Annotated[float, Field(gt=0, le=1_000_000)] | None = 2.0
    test_mode: Annotated[bool, AfterValidator(_no_test_mode)] = False
    base_url: BaseUrl = "https://api.resend.com"


class Resend(WholeBodies):
    """Sends batches through Resend's HTTP interface.

    A request with a key that was used for the same bytes is answered as the first was, and sends nothing. Tracking
    cannot be turned off in a request, only for the domain (OpenAPI 1.5), so `probe` says where it is on.
    """

    name = "resend"
    title = "Resend"
    guard = Guard.KEY
    window = 23.5 * 3600.0  # keys are kept for 24 hours; the rest is for clocks that differ and requests on their way
    chunk_size = 100
    max_bytes = 40_000_000  # what one email may have (page on attachments, 2026); for a request none is named
    hooks = Hooks.SIGNED
    settings: ClassVar[type[Settings]] = ResendSettings

    @classmethod
    def log_in(cls, settings: Any, key: str) -> Web:
        """Show the key as a bearer token."""
        return Web(read_timeout=settings.timeout, secret_headers={"Authorization": f"Bearer {key}"})

    def place(self) -> str:
        """Return the host and a fingerprint of the key: another team's account knows nothing of the keys used here."""
        return f"{self.address()}, key {self._account}"

    def deliver(self, batch: Batch) -> Receipt:
        """Send a batch in one request."""
        request = self.build(batch)
        return too_large(request, self.max_bytes) or self.interpret(batch, self._web.ask(request))

    def build(self, batch: Batch) -> Request:
        """Make the request of a batch: pure, and the same bytes for the same batch.

        One invalid address fails the whole request (page on batch validation, 2025): then nothing of it has left.
        Raises ValueError for more than 100 readers, or none.
        """
        self.count(batch)
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": opaque(batch.key),
            "x-batch-validation": "strict",
        }
        pieces = Pieces(_message(batch), batch.recipients[0].values)
        messages = [
            pieces.fill({**one.values, "address": one.address, "reader": str(one.reader)}) for one in batch.recipients
        ]
        return Request("POST", f"{self._settings.base_url}/emails/batch", headers, b"[%b]" % b",".join(messages))

    def interpret(self, batch: Batch, answer: Answer | NoAnswer) -> Receipt:
        """Say what an answer means for the batch. Raises ProviderStoppedError when it concerns our account."""
        rest = self._named(answer) or settled(answer, self.name, self._clock())
        if isinstance(rest, Receipt):
            return rest
        said = rest.json()
        results = said.get("data") if isinstance(said, dict) else None
        ids = [one.get("id") for one in results if isinstance(one, dict)] if isinstance(results, list) else []
        if not isinstance(results, list) or not len(results) == len(ids) == len(batch.recipients) or not all(ids):
            what = f"resend answered {rest.status}, but not with an id for each reader: {one_line(rest.body)}"
            return Receipt(Outcome.UNKNOWN, one_line(what))
        return Receipt(Outcome.ACCEPTED, "", one_line(str(ids[0])))

    def probe(self) -> str:
        """Ask for the domains. A key that may only send is a working one, but cannot see them."""
        answer = self._web.ask(Request("GET", f"{self._settings.base_url}/domains"))
        if isinstance(answer, Answer) and _error(answer)[0] == "restricted_api_key":
            return "resend knows the key, which may only send: see yourself that tracking is off for your domain"
        rest = settled(answer, self.name, self._clock())
        if isinstance(rest, Receipt):
            raise TryLaterError(rest.detail)
        said = rest.json()
        domains = said.get("data") if isinstance(said, dict) else None
        if not isinstance(domains, list):
            raise ProviderStoppedError(f"resend answered {rest.status} without domains; check base_url")
        known = [_described(one) for one in domains if isinstance(one, dict)]
        return one_line(f"resend knows {', '.join(known) or 'the key, but no domain of yours yet'}")

    @classmethod
    def feedback(cls, call: HookCall, secret: str) -> tuple[Feedback, ...]:
        """Read one webhook; `secret` is its signing secret, whsec_..."""
        return read_report(call, secret)

    def _named(self, answer: Answer | NoAnswer) -> Receipt | None:
        """Judge the errors whose name says more than their status does; the names are on the vendor's page (2026).

        A 409 says that the key was used before: with other bytes, or by a request that is still under way. What became
        of that one is not known, so neither is whether the copies leave; it is left to be unknown.
        """
        if isinstance(answer, NoAnswer):
            return None
        name, message = _error(answer)
        said = one_line(f"resend answered {answer.status}: {name} {message}")
        wait = retry_after(answer.headers.get("retry-after"), self._clock())
        if name == "daily_quota_exceeded":
            return Receipt(Outcome.DEFERRED, said, retry_after=LONGEST_WAIT if wait is None else wait)
        if name == "monthly_quota_exceeded":
            raise ProviderStoppedError(f"{said} (no more mail goes out before the plan is changed)")
        if answer.status in (400, 422) and name and not _ABOUT_READER.search(message):
            raise ProviderStoppedError(f"resend refuses what is the same for every reader: {one_line(message)}")
        return None


def _message(batch: Batch) -> dict[str, object]:
    """Make the template of a message."""
    merge = batch.merge
    headers = {name: value for name, value in merge.headers if not USUAL_HEADERS.fullmatch(name)}
    tags = {
        "issue": _NOT_IN_TAGS.sub("-", batch.tag)[:256] or "-",
        "reader": Slot("reader"),
        "chunk": opaque(batch.key),
    }
    return {
        "from": merge.sender,
        "to": [Slot("address")],
        **({"reply_to": merge.reply_to} if merge.reply_to else {}),
        "subject": merge.subject,
        "html": Html(merge.html),
        "text": merge.text,
        "headers": headers,
        "tags": [{"name": name, "value": value} for name, value in tags.items()],
    }


def _error(answer: Answer) -> tuple[str, str]:
    """Return the name and the message of an error, each "" when it has none."""
    said = answer.json()
    known = said if isinstance(said, dict) and answer.status >= 400 else {}
    return str(known.get("name") or ""), str(known.get("message") or "")


def _described(domain: dict[str, Any]) -> str:
    tracked = [kind for kind in ("open", "click") if domain.get(f"{kind}_tracking")]
    warning = f", {' and '.join(tracked)} tracking is ON: turn it off there" if tracked else ""
    return f"{domain.get('name')} ({domain.get('status')}{warning})"
