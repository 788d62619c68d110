"""The body of a SendGrid request: one text for all readers, and for each reader the values that SendGrid puts into it.

SendGrid's substitutions replace a tag of our choice by a value, and read nothing else as a tag: neither braces, which
only dynamic templates know, nor <%…%>, for which the request would have to name a group (vendor's pages on substitution
tags and on unsubscribes, 2026).
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from newsletter.providers.base import Batch, Recipient, opaque
from newsletter.providers.mailbox import mailbox

# Headers that the OpenAPI (January 2026) forbids, and what SendGrid puts into every message itself.
THEIR_HEADERS = re.compile(
    "x-sg-.*|x-smtpapi|received|dkim-.*|content-.*|mime-version|from|to|cc|bcc|subject|reply-to|date|sender|return-path",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Tags:
    """Which tag stands for which token, in plain text and in html, where values are escaped."""

    plain: Mapping[str, str]
    html: Mapping[str, str]

    def values(self, recipient: Recipient) -> dict[str, str]:
        """Return what a reader's tags stand for; only tokens that a body shows have one."""
        own = recipient.values
        return {
            **{tag: own[token] for token, tag in self.plain.items()},
            **{tag: html.escape(own[token]) for token, tag in self.html.items()},
        }


def write(batch: Batch, *, test_mode: bool) -> bytes:
    """Write the request's body: the same bytes for the same batch."""
    merge = batch.merge
    tags = _tags(batch)
    shown, address = mailbox(merge.sender)
    said: dict[str, Any] = {
        "personalizations": list(_personalizations(batch, tags)),
        "from": {"email": address, "name": shown} if shown else {"email": address},
        "subject": _place(merge.subject, tags.plain),
        "content": [  # plain text has to stand first (vendor's page, 2026)
            {"type": "text/plain", "value": _place(merge.text, tags.plain)},
            {"type": "text/html", "value": _place(merge.html, tags.html)},
        ],
        "categories": [batch.tag],
        "tracking_settings": {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": {"enable": False},
            "subscription_tracking": {"enable": False},
            "ganalytics": {"enable": False},
        },
        "mail_settings": {"footer": {"enable": False}, "sandbox_mode": {"enable": test_mode}},
    }
    if merge.reply_to:
        said["reply_to"] = {"email": merge.reply_to}
    return _json(said)


def largest_values(batch: Batch) -> int:
    """Return the bytes that one reader's tags and values take at most."""
    tags = _tags(batch)
    return max(len(_json(tags.values(recipient))) for recipient in batch.recipients)


def _personalizations(batch: Batch, tags: _Tags) -> Iterator[dict[str, Any]]:
    """Yield what is each reader's own. SendGrid does not say whether it reads tags in headers, so there are none."""
    headers = {name: value for name, value in batch.merge.headers if not THEIR_HEADERS.fullmatch(name)}
    tokens = _used(batch, headers.values())
    filled = [name for name, value in headers.items() if any(token in value for token in tokens)]
    mark = opaque(batch.key)
    for recipient in batch.recipients:
        own = {token: recipient.values[token] for token in tokens}
        yield {
            "to": [{"email": recipient.address}],
            "headers": {**headers, **{name: _place(headers[name], own) for name in filled}},
            "substitutions": tags.values(recipient),
            "custom_args": {"reader": str(recipient.reader), "chunk": mark},
        }


def _tags(batch: Batch) -> _Tags:
    """Choose tags that no text and no value of the batch contains, so that nothing can be taken for one of them."""
    merge = batch.merge
    texts = [merge.subject, merge.text, merge.html]
    texts += [value for recipient in batch.recipients for value in recipient.values.values()]
    mark = "nl"
    while any(f"-{mark}_" in text for text in texts):
        mark = f"nl{mark}"

    def tags(tokens: Iterable[str], kind: str) -> dict[str, str]:
        return {token: f"-{mark}_{kind}{number}-" for number, token in enumerate(tokens)}

    return _Tags(tags(_used(batch, (merge.subject, merge.text)), ""), tags(_used(batch, (merge.html,)), "html"))


def _used(batch: Batch, texts: Iterable[str]) -> list[str]:
    known = tuple(texts)
    return [token for token in batch.recipients[0].values if any(token in text for text in known)]


def _place(text: str, instead: Mapping[str, str]) -> str:
    """Put something in the place of each token, in one pass: what it holds is not read again."""
    if not instead:
        return text
    return re.sub("|".join(map(re.escape, instead)), lambda found: instead[found[0]], text)


def _json(said: object) -> bytes:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
