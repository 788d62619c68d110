"""What Mailchimp reports of an audience later: unsigned forms, one event each (vendor's page on webhooks, 2026)."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import urllib.parse

from newsletter.providers.base import one_line
from newsletter.providers.feedback import Feedback, HookCall, Report
from newsletter.providers.mailchimp_merge import READER
from newsletter.providers.secret_address import check_secret

# By kind, what was done, and why. Staff who delete or archive somebody tidy up, and nobody left; the report on a whole
# campaign names no reader; and one whose address changed there is not ours to rename.
_REPORTS = {
    ("unsubscribe", "unsub", "manual"): Report.LEFT,
    ("unsubscribe", "unsub", "abuse"): Report.COMPLAINED,
    ("cleaned", "", "hard"): Report.BOUNCED,
    ("cleaned", "", "abuse"): Report.COMPLAINED,
}


def read_report(call: HookCall, secret: str) -> tuple[Feedback, ...]:
    """Read one form. Raises ForgedFeedbackError when it does not bring the secret."""
    check_secret(call, secret, "mailchimp")
    try:
        said = dict(urllib.parse.parse_qsl(call.body.decode("utf-8", "replace"), max_num_fields=500))
    except ValueError:  # more fields than that
        return ()
    kind, reason = said.get("type", ""), said.get("data[reason]", "")
    report = _REPORTS.get((kind, said.get("data[action]", ""), reason))
    address = said.get("data[email]", "")
    if report is None or not address:
        return ()
    reader = said.get(f"data[merges][{READER}]", "")
    return (
        Feedback(
            report,
            int(reader) if re.fullmatch("[0-9]{1,18}", reader) else None,
            address=address,
            at=_moment(said.get("fired_at", "")),
            hard=report is Report.BOUNCED,
            detail=one_line(f"mailchimp: {kind}, {reason}"),
            id=hashlib.sha256(call.body).hexdigest()[:24],  # it has no name of its own, and the same form is the same
        ),
    )


def _moment(fired_at: str) -> dt.datetime | None:
    try:
        return dt.datetime.strptime(fired_at, "%Y-%m-%d %H:%M:%S").replace(tzinfo=dt.UTC)
    except ValueError:
        return None
