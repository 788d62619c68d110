"""Compiles an edition into MIME once, so that one reader's message is a join of bytes.

All that is the same for every reader is encoded when the compiler is made. For each choice of subjects the static runs
are joined once and kept; a message is then a copy of that list with the reader's few values put between. The result is
what Python's `email` would parse to the same text and html as direct substitution (the tests do), some hundred times
faster than making it with `EmailMessage`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from newsletter.config import Newsletter, Project
from newsletter.edition.model import NAME, PREFERENCES, TOKENS, UNSUBSCRIBE, Edition, Piece
from newsletter.errors import NewsletterError
from newsletter.mailing import encode, headers
from newsletter.mailing.headers import Header
from newsletter.mailing.marks import Marks, return_path
from newsletter.mailing.sealing import BodyHash, Sealing
from newsletter.providers.base import Envelope, Merge, Recipient
from newsletter.providers.dkim import Signer
from newsletter.subscribers.tokens import Tokens

# In the headers of a Merge, beside the tokens of the edition.
MESSAGE = "__NL_MESSAGE__"  # what stands before the @ of the Message-ID
UNSUBSCRIBE_TOKEN = "__NL_UNSUBSCRIBE_TOKEN__"  # noqa: S105 - the name of a place
PREFERENCES_TOKEN = "__NL_PREFERENCES_TOKEN__"  # noqa: S105 - the same

VARIANTS_KEPT = 64  # of some 90 kB each
SAMPLE_NAME = "Sample Reader"
SAMPLE_READER = 0  # no reader has this id: links made for it open nobody's page

NOTHING = re.compile("(?!)")  # matches nothing

_CUT = re.compile(f"({'|'.join(TOKENS)})")
_HEADERS = -1  # the slot of a reader's own headers

# A value is put into the html part escaped, into the text part as it is.
_IN_TEXT = {token: slot for slot, token in enumerate(TOKENS)}
_IN_HTML = {token: slot + len(TOKENS) for token, slot in _IN_TEXT.items()}

Cut = tuple[str, tuple["bytes | int", ...]]  # when a piece is part of a copy, and its static runs and slots


@dataclass(frozen=True)
class _Variant:
    """The joined runs for one choice of subjects; `slots` says which of them a reader's value replaces."""

    runs: tuple[bytes, ...]
    slots: tuple[tuple[int, int], ...]  # place in `runs`, slot
    body: BodyHash | None  # where messages are signed


