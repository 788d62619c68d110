"""The body of a Brevo batch: what is the same for all readers once, then a version for each."""

from __future__ import annotations

import re
from collections.abc import Mapping

from newsletter.errors import NewsletterError
from newsletter.providers.base import USUAL_HEADERS, Batch, opaque
from newsletter.providers.brevo_merge import params
from newsletter.providers.json_pieces import Pieces, Slot, encode
from newsletter.providers.mailbox import mailbox

_MAX_PARAMS = 1_000_000  # bytes of all readers' params (API reference, 2026)

_SPECIALS = re.compile(r'[()<>@,;:\\".\[\]]')


class TooManyParamsError(NewsletterError):
    """The readers' values are longer than Brevo takes in one request."""


def write(batch: Batch, control: Mapping[str, str]) -> bytes:
    """Write the body; `control` are headers that Brevo reads and does not send. Raises TooManyParamsError.

    `headers` of a version are not among the types of SDK 6.0. The types of the one before had them (brevo-java), and
    Anymail and Swoosh send them: List-Unsubscribe is each reader's own. All headers are given there, for it is not said
    whether those of a version add to the common ones or replace them.
    """
    merge = batch.merge
    own = params(batch)
    common = {
        "sender": _sender(merge.sender),
        **({"replyTo": {"email": merge.reply_to}} if merge.reply_to else {}),
        "subject": own.place(merge.subject),
        "htmlContent": own.place_html(merge.html),
        "textContent": own.place(merge.text),
        # The first is what a look-up goes by.
        "tags": [opaque(batch.key), batch.tag],
        "headers": dict(control),
    }
    frame = Pieces(_frame(batch), batch.recipients[0].values)
    values = own.pieces()
    chunk = opaque(batch.key)
    versions, size = [], 0
    for one in batch.recipients:
        filled = values.fill(own.values(one))
        marks = f'{{"reader":"{one.reader}","chunk":"{chunk}"}}'
        rest = frame.fill({**one.values, "address": one.address, "marks": marks})
        size += len(filled)
        versions.append(b'%b,"params":%b}' % (rest[:-1], filled))
    if size > _MAX_PARAMS:
        raise TooManyParamsError(f"the readers' values have {size} bytes, brevo takes {_MAX_PARAMS} at once")
    return b'%b,"messageVersions":[%b]}' % (encode(common)[:-1], b",".join(versions))


def _frame(batch: Batch) -> dict[str, object]:
    """Make the template of a version, without the params."""
    headers = {
        name: value
        for name, value in batch.merge.headers
        if not USUAL_HEADERS.fullmatch(name) and _leaves_as_written(value)
    }
    # Opens and clicks are not to be tied to a reader, where the account tracks them at all (SDK 6.0).
    to = {"email": Slot("address"), "contactPixelTrackingConsent": False}
    return {"to": [to], "headers": {**headers, "X-Mailin-custom": Slot("marks")}}


def _leaves_as_written(value: str) -> bool:
    """Brevo sends other characters than ASCII as raw 8 bit, and decodes encoded words first (Anymail's docs, 2026).

    Such a header makes a mail invalid, so it is left out: it cannot be helped by encoding it.
    """
    return value.isascii() and "=?" not in value


def _sender(header: str) -> dict[str, str]:
    """Brevo drops a name that holds both other characters than ASCII and specials, unless it is encoded (Anymail)."""
    name, address = mailbox(header)
    if not name:
        return {"email": address}
    if not name.isascii() and _SPECIALS.search(name):
        name = header.rpartition("<")[0].strip()
    return {"name": name, "email": address}
