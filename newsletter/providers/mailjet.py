"""Mailjet: up to 50 messages a request, each written out for its reader; none reaches an address twice.

POST /v3.1/send and GET /v3/REST/sender (vendor's guides of 2023 and API reference, 2026; the types of its SDK 6.0).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from newsletter.config import Settings
from newsletter.errors import TryLaterError
from newsletter.providers.api import WholeBodies
from newsletter.providers.base import (
    Batch,
    Guard,
    Outcome,
    ProviderStoppedError,
    Receipt,
    one_line,
)
from newsletter.providers.feedback import Feedback, HookCall, Hooks
from newsletter.providers.http import Answer, BaseUrl, NoAnswer, Request, Web, settled, too_large
from newsletter.providers.mailjet_feedback import read_reports
from newsletter.providers.mailjet_message import THEIR_HEADERS, custom_id, write
from newsletter.providers.terms import ApiTerms

_TOO_LARGE = "mj-0011"  # "the payload size is over the limit" (guide, 2023)
_NO_RESULTS = frozenset({401, 429})  # an answer that concerns the request as a whole, whatever its body holds

Fate = tuple[Outcome, str]


class MailjetSettings(ApiTerms):
    """`provider: {name: mailjet, api_key: 0123456789abcdef, key: env:MAILJET_SECRET_KEY}`.

    `api_key` names the account's key, and is no secret; `key` is its secret key.
    """

    name: Literal["mailjet"]
    api_key: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,64}$")]
    base_url: BaseUrl = "https://api.mailjet.com"


class Mailjet(WholeBodies):
    """Sends batches through Mailjet's HTTP interface, with every kind of tracking off.

    Each message names its mailing as a campaign, and asks that none of it reaches an address twice: "only the first
    message goes through" (vendor's page on headers, 2026). A second copy is taken, and blocked afterwards.
    """

    name = "mailjet"
    title = "Mailjet"
    guard = Guard.REPEATABLE
    chunk_size = 50
    their_headers = THEIR_HEADERS
    max_bytes = 15_000_000  # what one message may have with attachments (guide, 2023); for a request none is named
    hooks = Hooks.SECRET
    settings: ClassVar[type[Settings]] = MailjetSettings

    @classmethod
    def log_in(cls, settings: Any, key: str) -> Web:
        """Show both parts of the key."""
        return Web((settings.api_key, key), read_timeout=settings.timeout)

    def place(self) -> str:
        """Return the host and the name of the key: another one has campaigns of its own."""
        return f"{self.address()}, key {self._settings.api_key}".lower()

    def deliver(self, batch: Batch) -> Receipt:
        """Send a batch in one request."""
        request = self.build(batch)
        return too_large(request, self.max_bytes) or self.interpret(batch, self._web.ask(request))

    def build(self, batch: Batch) -> Request:
        """Make the request of a batch: pure, and the same bytes for the same batch.

        Raises ValueError for more than 50 readers, or none.
        """
        self.count(batch)
        body = write(batch, sandbox=self._settings.test_mode)
        return Request("POST", f"{self._settings.base_url}/v3.1/send", {"Content-Type": "application/json"}, body)

    def interpret(self, batch: Batch, answer: Answer | NoAnswer) -> Receipt:
        """Say what an answer means for the batch. Raises ProviderStoppedError when it concerns our account.

        One message that is refused makes the whole answer a 4xx; what became of each stands in it all the same.
        """
        results = _results(answer)
        if results is not None and len(results) == len(batch.recipients):
            return _receipt(batch, results)
        broken_off = isinstance(answer, Answer) and not answer.complete and answer.status not in _NO_RESULTS
        if results is None and not broken_off:
            whole = _refused_as_a_whole(answer) or settled(answer, self.name, self._clock())
            if isinstance(whole, Receipt):
                return whole
        return Receipt(Outcome.UNKNOWN, f"mailjet's answer does not say what became of {len(batch.recipients)} readers")

    def probe(self) -> str:
        """Ask for the senders that the account may use."""
        answer = self._web.ask(Request("GET", f"{self._settings.base_url}/v3/REST/sender?Limit=10"))
        rest = settled(answer, self.name, self._clock())
        if isinstance(rest, Receipt):
            raise TryLaterError(rest.detail)
        said = rest.json()
        senders = said.get("Data") if isinstance(said, dict) else None
        if not isinstance(senders, list):
            raise ProviderStoppedError(f"mailjet answered {rest.status} without senders; check base_url")
        known = [f"{one.get('Email')} ({one.get('Status')})" for one in senders if isinstance(one, dict)]
        return one_line(f"mailjet knows {', '.join(known) or 'the key, but no sender of yours yet'}")

    @classmethod
    def feedback(cls, call: HookCall, secret: str) -> tuple[Feedback, ...]:
        """Read a report, whose address has to hold the secret."""
        return read_reports(call, secret)


def _results(answer: Answer | NoAnswer) -> list[Any] | None:
    """Return what an answer says of each message, whatever its status; None when it says nothing of them."""
    if isinstance(answer, NoAnswer) or answer.status >= 500 or answer.status in _NO_RESULTS:
        return None
    said = answer.json()
    results = said.get("Messages") if isinstance(said, dict) else None
    return results if isinstance(results, list) else None


def _refused_as_a_whole(answer: Answer | NoAnswer) -> Receipt | None:
    """Judge an error of the request itself, which says nothing of any reader."""
    said = answer.json() if isinstance(answer, Answer) and answer.status == 400 else None
    if not isinstance(said, dict) or not isinstance(said.get("ErrorCode"), str):
        return None
    detail = _said(said)
    if said["ErrorCode"] == _TOO_LARGE:
        return Receipt(Outcome.REJECTED, detail, split=True)
    raise ProviderStoppedError(f"mailjet refuses what is the same for every reader: {detail}")


def _receipt(batch: Batch, results: list[Any]) -> Receipt:
    """Make one receipt of a result for each reader.

    A refusal that is about us stops the run, but only if nobody's copy may have left: else those readers are put off,
    so that the ledger learns who has theirs first.
    """
    fates = {
        one.reader: _fate(result, custom_id(batch, one.reader))
        for one, result in zip(batch.recipients, results, strict=True)
    }
    ours = next((detail for outcome, detail in fates.values() if outcome is None), None)
    gone = {outcome for outcome, _ in fates.values()} & {Outcome.ACCEPTED, Outcome.UNKNOWN}
    if ours is not None and not gone:
        raise ProviderStoppedError(f"mailjet refuses what is the same for every reader: {ours}")
    known = {reader: (outcome or Outcome.DEFERRED, detail) for reader, (outcome, detail) in fates.items()}
    exceptions = {reader: fate for reader, fate in known.items() if fate[0] is not Outcome.ACCEPTED}
    first, detail = next(iter(exceptions.values()), (Outcome.ACCEPTED, ""))
    outcome = Outcome.ACCEPTED if len(exceptions) < len(known) else first
    return Receipt(outcome, detail, _reference(results), exceptions=exceptions)


def _fate(result: Any, name: str) -> tuple[Outcome | None, str]:
    """Say what a result means for its message; no outcome when it is about us and not about the reader."""
    known = result if isinstance(result, dict) else {}
    if known.get("Status") == "success":
        right = known.get("CustomID") in (None, "", name)  # the order is kept (guide, 2023)
        return (Outcome.ACCEPTED, "") if right else (Outcome.UNKNOWN, "mailjet answered for another reader")
    errors = [one for one in _listed(known.get("Errors")) if isinstance(one, dict)]
    if known.get("Status") != "error" or not errors:
        return Outcome.UNKNOWN, "mailjet's answer does not say what became of the message"
    detail = _said(errors[0])
    if any(str(one.get("StatusCode")).startswith("5") for one in errors):
        return Outcome.UNKNOWN, detail
    related = [str(part) for one in errors for part in _listed(one.get("ErrorRelatedTo"))]
    about_reader = bool(related) and all(re.match(r"To\b", part) for part in related)
    return (Outcome.REJECTED if about_reader else None), detail


def _reference(results: list[Any]) -> str:
    """Return Mailjet's name of the first message that it took."""
    for result in results:
        for to in _listed(result.get("To") if isinstance(result, dict) else None):
            if isinstance(to, dict) and to.get("MessageID"):
                return one_line(str(to["MessageID"]))
    return ""


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _said(error: dict[str, Any]) -> str:
    return one_line(f"{error.get('ErrorCode')} {error.get('ErrorMessage')}")
