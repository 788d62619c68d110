"""Brevo: one body for up to 1,000 readers a request, merged on their side, guarded by a key for a quarter of an hour.

POST /v3/smtp/email with messageVersions, GET /v3/smtp/statistics/events and GET /v3/account (vendor's API reference and
pages on batches, idempotency and limits, 2026; the types of its SDK 6.0).
"""

from __future__ import annotations

import hashlib
import json
import re
import urllib.parse
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from newsletter.config import Settings
from newsletter.errors import TryLaterError
from newsletter.providers.api import ApiCarrier
from newsletter.providers.base import (
    Batch,
    Guard,
    Outcome,
    ProviderStoppedError,
    Receipt,
    one_line,
    opaque,
)
from newsletter.providers.brevo_feedback import read_reports
from newsletter.providers.brevo_message import TooManyParamsError, write
from newsletter.providers.feedback import Feedback, HookCall, Hooks
from newsletter.providers.http import Answer, BaseUrl, NoAnswer, Request, Web, retry_after, settled
from newsletter.providers.terms import ApiTerms

_PAGE = 2500  # events a page of a look-up (API reference, 2026)
_MAX_PAGES = 20  # a batch has some 3 events a reader; a look-up that needs more is given up, not guessed
_DAYS = 30

# What an event says of its message; of several, the last in this order counts. Every other kind (a delivery, a bounce,
# a complaint) means that the copy left.
_REFUSED = frozenset({"blocked", "invalid", "error"})
_ASKED = "requests"

_ABOUT_US = re.compile(r"sender|reply|subject|content|header|param|tags|template|key", re.IGNORECASE)
_ABOUT_READER = re.compile(r"\b(to|recipients?|email)\b", re.IGNORECASE)


class BrevoSettings(ApiTerms):
    """`provider: {name: brevo, key: env:BREVO_KEY}`; 100 batches a minute are allowed (page on batches, 2026)."""

    name: Literal["brevo"]
    rate: Annotated[float, Field(gt=0, le=1_000_000)] | None = 1.6
    base_url: BaseUrl = "https://api.brevo.com"


