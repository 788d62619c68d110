"""Postmark: up to 500 messages a request on a broadcast stream, each written out for its reader.

POST /email/batch and GET /messages/outbound (vendor's API reference, 2026; the types of its SDK 5.1).
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from newsletter.config import Settings
from newsletter.errors import TryLaterError
from newsletter.providers import postmark_hooks, postmark_message
from newsletter.providers.api import Clock, WholeBodies, utc_now
from newsletter.providers.base import (
    Batch,
    Guard,
    Outcome,
    ProviderStoppedError,
    Receipt,
    one_line,
    opaque,
)
from newsletter.providers.feedback import Feedback, HookCall, Hooks
from newsletter.providers.http import Answer, BaseUrl, NoAnswer, Request, Web, settled, too_large
from newsletter.providers.terms import ApiTerms

_PAGE = 500  # messages a page of a look-up, at most (vendor's page on messages, 2026)
_LAST = 10_000  # count and offset together may not go beyond it (the same page)
_TEST_TOKEN = "POSTMARK_API_TEST"  # noqa: S105 - takes mail and delivers none (API overview, 2026)

# What an ErrorCode says of its message (API overview, 2026); one that is not named here is about us.
_INACTIVE = 406  # the address bounced or complained before
_INVALID = 300  # something in the message: the reader's address, or ours
_WAITS = frozenset({100, 429})  # maintenance, too many requests
_ABOUT_READER = re.compile(r"'To'|\brecipient", re.IGNORECASE)

Fate = tuple[Outcome, str]


class PostmarkSettings(ApiTerms):
    """`provider: {name: postmark, stream: broadcast, key: env:POSTMARK_SERVER_TOKEN}`."""

    name: Literal["postmark"]
    stream: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "broadcast"
    base_url: BaseUrl = "https://api.postmarkapp.com"


class Postmark(WholeBodies):
    """Sends batches through Postmark's HTTP interface, with every kind of tracking off.

    Postmark has no key against a second copy, so a lost answer is resolved by asking for the messages of the batch.
    """

    name = "postmark"
    title = "Postmark"
    guard = Guard.LOOKUP
    chunk_size = 500
    their_headers = postmark_message.THEIR_HEADERS
    max_bytes = 50_000_000
    lag = 5 * 60.0  # the vendor names none; what it took shows within seconds, so this is on the safe side
    # Messages are kept 45 days, but an account may shorten that to 7 (support page on retention, 2026).
    memory = 7 * 24 * 3600.0
    hooks = Hooks.SECRET
    settings: ClassVar[type[Settings]] = PostmarkSettings

    def __init__(self, settings: PostmarkSettings, key: str, clock: Clock = utc_now) -> None:
        super().__init__(settings, key, clock)
        self._sending = self.log_in(settings, _TEST_TOKEN) if settings.test_mode else self._web

    @classmethod
    def log_in(cls, settings: Any, key: str) -> Web:
        """Show a server's token in Postmark's own header."""
        return _web(key, settings)

    def about(self) -> str:
        """Name the stream."""
        return str(self._settings.stream)

    def place(self) -> str:
        """Return host, stream and a fingerprint of the token: only the token tells one server of Postmark's from
        another, and another knows nothing of the messages of this one.
        """
        return f"{self.address()}/{self._settings.stream}, server token {self._account}".lower()

    def close(self) -> None:
        """Let go of the connections."""
        super().close()
        self._sending.close()

    def deliver(self, batch: Batch) -> Receipt:
        """Send a batch in one request."""
        request = self.build(batch)
        return too_large(request, self.max_bytes) or self.interpret(batch, self._sending.ask(request))

    def build(self, batch: Batch) -> Request:
        """Make the request of a batch: pure, and the same bytes for the same batch.

        Raises ValueError for more than 500 readers, or none.
        """
        self.count(batch)
        headers = {"Accept": "application/json", "Content-Type": "application/json; charset=utf-8"}
        body = postmark_message.write(batch, self._settings.stream)
        return Request("POST", f"{self._settings.base_url}/email/batch", headers, body)

    def interpret(self, batch: Batch, answer: Answer | NoAnswer) -> Receipt:
        """Say what an answer means for the batch. Raises ProviderStoppedError when it concerns our account."""
        if isinstance(answer, Answer) and answer.status == 422:
            fate = _fate(answer.json())
            if fate is None:
                raise ProviderStoppedError(
                    f"postmark refuses what is the same for every reader: {one_line(answer.body)}"
                )
            if fate[0] is Outcome.DEFERRED:
                return Receipt(*fate)
        rest = settled(answer, self.name, self._clock())
        if isinstance(rest, Receipt):
            return rest
        results = rest.json()
        if not isinstance(results, list) or len(results) != len(batch.recipients):
            said = f"postmark answered {rest.status}, but not once for each reader: {one_line(rest.body)}"
            return Receipt(Outcome.UNKNOWN, one_line(said))
        return _receipt(batch, results)

    def lookup(self, batch: Batch) -> Mapping[int, Outcome] | None:
        """Ask for the messages that carry the batch's mark. What Postmark refused is not among them."""
        by_address = {recipient.address.lower(): recipient.reader for recipient in batch.recipients}
        found: set[int | None] = set()
        offset, total = 0, 1
        while offset < total:
            page = self._page(batch, offset) if offset + _PAGE <= _LAST else None
            if page is None:
                return None
            total, messages = page
            if total > offset and not messages:
                return None  # there are more, but it does not show them
            offset += len(messages)
            found |= {_reader(one, by_address) for one in messages}
        return dict.fromkeys(set(by_address.values()) & found, Outcome.ACCEPTED)

    def probe(self) -> str:
        """Ask for the stream, and say whether Postmark adds a way to leave of its own there."""
        url = f"{self._settings.base_url}/message-streams/{self._settings.stream}"
        rest = settled(self._web.ask(Request("GET", url, {"Accept": "application/json"})), self.name, self._clock())
        if isinstance(rest, Receipt):
            raise ProviderStoppedError(rest.detail) if rest.outcome is Outcome.REJECTED else TryLaterError(rest.detail)
        said = rest.json()
        if not isinstance(said, dict) or "MessageStreamType" not in said:
            raise TryLaterError(one_line(f"postmark did not describe its stream: {one_line(rest.body)}"))
        handling = said.get("SubscriptionManagementConfiguration") or {}
        theirs = isinstance(handling, dict) and handling.get("UnsubscribeHandlingType") == "Postmark"
        warning = "; Postmark adds its own unsubscribe link there and drops our headers, see docs/settings.md"
        return one_line(f"stream {self._settings.stream} ({said['MessageStreamType']}){warning if theirs else ''}")

    @classmethod
    def feedback(cls, call: HookCall, secret: str) -> tuple[Feedback, ...]:
        """Read a report, whose address has to hold the secret."""
        return postmark_hooks.read(call, secret)

    def _page(self, batch: Batch, offset: int) -> tuple[int, list[dict[str, Any]]] | None:
        """Ask for one page of the batch's messages: how many there are in all, and those of the page."""
        query = {
            "count": str(_PAGE),
            "offset": str(offset),
            "tag": batch.tag,
            "messagestream": self._settings.stream,
            "metadata_chunk": opaque(batch.key),  # one field of the metadata is all it searches by (support page, 2026)
        }
        url = f"{self._settings.base_url}/messages/outbound?{urllib.parse.urlencode(query)}"
        answer = self._web.ask(Request("GET", url, {"Accept": "application/json"}))
        said = answer.json() if isinstance(answer, Answer) and answer.status == 200 else None
        if not isinstance(said, dict):
            return None
        total, messages = said.get("TotalCount"), said.get("Messages")
        if not isinstance(total, int) or not isinstance(messages, list):
            return None
        return total, [one if isinstance(one, dict) else {} for one in messages]


