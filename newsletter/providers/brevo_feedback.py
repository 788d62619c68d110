"""What Brevo reports of messages later: unsigned webhooks, one event each or a list of them (vendor's pages, 2026)."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from typing import Any

from newsletter.providers.base import one_line
from newsletter.providers.feedback import Feedback, HookCall, Report
from newsletter.providers.secret_address import check_secret

_REPORTS = {
    "request": Report.TAKEN,
    "deferred": Report.TAKEN,
    "delivered": Report.DELIVERED,
    "hard_bounce": Report.BOUNCED,
    "soft_bounce": Report.BOUNCED,
    "invalid_email": Report.BOUNCED,
    "spam": Report.COMPLAINED,
    "unsubscribed": Report.LEFT,
    "unsubscribe": Report.LEFT,
    "blocked": Report.REFUSED,
    "error": Report.REFUSED,
}
_HARD = frozenset({"hard_bounce", "invalid_email"})
_STATUS = re.compile(r"\b[245]\.[0-9]{1,3}\.[0-9]{1,3}\b")
_MILLISECONDS = 100_000_000_000  # a stamp beyond it is not in seconds: they would be of the year 5138


def read_reports(call: HookCall, secret: str) -> tuple[Feedback, ...]:
    """Read a webhook. Events of other kinds give nothing. Raises ForgedFeedbackError without the secret."""
    check_secret(call, secret, "brevo")
    said = _parsed(call.body)
    events = said if isinstance(said, list) else [said]
    read = [_report(event) for event in events if isinstance(event, dict)]
    return tuple(report for report in read if report is not None)


def _report(event: Mapping[str, Any]) -> Feedback | None:
    kind = str(event.get("event"))
    report = _REPORTS.get(kind)
    ours = _parsed(str(event.get("X-Mailin-custom")))
    marks = ours if isinstance(ours, dict) else {}
    reader, chunk = str(marks.get("reader", "")), str(marks.get("chunk", ""))
    known = re.fullmatch("[0-9]{1,18}", reader) is not None
    address = str(event.get("email") or "")
    if report is None or not (known or address):
        return None
    tags = event.get("tags")
    issues = [str(tag) for tag in tags if tag != chunk] if isinstance(tags, list) else []
    reason = one_line(str(event.get("reason") or ""))
    status = _STATUS.search(reason)
    return Feedback(
        report,
        int(reader) if known else None,
        issue=issues[0] if issues else "",
        chunk=chunk,
        address="" if known else address,
        at=_moment(event.get("ts_epoch")),
        hard=kind in _HARD,
        status=status[0] if status else "",
        detail=reason,
        id=f"{kind}/{event.get('message-id')}/{event.get('ts_epoch')}",  # "id" is the webhook's
    )


def _moment(stamp: object) -> dt.datetime | None:
    """Read the one stamp that is always in UTC, in milliseconds; the examples of the page show seconds."""
    if not isinstance(stamp, int) or isinstance(stamp, bool) or not 0 <= stamp < 1000 * _MILLISECONDS:
        return None
    return dt.datetime.fromtimestamp(stamp / 1000 if stamp > _MILLISECONDS else stamp, dt.UTC)


def _parsed(text: str | bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
