"""The messages of a Mailjet batch: what is the same for all readers is written in JSON once, then filled for each."""

from __future__ import annotations

import re

from newsletter.providers.base import Batch, opaque
from newsletter.providers.json_pieces import Html, Pieces, Slot
from newsletter.providers.mailbox import mailbox

# Headers that refuse a message (guide on headers, 2023), those with a property of their own among them, and those that
# Mailjet writes itself.
THEIR_HEADERS = re.compile(
    "from|sender|subject|to|cc|bcc|reply-to|return-path|delivered-to|dkim-signature|domainkey-status|received-spf"
    "|authentication-results|received|x-mailjet-.*|user-agent|x-mailer|x-mj-.*|x-feedback-id|list-id|date"
    "|x-csa-complaints|message-id|mime-version|content-.*",
    re.IGNORECASE,
)
# [[var:x]] and [[data:x]] are replaced in every body, also where the template language is off (Anymail's docs, 2026).
# There is no way to quote them, so the brackets are kept apart by what no reader sees.
_PERSONALISED = re.compile(r"\[(?=\[[A-Za-z]+[:_])")
_APART = "[\u2060"
_APART_IN_HTML = "&#91;"


def custom_id(batch: Batch, reader: int) -> str:
    """Name a message: the reader's id and the mark of the batch, which come back in results and events."""
    return f"{reader}-{opaque(batch.key)}"


def write(batch: Batch, *, sandbox: bool) -> bytes:
    """Write the body: the same bytes for the same batch.

    The values are put in here. Mailjet could do it with its template language, but a message with an error in it is
    taken and then not sent, and any brace of the content may be one.
    """
    pieces = Pieces(_message(batch), batch.recipients[0].values)
    messages = []
    for one in batch.recipients:
        values = {token: _PERSONALISED.sub(_APART, value) for token, value in one.values.items()}
        messages.append(pieces.fill({**values, "address": one.address, "id": custom_id(batch, one.reader)}))
    return b'{%b"Messages":[%b]}' % (b'"SandboxMode":true,' if sandbox else b"", b",".join(messages))


def _message(batch: Batch) -> dict[str, object]:
    merge = batch.merge
    name, address = mailbox(merge.sender)
    return {
        "From": {"Email": address, **({"Name": name} if name else {})},
        "To": [{"Email": Slot("address")}],
        **({"ReplyTo": {"Email": merge.reply_to}} if merge.reply_to else {}),
        "Subject": _PERSONALISED.sub(_APART, merge.subject),
        "TextPart": _PERSONALISED.sub(_APART, merge.text),
        "HTMLPart": Html(_PERSONALISED.sub(_APART_IN_HTML, merge.html)),
        "TemplateLanguage": False,
        "TrackOpens": "disabled",
        "TrackClicks": "disabled",
        "CustomCampaign": opaque(batch.mailing or batch.key),
        "DeduplicateCampaign": True,
        "CustomID": Slot("id"),
        "EventPayload": batch.tag,
        "Headers": {name: value for name, value in merge.headers if not THEIR_HEADERS.fullmatch(name)},
    }