class Compiler:
    """Composes the messages of one mailing."""

    def __init__(  # noqa: PLR0913 - it is all that is the same for every reader, and made in one place
        self,
        edition: Edition,
        settings: Newsletter,
        list_name: str,
        secret: bytes,
        mailing_key: str,
        date: dt.datetime,
        *,
        mark: str = "",
        signer: Signer | None = None,
    ) -> None:
        """Prepare all that is the same for every reader.

        `mailing_key` is the mailing's name, `date` the moment it was frozen: with the same edition they give the same
        bytes on every attempt. `mark` stands before the subject of a test message, and `signer` is the carrier's.
        Raises NewsletterError when a header cannot be written.
        """
        headers.known_list(settings, list_name)
        self.edition = edition
        self.key = mailing_key
        self._settings = settings
        self._list = list_name
        self._date = date
        self._mark = mark
        self._tokens = Tokens(secret)
        self._marks = Marks(secret, mailing_key)
        self._return = return_path(settings.bounce)
        self._leave_url = encode.ascii_url(settings.leave_url(""))
        self._leave_mail = headers.leave_mail(settings)
        self._preferences_url = encode.ascii_url(settings.preferences_url(""))
        if len(self._leave_url) + len(self._tokens.leave(2**63 - 1, list_name)) > headers.LONGEST_URL:
            raise NewsletterError("newsletter.yaml: url: the address is too long to stand in a mail's header")
        self._domain = encode.ascii_domain(settings.domain)
        self._boundary = "=_" + hashlib.sha256(f"{edition.digest}/{mailing_key}".encode()).hexdigest()[:32]
        top = [*headers.shared(edition, settings, list_name, date, mark), *headers.multipart(self._boundary)]
        self._top = headers.lines(top)
        self._sealing = Sealing(signer, top, date, self._domain) if signer else None
        self._text = tuple(_cut(piece, _IN_TEXT) for piece in edition.text)
        self._html = tuple(_cut(piece, _IN_HTML) for piece in edition.html)
        self._used = tuple(t for t in TOKENS if any(t in piece.content for piece in (*edition.text, *edition.html)))
        self._variants: OrderedDict[frozenset[int] | None, _Variant] = OrderedDict()

    def compose(self, reader: int, address: str, name: str, chosen: frozenset[int] | None = None) -> Envelope:
        """Compose one reader's message with the chosen subjects (all, when None).

        The address must be one that `encode.unreachable` says nothing of.
        """
        variant = self._variant(chosen)
        recipient = encode.ascii_address(address)
        leave = self._tokens.leave(reader, self._list)
        leave_url = self._leave_url + leave
        message, mark = self._marks.both(reader)
        values = self._values(reader, leave_url, name)
        own = [
            ("To", encode.mailbox(name, recipient)),
            ("Message-ID", f"<{message}@{self._domain}>"),
            *headers.unsubscribe(self._leave_mail, leave_url, leave),
        ]
        values.append(self._own_headers(own, variant.body, values))
        runs = list(variant.runs)
        for place, slot in variant.slots:
            runs[place] = values[slot]
        return Envelope(
            reader=reader,
            key=f"{self.key}/{reader}",
            sender=self._return_path(mark),
            recipient=recipient,
            data=b"".join(runs),
            tag=self.edition.slug,
            dotless=True,  # see encode for the body; a header's line starts with its name or white space
        )

    def _return_path(self, mark: str) -> str:
        """Return the envelope's sender: opaque for each reader, or the sender's address when no bounce is set."""
        if self._return is None:
            return self._settings.sender.address
        local, domain = self._return
        return f"{local}{mark}{domain}"

    def fill(self, part: str, reader: int, name: str, *, html: bool) -> str:
        """Put a reader's values into joined text or html by plain substitution: what a message must parse back to."""
        values = self._plain(self._leave_url + self._tokens.leave(reader, self._list), reader, name)
        return _CUT.sub(lambda found: encode.escape(values[found[0]]) if html else values[found[0]], part)

    def merge(self, chosen: frozenset[int] | None = None, without: re.Pattern[str] = NOTHING) -> Merge:
        """Return one body for all readers of a choice, with tokens where their values belong.

        Of a reader's addresses only the end is left open, so that each reader takes few bytes of a request. Headers
        whose names match `without` as a whole are left out.
        """
        settings = self._settings
        own = [
            *headers.unsubscribe(self._leave_mail, self._leave_url + UNSUBSCRIBE_TOKEN, UNSUBSCRIBE_TOKEN),
            ("Message-ID", f"<{MESSAGE}@{self._domain}>"),
        ]
        given = ("From", "Reply-To", "Subject")
        rest = headers.shared(self.edition, settings, self._list, self._date)
        return Merge(
            subject=self._mark + self.edition.subject,
            sender=headers.from_(settings),
            reply_to=headers.reply_to(settings),
            html=self._with_ends(self.edition.join_html(chosen), encode.escape),
            text=self._with_ends(self.edition.join_text(chosen), str),
            headers=tuple(
                (k, v.replace("\r\n", "")) for k, v in (*own, *rest) if k not in given and not without.fullmatch(k)
            ),
        )

    def recipients(self, merge: Merge, readers: Sequence[tuple[int, str, str]]) -> tuple[Recipient, ...]:
        """Return the readers of a batch (id, address, name), with a plain value for every token that `merge` shows.

        A value costs more than all else that is done for a reader of a batch, so no other is made.
        """
        ids = [reader for reader, _, _ in readers]
        names = [encode.clean(name) for _, _, name in readers]
        makers: Mapping[str, Callable[[], list[str]]] = {
            UNSUBSCRIBE_TOKEN: lambda: self._tokens.leave_each(ids, self._list),
            PREFERENCES_TOKEN: lambda: self._tokens.preferences_each(ids, self._list),
            NAME: lambda: names,
            MESSAGE: lambda: list(map(self._marks.message, ids)),
        }
        columns = {token: make() for token, make in makers.items() if merge.shows(token)}
        values = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        addresses = [encode.ascii_address(address) for _, address, _ in readers]
        return tuple(map(Recipient, ids, addresses, names, values or [{} for _ in readers]))

    def _with_ends(self, content: str, written: Callable[[str], str]) -> str:
        content = content.replace(UNSUBSCRIBE, written(self._leave_url) + UNSUBSCRIBE_TOKEN)
        return content.replace(PREFERENCES, written(self._preferences_url) + PREFERENCES_TOKEN)

    def _plain(self, leave_url: str, reader: int, name: str) -> dict[str, str]:
        preferences_url = self._preferences_url + self._tokens.preferences(reader, self._list)
        return {UNSUBSCRIBE: leave_url, PREFERENCES: preferences_url, NAME: encode.clean(name)}

    def _values(self, reader: int, leave_url: str, name: str) -> list[bytes]:
        """Return what stands in each slot; only tokens that the theme uses are made."""
        plain = self._plain(leave_url, reader, name)
        values = [b""] * (2 * len(TOKENS))
        for token in self._used:
            value = plain[token]
            escaped = encode.escape(value)
            values[_IN_TEXT[token]] = quoted = encode.quote_value(value)
            values[_IN_HTML[token]] = quoted if escaped == value else encode.quote_value(escaped)
        return values

    def _own_headers(self, own: list[Header], body: BodyHash | None, values: list[bytes]) -> bytes:
        lines = "".join([f"{name}: {value}{encode.HARD_BREAK}" for name, value in own]).encode("ascii")
        if self._sealing is None or body is None:
            return lines
        return self._sealing.fields(own, body.of(values)) + lines

    def _variant(self, chosen: frozenset[int] | None) -> _Variant:
        """Return the runs of a choice. Several threads may be here at once: at worst two of them make the same."""
        found = self._variants.get(chosen)
        if found is None:
            found = self._variants[chosen] = _join(self._parts(chosen), sealed=self._sealing is not None)
            if len(self._variants) > VARIANTS_KEPT:
                self._variants.popitem(last=False)
            return found
        try:
            self._variants.move_to_end(chosen)
        except KeyError:  # another thread has just dropped it
            self._variants[chosen] = found
        return found

    def _parts(self, chosen: frozenset[int] | None) -> Iterator[bytes | int]:
        """Yield a message's runs and slots from its first header to its last boundary."""
        edition, boundary = self.edition, self._boundary
        yield _HEADERS
        yield self._top
        for kind, cuts, pieces in (("plain", self._text, edition.text), ("html", self._html, edition.html)):
            yield (
                f"\r\n--{boundary}\r\nContent-Type: text/{kind}; charset=utf-8\r\n"
                "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
            ).encode("ascii")
            shown = {piece.when for piece in edition.pieces(pieces, chosen)}
            for when, cut in cuts:
                if when in shown:
                    yield from cut
        yield f"\r\n--{boundary}--\r\n".encode("ascii")


