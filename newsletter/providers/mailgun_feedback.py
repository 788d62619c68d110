"""What Mailgun reports of messages later: signed webhooks, one event each (vendor's pages on webhooks, 2026)."""

from __future__ import annotations

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
    "accepted": Report.TAKEN,
    "delivered": Report.DELIVERED,
    "failed": Report.BOUNCED,
    "rejected": Report.REFUSED,
    "complained": Report.COMPLAINED,
    "unsubscribed": Report.LEFT,
}
_SUPPRESSED = "suppress-"  # the reasons of a failure that Mailgun made up itself, from its list of suppressions


def read_report(call: HookCall, key: str) -> tuple[Feedback, ...]:
    """Read one webhook; `key` is the account's webhook signing key. Events of other kinds give nothing.

    The signature is HMAC-SHA256 of timestamp and token, written one after the other; it does not cover the event, so
    its age is all that keeps a signature seen elsewhere from being used again. Raises ForgedFeedbackError.
    """
    said = _object(_parsed(call.body))
    _verify(_object(said.get("signature")), key, call.received)
    event = _object(said.get("event-data"))
    report = _REPORTS.get(str(event.get("event")))
    if report is None:
        return ()
    ours, status, tags = _object(event.get("user-variables")), _object(event.get("delivery-status")), event.get("tags")
    reader = str(ours.get("reader", ""))
    reason = str(event.get("reason", ""))
    if report is Report.BOUNCED and reason.startswith(_SUPPRESSED):
        report = Report.REFUSED
    detail = status.get("message") or status.get("description") or _object(event.get("reject")).get("reason") or reason
    return (
        Feedback(
            report,
            int(reader) if re.fullmatch("[0-9]{1,18}", reader) else None,
            issue=str(tags[0]) if isinstance(tags, list) and tags else "",
            chunk=str(ours.get("chunk", "")),
            address=str(event.get("recipient", "")),
            at=_moment(event.get("timestamp")),
            hard=event.get("severity") == "permanent",
            status=one_line(str(status.get("enhanced-code") or "")),
            detail=one_line(str(detail)),
            id=str(event.get("id", "")),
        ),
    )


def _verify(signature: Mapping[str, Any], key: str, now: dt.datetime) -> None:
    timestamp, token = str(signature.get("timestamp", "")), str(signature.get("token", ""))
    right = hmac.new(key.encode(), (timestamp + token).encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(right.encode(), str(signature.get("signature", "")).encode()):
        raise ForgedFeedbackError("mailgun: a report's signature is wrong; check the webhook signing key")
    at = _moment(timestamp)
    if at is None or abs(now - at) > REPLAY_WINDOW:
        raise ForgedFeedbackError("mailgun: a report's signature is too old, or of a time to come; check the clock")


def _moment(stamp: object) -> dt.datetime | None:
    """Read seconds since 1970, with or without a fraction."""
    if not re.fullmatch(r"[0-9]{1,11}(\.[0-9]+)?", str(stamp)):
        return None
    return dt.datetime.fromtimestamp(float(str(stamp)), dt.UTC)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ForgedFeedbackError("mailgun: a report is not JSON") from None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
