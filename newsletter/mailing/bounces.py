"""Reads the messages that come back: whose copy each is about, and what became of it.

Only the mark of the return path tells that (marks.py): who cannot make one changes nothing, and who was sent one can
speak of its reader alone. So it is looked for first, and where it stands does not matter. What a message says is read
from its machine-readable part (RFC 3464, RFC 5965), never from its words: nothing follows from the answer of somebody
who is away, nor is that told from a bounce in words by its Auto-Submitted (RFC 3834), which servers write into both.
"""

from __future__ import annotations

import datetime as dt
import email
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from email.message import Message

from sqlalchemy import Engine, exists, select

from newsletter.database.engine import reading
from newsletter.mailing.marks import who_bounced
from newsletter.mailing.outcomes import without_addresses
from newsletter.mailing.reports import BELIEVED_FOR
from newsletter.mailing.tables import delivery, mailing
from newsletter.providers.base import one_line, opaque
from newsletter.providers.feedback import Feedback, Report

MAX_BYTES = 1024 * 1024  # of a message; what the machines wrote stands before the copy they return

_GONE = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"})  # RFC 3463, RFC 7505; 5.1.7 and 5.1.8 are our faults
_PASSING = frozenset({"delayed", "relayed", "expanded"})  # of RFC 3464, 2.3.3
_STATUS = re.compile(r"(?<![\d.])[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![\d.]*\d)")  # and no part of an IP address
_MOST_MARKS = 10
_MOST_OF_A_FIELD = 1000  # characters


@dataclass(frozen=True)
class Returned:
    """What one message says.

    `report` is None when nothing follows from it; `understood` tells whether that is because it says so. `name` is the
    message's own, the same when it comes twice.
    """

    report: Report | None = None
    hard: bool = False
    status: str = ""
    detail: str = ""
    understood: bool = False
    name: str = ""


@dataclass(frozen=True)
class Copy:
    """One reader's copy of a mailing; `issue` is the tag it was sent with."""

    mailing: str
    issue: str
    reader: int


def marks_in(data: bytes, bounce: str) -> tuple[str, ...]:
    """Return what looks like a mark in a message, wherever it stands, the outermost headers' first.

    `bounce` is the address that marks are put into. Only the first ten count: each is tried on every recent mailing.
    """
    local, _, domain = (re.escape(piece.encode()) for piece in bounce.rpartition("@"))
    ours = re.compile(rb"(?<![\w.+-])" + local + rb"\+([0-9a-f]{32})@" + domain + rb"(?![\w.-])", re.IGNORECASE)
    found = (match[1].decode().lower() for match in ours.finditer(data[:MAX_BYTES]))
    return tuple(itertools.islice(dict.fromkeys(found), _MOST_MARKS))


def whose(engine: Engine, secret: bytes, marks: Sequence[str], now: dt.datetime) -> Copy | None:
    """Return the copy that the first mark of ours belongs to: of a mailing that began within 30 days, to its reader."""
    began = mailing.c.started_at >= now - BELIEVED_FOR
    with reading(engine) as connection:
        recent = {row.name: row for row in connection.execute(select(mailing).where(began))} if marks else {}
        for mark in marks:
            found = who_bounced(secret, mark, recent)
            if found is None:
                continue
            name, reader = found
            frozen = exists().where(delivery.c.mailing == recent[name].id, delivery.c.reader == reader)
            if connection.execute(select(frozen)).scalar_one():
                return Copy(name, recent[name].issue, reader)
    return None


def feedback(said: Returned, copy: Copy, at: dt.datetime) -> Feedback | None:
    """Say of a copy what its message says, which arrived `at`; None when nothing follows from it."""
    if said.report is None:
        return None
    own = f"{copy.mailing}/{copy.reader}"
    name = hashlib.sha256("\n".join((own, said.report, said.status, said.name)).encode("utf-8", "replace")).hexdigest()
    return Feedback(
        said.report,
        copy.reader,
        copy.issue,
        opaque(own),
        at=at,
        hard=said.hard,
        status=said.status,
        detail=said.detail,
        id=name[:32],
    )


def read(data: bytes) -> Returned:
    """Read a message, of which the first megabyte counts. What cannot be read says nothing."""
    try:
        message = email.message_from_bytes(data[:MAX_BYTES])
        said = _said(list(_parts(message)))
        return replace(said, name=_field(message, "Message-ID") or hashlib.sha256(data).hexdigest())
    except Exception:  # noqa: BLE001 - Python's parser raises many things over what strangers write
        return Returned()


def _said(parts: Sequence[Message]) -> Returned:
    status = _blocks(part for part in parts if "delivery-status" in part.get_content_subtype())
    abuse = _blocks(part for part in parts if part.get_content_subtype() == "feedback-report")
    return _of_status(status) if status else _of_abuse(abuse)


def _parts(message: Message) -> Iterator[Message]:
    """Go through the parts, but not into messages that are within: those are not what the sender says."""
    if message.get_content_maintype() != "multipart":
        yield message
        return
    for part in _inner(message):
        yield from _parts(part)


def _inner(part: Message) -> list[Message]:
    inner = part.get_payload()
    return [one for one in inner if isinstance(one, Message)] if isinstance(inner, list) else []


def _blocks(parts: Iterable[Message]) -> list[Message]:
    """Return the groups of fields of machine-readable parts."""
    found = []
    for block in (one for part in parts for one in _inner(part)):
        found.append(block)
        rest = block.get_payload()  # of a kind that Python does not know, it has read the first group alone
        if isinstance(rest, str):
            found += [email.message_from_string(text) for text in re.split(r"\n\s*\n", rest) if text.strip()]
    return found


def _of_status(blocks: Sequence[Message]) -> Returned:
    """Read a delivery report.

    A reader's address may stand for several: it is gone only when all of them are. Some servers write 5.1.1 over
    whatever the other one said, so what they quote must not say something else.
    """
    told = [(action, block) for block in blocks if (action := _word(block, "Action"))]
    failed = [block for action, block in told if action == "failed"]
    if failed:
        quoted = [_field(block, "Diagnostic-Code") for block in failed]
        codes = [_status_of(block) for block in failed]
        hard = len(failed) == len(told) and _GONE.issuperset([*codes, *_STATUS.findall(" ".join(quoted))])
        detail = one_line(without_addresses(quoted[0]))
        return Returned(report=Report.BOUNCED, hard=hard, status=codes[0], detail=detail, understood=True)
    if any(action == "delivered" for action, _ in told):
        return Returned(report=Report.DELIVERED, understood=True)
    return Returned(understood=any(action in _PASSING for action, _ in told))


def _of_abuse(blocks: Sequence[Message]) -> Returned:
    complained = any(_word(block, "Feedback-Type") == "abuse" for block in blocks)
    return Returned(report=Report.COMPLAINED, understood=True) if complained else Returned()


def _status_of(block: Message) -> str:
    found = _STATUS.search(_field(block, "Status"))
    return found[0] if found else ""


def _word(block: Message, name: str) -> str:
    """Return the first word of a field in lower case; comments may stand after it."""
    found = re.match(r"[a-z-]+", _field(block, name).lower())
    return found[0] if found else ""


def _field(block: Message, name: str) -> str:
    return str(block.get(name, "")).strip()[:_MOST_OF_A_FIELD]