class Brevo(ApiCarrier):
    """Sends batches through Brevo's HTTP interface, a version of one message for each reader.

    A key that was used is refused, whatever became of the first request; so a repetition says at most that the copies
    may have left, and the events of the batch's tag tell whose did.
    """

    name = "brevo"
    title = "Brevo"
    guard = Guard.KEY
    window = (
        14 * 60.0
    )  # 15 minutes by the changelog (2023), 30 by the page on idempotency (2026): the shorter, less one
    chunk_size = 1000  # versions a request; 2,000 readers are allowed, but each has values of their own
    hooks = Hooks.SECRET
    lag = 30 * 60.0  # the vendor names none; this is on the safe side
    memory = (_DAYS - 1) * 24 * 3600.0
    settings: ClassVar[type[Settings]] = BrevoSettings

    @classmethod
    def log_in(cls, settings: Any, key: str) -> Web:
        """Show the key in Brevo's own header."""
        return Web(read_timeout=settings.timeout, secret_headers={"api-key": key})

    def place(self) -> str:
        """Return the host and a fingerprint of the key: another account knows nothing of what left through this one."""
        return f"{self.address()}, key {self._account}"

    def deliver(self, batch: Batch) -> Receipt:
        """Send a batch in one request."""
        try:
            request = self.build(batch)
        except TooManyParamsError as error:
            return Receipt(Outcome.REJECTED, str(error), split=True)
        return self.interpret(batch, self._web.ask(request))

    def build(self, batch: Batch) -> Request:
        """Make the request of a batch: pure, and the same bytes for the same batch.

        Raises TooManyParamsError when the readers' values are longer than Brevo takes at once, ValueError for more
        than 1,000 readers, or none.
        """
        self.count(batch)
        control = {"idempotencyKey": str(uuid.UUID(bytes=hashlib.sha256(batch.key.encode()).digest()[:16], version=4))}
        if self._settings.test_mode:
            control["X-Sib-Sandbox"] = "drop"
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        return Request("POST", self._url("smtp/email"), headers, write(batch, control))

    def interpret(self, batch: Batch, answer: Answer | NoAnswer) -> Receipt:
        """Say what an answer means for the batch. Raises ProviderStoppedError when it concerns our account."""
        rest = self._named(answer) or settled(answer, self.name, self._clock())
        if isinstance(rest, Receipt):
            return self._with_wait(rest, answer)
        said = rest.json()
        known = said if isinstance(said, dict) else {}
        names = known.get("messageIds")
        if names is None and (len(batch.recipients) == 1 or self._settings.test_mode):
            names = [known.get("messageId")] * len(batch.recipients)
        if not isinstance(names, list) or len(names) != len(batch.recipients) or not all(names):
            what = f"brevo answered {rest.status}, but not with an id for each reader: {one_line(rest.body)}"
            return Receipt(Outcome.UNKNOWN, one_line(what))
        return Receipt(Outcome.ACCEPTED, "", one_line(str(names[0])))

    def lookup(self, batch: Batch) -> Mapping[int, Outcome] | None:
        """Ask for the events of the batch's tag."""
        by_address = {recipient.address.lower(): recipient.reader for recipient in batch.recipients}
        kinds: dict[int, set[str]] = {}
        for number in range(_MAX_PAGES):
            events = self._page(batch, number * _PAGE)
            if events is None:
                return None
            for event in events:
                reader = by_address.get(str(event.get("email", "")).lower())
                tag = str(event.get("tag") or event.get("tags") or "")
                if reader is not None and not tag:
                    return None  # it does not say which batch this is about
                if reader is not None and opaque(batch.key) in tag:
                    kinds.setdefault(reader, set()).add(str(event.get("event")))
            if len(events) < _PAGE:
                return {reader: _outcome(seen) for reader, seen in kinds.items()}
        return None

    def probe(self) -> str:
        """Ask for the account."""
        answer = self._web.ask(Request("GET", self._url("account"), {"Accept": "application/json"}))
        rest = settled(answer, self.name, self._clock())
        if isinstance(rest, Receipt):
            raise TryLaterError(rest.detail)
        said = rest.json()
        if not isinstance(said, dict) or "email" not in said:
            raise ProviderStoppedError(f"brevo answered {rest.status} without an account; check base_url")
        return one_line(f"brevo knows the account of {said['email']}")

    @classmethod
    def feedback(cls, call: HookCall, secret: str) -> tuple[Feedback, ...]:
        """Read a report, whose address has to hold the secret."""
        return read_reports(call, secret)

    def _url(self, what: str) -> str:
        return f"{self._settings.base_url}/v3/{what}"

    def _named(self, answer: Answer | NoAnswer) -> Receipt | None:
        """Judge the refusals that name their cause: {"code": ..., "message": ...}."""
        said = answer.json() if isinstance(answer, Answer) and answer.status == 400 else None
        if not isinstance(said, dict) or not isinstance(said.get("code"), str):
            return None
        code, message = said["code"], str(said.get("message"))
        detail = one_line(f"{code}: {message}")
        if code == "duplicate_parameter":
            return Receipt(Outcome.UNKNOWN, f"brevo has seen the key of this request before ({detail})")
        about_reader = _ABOUT_READER.search(message) and not _ABOUT_US.search(message)
        if code != "invalid_parameter" or not about_reader:
            raise ProviderStoppedError(f"brevo refuses what is the same for every reader: {detail}")
        return None

    def _with_wait(self, receipt: Receipt, answer: Answer | NoAnswer) -> Receipt:
        """Read the wait, which Brevo names in a header of its own, in seconds (page on limit headers, 2026)."""
        if receipt.outcome is not Outcome.DEFERRED or receipt.retry_after is not None or isinstance(answer, NoAnswer):
            return receipt
        return replace(receipt, retry_after=retry_after(answer.headers.get("x-sib-ratelimit-reset"), self._clock()))

    def _page(self, batch: Batch, offset: int) -> list[dict[str, Any]] | None:
        query = {
            "tags": json.dumps([opaque(batch.key)]),
            "days": str(_DAYS),
            "sort": "asc",  # so that what happens meanwhile comes last, and moves nothing to another page
            "limit": str(_PAGE),
            "offset": str(offset),
        }
        url = f"{self._url('smtp/statistics/events')}?{urllib.parse.urlencode(query)}"
        answer = self._web.ask(Request("GET", url, {"Accept": "application/json"}))
        said = answer.json() if isinstance(answer, Answer) and answer.status == 200 else None
        if said == {}:  # there are none
            return []
        events = said.get("events") if isinstance(said, dict) else None
        return [one for one in events if isinstance(one, dict)] if isinstance(events, list) else None


def _outcome(kinds: set[str]) -> Outcome:
    beyond = kinds - {_ASKED}
    return Outcome.REJECTED if beyond and beyond <= _REFUSED else Outcome.ACCEPTED