def _cut(piece: Piece, slots: Mapping[str, int]) -> Cut:
    parts = _CUT.split(piece.content)
    return piece.when, tuple(slots[part] if part in slots else encode.quote_piece(part) for part in parts if part)


def _join(parts: Iterator[bytes | int], *, sealed: bool) -> _Variant:
    runs: list[bytes] = []
    slots: list[tuple[int, int]] = []
    static: list[bytes] = []
    for part in parts:
        if isinstance(part, bytes):
            static.append(part)
            continue
        runs.extend((b"".join(static), b""))
        static.clear()
        slots.append((len(runs) - 1, part))
    runs.append(b"".join(static))
    return _Variant(tuple(runs), tuple(slots), BodyHash(runs, slots) if sealed else None)


@dataclass(frozen=True)
class Sample:
    """A sample reader's copy: its html, its text, and the whole message."""

    html: str
    text: str
    message: bytes


def sample_copy(edition: Edition, project: Project, now: dt.datetime, list_name: str | None = None) -> Sample:
    """Make the copy of a sample reader at example.org.

    Its links are signed with no project's secret, so they open nobody's page and a build needs none.
    """
    list_name = list_name or next(iter(project.settings.lists))
    compiler = Compiler(edition, project.settings, list_name, b"sample", f"sample-{edition.slug}", now)
    return Sample(
        html=compiler.fill(edition.join_html(), SAMPLE_READER, SAMPLE_NAME, html=True),
        text=compiler.fill(edition.join_text(), SAMPLE_READER, SAMPLE_NAME, html=False),
        message=compiler.compose(SAMPLE_READER, "reader@example.org", SAMPLE_NAME).data,
    )
