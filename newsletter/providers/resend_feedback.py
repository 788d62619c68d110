"""What Resend reports of messages later: webhooks that are signed by Svix, one event each.

The events are those of Resend's own OpenAPI 1.5, the signature that of Svix's page on verifying by hand (2026).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

from newsletter.providers.base import one_line
from newsletter.providers.feedback import REPLAY_WINDOW, Feedback, ForgedFeedbackError, HookCall, Report

_REPORTS = {
    "email.sent": Report.TAKEN,
    "email.delivery_delayed": Report.TAKEN,
    "email.delivered": Report.DELIVERED,
    "email.bounced": Report.BOUNCED,
    "email.complained": Report.COMPLAINED,
    "email.failed": Report.REFUSED,
    "email.suppressed": Report.REFUSED,
}
_WHY = ("bounce", "failed", "suppressed")  # the part of an event that says why
_STATUS = re.compile(r"\b[245]\.[0-9]{1,3}\.[0-9]{1,3}\b")


def read_report(call: HookCall, secret: str) -> tuple[Feedback, ...]:
    """Read one webhook; `secret` is written whsec_ and base64. Events of other kinds give nothing.

    Raises ForgedFeedbackError for a wrong signature, and for one that is too old.
    """
    _verify(call, secret)
    said = _object(_parsed(call.body))
    data = _object(said.get("data"))
    report = _REPORTS.get(str(said.get("type")))
    if report is None:
        return ()
    tags = _object(data.get("tags"))
    why: Mapping[str, Any] = next((_object(data[part]) for part in _WHY if part in data), {})
    reader = str(tags.get("reader", ""))
    known = re.fullmatch("[0-9]{1,18}", reader) is not None
    to = data.get("to")
    replies = why.get("diagnosticCode")
    status = _STATUS.search(" ".join(map(str, replies))) if isinstance(replies, list) else None
    feedback = Feedback(
        report,
        int(reader) if known else None,
        issue=str(tags.get("issue", "")),
        chunk=str(tags.get("chunk", "")),
        address=str(to[0]) if not known and isinstance(to, list) and to else "",
        at=_moment(said.get("created_at")),
        hard=why.get("type") == "Permanent",
        status=status[0] if status else "",
        detail=one_line(str(why.get("message") or why.get("reason") or "")),
        id=call.headers.get("svix-id", ""),
    )
    return (feedback,) if known or feedback.address else ()


def _verify(call: HookCall, secret: str) -> None:
    """Compare each signature (several are valid while a secret is being changed), then the age."""
    identity, stamp = call.headers.get("svix-id", ""), call.headers.get("svix-timestamp", "")
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    signed = f"{identity}.{stamp}.".encode() + call.body
    right = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    given = call.headers.get("svix-signature", "").split()
    if not key or not any(hmac.compare_digest(right, one.encode()) for one in given):
        raise ForgedFeedbackError("resend: a report's signature is wrong; check the signing secret, whsec_...")
    at = dt.datetime.fromtimestamp(int(stamp), dt.UTC) if re.fullmatch("[0-9]{1,11}", stamp) else None
    if at is None or abs(call.received - at) > REPLAY_WINDOW:
        raise ForgedFeedbackError("resend: a report's signature is too old, or of a time to come; check the clock")


def _moment(text: object) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
