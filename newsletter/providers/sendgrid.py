"""SendGrid: one body for up to 1,000 readers a request, merged on their side.

POST /v3/mail/send as Twilio's own OpenAPI describes it (January 2026).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, ClassVar, Literal

from newsletter.config import Settings
from newsletter.errors import TryLaterError
from newsletter.providers import sendgrid_hooks, sendgrid_message
from newsletter.providers.api import ApiCarrier
from newsletter.providers.base import (
    Batch,
    Guard,
    Outcome,
    ProviderStoppedError,
    Receipt,
    one_line,
)
from newsletter.providers.feedback import Feedback, HookCall, Hooks
from newsletter.providers.http import (
    LONGEST_WAIT,
    Answer,
    BaseUrl,
    NoAnswer,
    Request,
    Web,
    settled,
    too_large,
)
from newsletter.providers.terms import ApiTerms

_MAX_VALUES = 10_000  # bytes of one reader's substitutions (OpenAPI, January 2026; a page says 50,000)


class SendgridSettings(ApiTerms):
    """`provider: {name: sendgrid, key: env:SENDGRID_API_KEY}`."""

    name: Literal["sendgrid"]
    base_url: BaseUrl = "https://api.sendgrid.com"


class Sendgrid(ApiCarrier):
    """Sends batches through SendGrid's HTTP interface, with every kind of tracking and its way to leave off.

    SendGrid can neither be given a key against a second copy nor be asked for what it took: readers in doubt are held
    until its event webhook tells of them, or a person does.
    """

    name = "sendgrid"
    title = "SendGrid"
    guard = Guard.NONE
    chunk_size = 1000
    their_headers = sendgrid_message.THEIR_HEADERS
    max_bytes = 20_000_000  # pages say 20 or 30 MB (2026); the smaller is large enough for a body that is sent once
    hooks = Hooks.SIGNED
    settings: ClassVar[type[Settings]] = SendgridSettings

    @classmethod
    def log_in(cls, settings: Any, key: str) -> Web:
        """Show the key as a bearer token."""
        return Web(read_timeout=settings.timeout, secret_headers={"Authorization": f"Bearer {key}"})

    def deliver(self, batch: Batch) -> Receipt:
        """Send a batch in one request."""
        request = self.build(batch)
        return too_large(request, self.max_bytes) or _too_long(batch) or self.interpret(self._web.ask(request))

    def build(self, batch: Batch) -> Request:
        """Make the request of a batch: pure, and the same bytes for the same batch.

        Raises ValueError for more than 1,000 readers, or none.
        """
        self.count(batch)
        body = sendgrid_message.write(batch, test_mode=self._settings.test_mode)
        return Request("POST", self._url("mail/send"), {"Content-Type": "application/json; charset=utf-8"}, body)

    def interpret(self, answer: Answer | NoAnswer) -> Receipt:
        """Say what an answer means for the batch. Raises ProviderStoppedError when it concerns our account."""
        if isinstance(answer, Answer) and answer.status == 400:
            _refuse_ours(answer)
        rest = settled(answer, self.name, self._clock())
        if isinstance(rest, Receipt):
            return self._with_wait(rest, answer)
        # A sandboxed request is answered with 200 (vendor's page on errors, 2026), any other with 202, and no word.
        if rest.status == (200 if self._settings.test_mode else 202) and not rest.body.strip():
            return Receipt(Outcome.ACCEPTED, reference=one_line(rest.headers.get("x-message-id", "")))
        said = one_line(rest.body)
        return Receipt(Outcome.UNKNOWN, one_line(f"sendgrid answered {rest.status}, which is no yes: {said}"))

    def probe(self) -> str:
        """Ask what the key may do; it has to be allowed to send."""
        rest = settled(self._web.ask(Request("GET", self._url("scopes"))), self.name, self._clock())
        if isinstance(rest, Receipt):
            raise ProviderStoppedError(rest.detail) if rest.outcome is Outcome.REJECTED else TryLaterError(rest.detail)
        said = rest.json()
        scopes = said.get("scopes") if isinstance(said, dict) else None
        if not isinstance(scopes, list):
            raise TryLaterError(one_line(f"sendgrid did not say what the key may do: {one_line(rest.body)}"))
        if "mail.send" not in scopes:
            raise ProviderStoppedError("sendgrid: the key may not send; give it the permission 'Mail Send'")
        return "the key may send"

    @classmethod
    def feedback(cls, call: HookCall, secret: str) -> tuple[Feedback, ...]:
        """Read a report of the event webhook; `secret` is the public key that SendGrid shows for it, in base64."""
        return sendgrid_hooks.read(call, secret)

    def _url(self, what: str) -> str:
        return f"{self._settings.base_url}/v3/{what}"

    def _with_wait(self, receipt: Receipt, answer: Answer | NoAnswer) -> Receipt:
        """Read when the limit is lifted, which SendGrid says in seconds since 1970 (vendor's page on limits, 2026)."""
        reset = answer.headers.get("x-ratelimit-reset", "") if isinstance(answer, Answer) else ""
        if receipt.outcome is not Outcome.DEFERRED or receipt.retry_after is not None:
            return receipt
        if not re.fullmatch("[0-9]{1,12}", reset):
            return receipt
        wait = int(reset) - self._clock().timestamp()
        return replace(receipt, retry_after=min(max(wait, 0.0), LONGEST_WAIT))


def _too_long(batch: Batch) -> Receipt | None:
    """Refuse a reader whose values are longer than SendGrid allows, without asking it."""
    longest = sendgrid_message.largest_values(batch)
    if longest <= _MAX_VALUES:
        return None
    said = f"one reader's values take {longest} bytes, {_MAX_VALUES} are allowed"
    return Receipt(Outcome.REJECTED, said, split=True)


def _refuse_ours(answer: Answer) -> None:
    """Raise ProviderStoppedError for a 400 that names anything but a reader's own field: all readers share that."""
    said = answer.json()
    errors = said.get("errors") if isinstance(said, dict) else None
    for error in errors if isinstance(errors, list) else []:
        known = error if isinstance(error, dict) else {}
        field = str(known.get("field"))
        if not field.startswith("personalizations"):
            message = one_line(f"{field}: {known.get('message')}")
            raise ProviderStoppedError(f"sendgrid refuses what is the same for every reader: {message}")
