"""What Mailjet reports of messages later: unsigned events, one or several in a list (guide on events, 2023)."""

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
    "sent": Report.DELIVERED,  # "the destination server has accepted the message"
    "bounce": Report.BOUNCED,
    "blocked": Report.REFUSED,
    "spam": Report.COMPLAINED,
    "unsub": Report.LEFT,
}
_SECOND_COPY = "duplicate in campaign"  # of a request that was repeated; the first copy was sent
_MARKS = re.compile("([0-9]{1,18})-([0-9a-f]{24})")
_STATUS = re.compile(r"\b[245]\.[0-9]{1,3}\.[0-9]{1,3}\b")


def read_reports(call: HookCall, secret: str) -> tuple[Feedback, ...]:
    """Read a report. Events of other kinds give nothing. Raises ForgedFeedbackError without the secret."""
    check_secret(call, secret, "mailjet")
    try:
        said = json.loads(call.body)
    except (ValueError, RecursionError):
        return ()
    read = [_report(event) for event in (said if isinstance(said, list) else [said]) if isinstance(event, dict)]
    return tuple(report for report in read if report is not None)


def _report(event: Mapping[str, Any]) -> Feedback | None:
    report = _REPORTS.get(str(event.get("event")))
    marks = _MARKS.fullmatch(str(event.get("CustomID")))
    address = str(event.get("email") or "")
    if report is None or event.get("error") == _SECOND_COPY or not (marks or address):
        return None
    reply = one_line(str(event.get("smtp_reply") or event.get("comment") or ""))
    status = _STATUS.search(reply)
    return Feedback(
        report,
        int(marks[1]) if marks else None,
        issue=str(event.get("Payload") or ""),
        chunk=marks[2] if marks else "",
        address="" if marks else address,
        at=_moment(event.get("time")),
        hard=event.get("hard_bounce") is True,
        status=status[0] if status else "",
        detail=one_line(str(event.get("error") or "")) or reply,
        id=f"{event.get('event')}/{event.get('MessageID')}/{event.get('time')}",
    )


def _moment(stamp: object) -> dt.datetime | None:
    if not isinstance(stamp, int) or isinstance(stamp, bool) or not 0 <= stamp < 100_000_000_000:
        return None
    return dt.datetime.fromtimestamp(stamp, dt.UTC)