def _web(token: str, settings: PostmarkSettings) -> Web:
    return Web(read_timeout=settings.timeout, secret_headers={"X-Postmark-Server-Token": token})


def _receipt(batch: Batch, results: list[Any]) -> Receipt:
    """Make one receipt of a result for each reader.

    A refusal that is about us stops the run, but only if nobody's copy may have left: else those readers are put off,
    so that the ledger learns who has theirs first.
    """
    fates = [_in_place(result, one.address) for one, result in zip(batch.recipients, results, strict=True)]
    details = [_said(result) for result in results]
    gone = {fate[0] for fate in fates if fate is not None} & {Outcome.ACCEPTED, Outcome.UNKNOWN}
    if None in fates and not gone:
        said = details[fates.index(None)]
        raise ProviderStoppedError(f"postmark refuses what is the same for every reader: {said}")
    known = [fate or (Outcome.DEFERRED, detail) for fate, detail in zip(fates, details, strict=True)]
    own = {one.reader: fate for one, fate in zip(batch.recipients, known, strict=True)}
    exceptions = {reader: fate for reader, fate in own.items() if fate[0] is not Outcome.ACCEPTED}
    outcome = Outcome.ACCEPTED if len(exceptions) < len(own) else known[0][0]
    references = [
        str(result["MessageID"]) for result, fate in zip(results, known, strict=True) if fate[0] is Outcome.ACCEPTED
    ]
    detail = next(iter(exceptions.values()))[1] if exceptions else ""
    return Receipt(outcome, detail, one_line(references[0]) if references else "", exceptions=exceptions)


def _in_place(result: Any, address: str) -> Fate | None:
    """Judge a result, if it is about this address; the results are to come in the order of the messages."""
    about = result.get("To") if isinstance(result, dict) else None
    if isinstance(about, str) and about.lower() != address.lower():
        return Outcome.UNKNOWN, "postmark answered for another reader in this one's place"
    return _fate(result)


def _fate(result: Any) -> Fate | None:
    """Say what a result means for its message; None when it is about us and not about the reader."""
    code = result.get("ErrorCode") if isinstance(result, dict) else None
    if not isinstance(code, int) or isinstance(code, bool) or (code == 0 and not result.get("MessageID")):
        return Outcome.UNKNOWN, "postmark's answer does not say what became of the message"
    if code == 0:
        return Outcome.ACCEPTED, ""
    if code in _WAITS:
        return Outcome.DEFERRED, _said(result)
    if code == _INACTIVE or (code == _INVALID and _ABOUT_READER.search(str(result.get("Message", "")))):
        return Outcome.REJECTED, _said(result)
    return None


def _said(result: Any) -> str:
    known = result if isinstance(result, dict) else {}
    return one_line(f"{known.get('ErrorCode')} {known.get('Message')}")


def _reader(message: Mapping[str, Any], by_address: Mapping[str, int]) -> int | None:
    """Tell whose message this is: by our metadata, else by its address."""
    metadata = message.get("Metadata")
    reader = str(metadata.get("reader", "")) if isinstance(metadata, dict) else ""
    if reader:
        return int(reader) if re.fullmatch("[0-9]{1,18}", reader) else None
    recipients = message.get("Recipients")
    first = recipients[0] if isinstance(recipients, list) and recipients else ""
    return by_address.get(str(first).lower())
