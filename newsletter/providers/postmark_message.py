"""The messages of a Postmark batch: what is the same for all readers is written in JSON once, then filled for each."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from newsletter.providers.base import Batch, Recipient, opaque
from newsletter.providers.mailbox import mailbox

# What Postmark puts into every message itself.
THEIR_HEADERS = re.compile(
    "from|to|cc|bcc|subject|reply-to|date|sender|return-path|mime-version|content-transfer-encoding|content-type"
    "|dkim-.*|received|x-pm-.*",
    re.IGNORECASE,
)
# Postmark replaces {{{ pm:unsubscribe }}} in both bodies (support page on unsubscribe links, 2026). There is no way to
# quote it, so the braces are kept apart by what no reader sees.
_PLACEHOLDER = re.compile(r"\{(?=\{{1,2}\s*pm:)")
_APART = "{\u2060"
_APART_IN_HTML = "&#123;"
_HTML = "&"  # marks a slot whose value is escaped for html
_ADDRESS, _READER = "address", "reader"  # slots that are no tokens


@dataclass(frozen=True)
class _Slot:
    """A place for a reader's value."""

    name: str


def write(batch: Batch, stream: str) -> bytes:
    """Write the array of messages: the same bytes for the same batch."""
    pieces = [piece if isinstance(piece, _Slot) else piece.encode() for piece in _join(_template(batch, stream))]
    slots = {piece.name for piece in pieces if isinstance(piece, _Slot)}
    written: list[bytes] = []  # joined once: a copy of 500 long messages takes longer than all the rest
    for recipient in batch.recipients:
        values = {name: _value(name, recipient) for name in slots}
        written.append(b"," if written else b"[")
        written += [values[piece.name] if isinstance(piece, _Slot) else piece for piece in pieces]
    return b"".join([*written, b"]"])


def _template(batch: Batch, stream: str) -> Iterator[str | _Slot]:
    """Yield one message in JSON. The tokens of the batch are slots: what only looks like one stays as it is."""
    merge = batch.merge
    tokens = re.compile(f"({'|'.join(map(re.escape, batch.recipients[0].values)) or '(?!)'})")
    yield f'{{"From":{_json(_mailbox(merge.sender))},"To":"'
    yield _Slot(_ADDRESS)
    yield '","Subject":"'
    yield from _cut(merge.subject, tokens)
    yield '","HtmlBody":"'
    yield from _cut(_PLACEHOLDER.sub(_APART_IN_HTML, merge.html), tokens, _HTML)
    yield '","TextBody":"'
    yield from _cut(_PLACEHOLDER.sub(_APART, merge.text), tokens)
    if merge.reply_to:
        yield f'","ReplyTo":{_json(merge.reply_to)},"Headers":['
    else:
        yield '","Headers":['
    # Without it Postmark writes a Message-ID of its own over ours (vendor's page on SMTP, 2026).
    yield '{"Name":"X-PM-KeepID","Value":"true"}'
    for name, value in merge.headers:
        if not THEIR_HEADERS.fullmatch(name):
            yield f',{{"Name":{_json(name)},"Value":"'
            yield from _cut(value, tokens)
            yield '"}'
    yield f'],"MessageStream":{_json(stream)},"Tag":{_json(batch.tag)},"TrackOpens":false,"TrackLinks":"None"'
    yield ',"Metadata":{"reader":"'
    yield _Slot(_READER)
    yield f'","chunk":"{opaque(batch.key)}"}}}}'


def _cut(text: str, tokens: re.Pattern[str], kind: str = "") -> Iterator[str | _Slot]:
    for number, part in enumerate(tokens.split(text)):
        yield _Slot(kind + part) if number % 2 else _json(part)[1:-1]


def _join(parts: Iterator[str | _Slot]) -> list[str | _Slot]:
    """Make one of the strings that stand beside each other."""
    joined: list[str | _Slot] = []
    for part in parts:
        if joined and isinstance(part, str) and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def _value(slot: str, recipient: Recipient) -> bytes:
    """Return what stands in a slot, in JSON. Called for the slots of the body only, so that no other value leaves."""
    if slot == _ADDRESS:
        text = recipient.address
    elif slot == _READER:
        text = str(recipient.reader)
    elif slot.startswith(_HTML):
        text = _PLACEHOLDER.sub(_APART_IN_HTML, html.escape(recipient.values[slot.removeprefix(_HTML)]))
    else:
        text = _PLACEHOLDER.sub(_APART, recipient.values[slot])
    return _json(text)[1:-1].encode()


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _mailbox(sender: str) -> str:
    """Write a From header's value as Postmark takes it: in UTF-8, with the name in quotes."""
    name, address = mailbox(sender)
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>' if name else address
