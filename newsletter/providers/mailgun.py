"""Mailgun: one body for up to 1,000 readers a request, merged on their side.

POST /v3/{domain}/messages, GET /v3/{domain}/events and GET /v4/domains/{domain} as Mailgun's own OpenAPI describes them
(July 2026).
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from newsletter.config import Settings
from newsletter.errors import TryLaterError
from newsletter.providers.api import ApiCarrier
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
    multipart,
    settled,
    too_large,
)
from newsletter.providers.mailgun_feedback import read_report
from newsletter.providers.mailgun_merge import variables
from newsletter.providers.terms import ApiTerms

_MAX_OPTIONS = 16 * 1024  # bytes of all fields that start with o:, h:, v: or t: (OpenAPI, July 2026)
_MAX_PAGES = 600  # of 300 events each; a look-up that needs more is given up, not guessed

# A 400 that concerns every reader alike, so that looking for the one bad address would refuse them all (seen in the
# OpenAPI's examples of July 2026; "'from' parameter is not a valid address" is one of them).
_OUR_FAULT = re.compile(
    r"(?!'?to'? parameter).*(\b(from|subject|text|html|template|domain)'? parameter|send options|need at least one"
    r"|only one param|not allowed to send|sandbox|disabled|unverified)",
    re.IGNORECASE | re.DOTALL,
)
_WAIT_IN_TEXT = re.compile(r"try again after ([0-9]{1,9}) seconds")
# What an event says of its message; of several, the last in this order counts.
_EVENTS = {
    "accepted": Outcome.ACCEPTED,
    "rejected": Outcome.REJECTED,
    "failed": Outcome.ACCEPTED,  # it left Mailgun's hands; a bounce is told of later, as feedback
    "delivered": Outcome.ACCEPTED,
}


class MailgunSettings(ApiTerms):
    """`provider: {name: mailgun, domain: mg.example.org, key: env:MAILGUN_KEY}`."""

    name: Literal["mailgun"]
    domain: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?$")]
    base_url: BaseUrl = "https://api.mailgun.net"


class Mailgun(ApiCarrier):
    """Sends batches through Mailgun's HTTP interface, with every kind of tracking off.

    Mailgun has no key against a second copy, so a lost answer is resolved by asking for the events of the issue's tag.
    """

    name = "mailgun"
    title = "Mailgun"
    guard = Guard.LOOKUP
    chunk_size = 1000
    max_bytes = 25_000_000  # "25MB", of the whole body of a request (vendor's page on sending, 2026)
    hooks = Hooks.SIGNED
    lag = 30 * 60.0  # events may arrive half an hour late (vendor's page on polling, 2026)
    memory = 3 * 24 * 3600.0  # "at least 3 days" of events (OpenAPI, July 2026)
    settings: ClassVar[type[Settings]] = MailgunSettings

    @classmethod
    def log_in(cls, settings: Any, key: str) -> Web:
        """Show the key as a password."""
        return Web(("api", key), read_timeout=settings.timeout)

    def about(self) -> str:
        """Name the domain."""
        return str(self._settings.domain)

    def place(self) -> str:
        """Return the host and the domain: another domain knows nothing of the events of this one."""
        return f"{self.address()}/{self._settings.domain}".lower()

    def deliver(self, batch: Batch) -> Receipt:
        """Send a batch in one request."""
        request = self.build(batch)
        return too_large(request, self.max_bytes) or self.interpret(self._web.ask(request))

    def probe(self) -> str:
        """Ask for the domain. A key that may only send is told as a wrong one: it could not look anything up."""
        answer = self._web.ask(Request("GET", f"{self._settings.base_url}/v4/domains/{self._settings.domain}"))
        rest = settled(answer, self.name, self._clock())
        if isinstance(rest, Receipt):
            raise (ProviderStoppedError if rest.outcome is Outcome.REJECTED else TryLaterError)(rest.detail)
        said = rest.json()
        domain = said.get("domain") if isinstance(said, dict) else None
        if not isinstance(domain, dict):
            raise ProviderStoppedError(f"mailgun answered {rest.status} without a domain; check base_url")
        return one_line(f"mailgun knows {self._settings.domain}, state: {domain.get('state')}")

    @classmethod
    def feedback(cls, call: HookCall, secret: str) -> tuple[Feedback, ...]:
        """Read one webhook; `secret` is the account's webhook signing key."""
        return read_report(call, secret)

    def build(self, batch: Batch) -> Request:
        """Make the request of a batch: pure, and the same bytes for the same batch.

        Raises ProviderStoppedError when the headers are too long for Mailgun, ValueError for more than 1,000 readers.
        """
        self.count(batch)
        fields = list(self._fields(batch))
        options = sum(len(name) + len(value.encode()) for name, value in fields if name[1:2] == ":")
        if options > _MAX_OPTIONS:
            raise ProviderStoppedError(f"mailgun: the headers take {options} bytes; it allows {_MAX_OPTIONS} in all")
        kind, body = multipart(fields)
        return Request("POST", self._url("messages"), {"Content-Type": kind}, body)

    def interpret(self, answer: Answer | NoAnswer) -> Receipt:
        """Say what an answer means for the batch. Raises ProviderStoppedError when it concerns our account."""
        if isinstance(answer, Answer) and answer.status == 400 and _OUR_FAULT.match(_message(answer)):
            raise ProviderStoppedError(
                f"mailgun refuses what is the same for every reader: {one_line(_message(answer))}"
            )
        rest = settled(answer, self.name, self._clock())
        if isinstance(rest, Receipt):
            return _with_wait(rest)
        said = rest.json()
        if isinstance(said, dict) and isinstance(said.get("id"), str) and isinstance(said.get("message"), str):
            return Receipt(Outcome.ACCEPTED, one_line(said["message"]), one_line(said["id"]))
        # A wrong path answers 200 with plain text (seen 2026), and so may a proxy: nothing is known then.
        return Receipt(
            Outcome.UNKNOWN, one_line(f"mailgun answered {rest.status} without an id: {one_line(rest.body)}")
        )

    def lookup(self, batch: Batch) -> Mapping[int, Outcome] | None:
        """Ask for the events of the issue's tag, and keep those of this batch."""
        mark = opaque(batch.key)
        by_address = {recipient.address.lower(): recipient.reader for recipient in batch.recipients}
        readers = set(by_address.values())
        found: dict[int, str] = {}
        pages = 0
        url: str | None = self._first_page(batch)
        while url is not None:
            pages += 1
            page = self._page(url)
            if page is None or pages > _MAX_PAGES:
                return None
            for event in page.items:
                reader = _reader(event, mark, by_address)
                kind = event.get("event")
                if reader in readers and kind in _EVENTS:
                    found[reader] = max(found.get(reader, "accepted"), kind, key=list(_EVENTS).index)
            url = page.following
        return {reader: _EVENTS[kind] for reader, kind in found.items()}

    def _url(self, what: str) -> str:
        return f"{self._settings.base_url}/v3/{self._settings.domain}/{what}"

    def _fields(self, batch: Batch) -> Iterator[tuple[str, str]]:
        merge = batch.merge
        names = variables(batch)
        yield "from", names.place(merge.sender)
        for recipient in batch.recipients:
            yield "to", recipient.address
        yield "subject", names.place(merge.subject)
        yield "text", names.place(merge.text)
        yield "html", names.place_html(merge.html)
        if merge.reply_to:
            yield "h:Reply-To", names.place(merge.reply_to)
        for name, value in merge.headers:
            if not USUAL_HEADERS.fullmatch(name):
                yield f"h:{name}", names.place(value)
        yield "o:tag", batch.tag
        for kind in ("o:tracking", "o:tracking-clicks", "o:tracking-opens"):
            yield kind, "no"
        if self._settings.test_mode:
            yield "o:testmode", "yes"
        yield "v:reader", f"%recipient.{names.prefix}reader%"
        yield "v:chunk", opaque(batch.key)
        yield "recipient-variables", names.values(batch.recipients)

    def _first_page(self, batch: Batch) -> str:
        query = {
            "tags": batch.tag,
            "event": " OR ".join(_EVENTS),
            "begin": str(int(self._clock().timestamp() - self.memory)),
            "ascending": "yes",
            "limit": "300",
        }
        return f"{self._url('events')}?{urllib.parse.urlencode(query)}"

    def _page(self, url: str) -> _Page | None:
        answer = self._web.ask(Request("GET", url))
        if isinstance(answer, NoAnswer) or answer.status != 200:
            return None
        said = answer.json()
        if not isinstance(said, dict) or not isinstance(said.get("items"), list):
            return None
        items, paging = tuple(item for item in said["items"] if isinstance(item, dict)), said.get("paging")
        following = paging.get("next") if isinstance(paging, dict) else None
        if not items or following is None or following == url:  # an empty page is the last (vendor's page, 2026)
            return _Page(items, None)
        return _Page(items, following) if self._same_host(following) else None

    def _same_host(self, url: object) -> bool:
        """Refuse to carry the key to an address that an answer names on another host."""
        ours = urllib.parse.urlsplit(self._settings.base_url)
        theirs = urllib.parse.urlsplit(str(url))
        return (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)


@dataclass(frozen=True)
class _Page:
    items: tuple[dict[str, Any], ...]
    following: str | None


def _message(answer: Answer) -> str:
    said = answer.json()
    message = said.get("message") if isinstance(said, dict) else None
    return message if isinstance(message, str) else one_line(answer.body)


def _with_wait(receipt: Receipt) -> Receipt:
    """Read the wait that Mailgun writes into the text of a 429 instead of a header (OpenAPI's example, July 2026)."""
    found = _WAIT_IN_TEXT.search(receipt.detail)
    if receipt.outcome is not Outcome.DEFERRED or receipt.retry_after is not None or not found:
        return receipt
    return Receipt(Outcome.DEFERRED, receipt.detail, retry_after=min(float(found[1]), LONGEST_WAIT))


def _reader(event: Mapping[str, Any], mark: str, by_address: Mapping[str, int]) -> int | None:
    """Tell whose event this is. The same reader may get the same issue by another list, so the batch's mark decides."""
    ours = event.get("user-variables")
    if isinstance(ours, dict) and "chunk" in ours:
        reader = str(ours.get("reader", ""))
        return int(reader) if ours["chunk"] == mark and re.fullmatch("[0-9]{1,18}", reader) else None
    return by_address.get(str(event.get("recipient", "")).lower())
