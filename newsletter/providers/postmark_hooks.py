"""What Postmark reports of its messages: bounces, complaints, deliveries, and readers who left by its own way out.

Reports are not signed (vendor's page on webhooks, 2026): the address they are sent to holds the secret, as its last
segment or as the password of basic authentication.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from typing import Any

from newsletter.providers.base import one_line
from newsletter.providers.feedback import Feedback, HookCall, Report
from newsletter.providers.secret_address import check_secret

# Bounce types by the vendor's page on bounces (2026). All that is not named here is a bounce that may pass.
_HARD = frozenset({"HardBounce", "BadEmailAddress"})
_NO_BOUNCE = frozenset({"Transient", "AutoResponder", "AddressChange", "Subscribe", "ChallengeVerification"})
_REFUSED = frozenset({"SMTPApiError", "TemplateRenderingFailed"})
_STATUS = re.compile(r"\b[245]\.[0-9]{1,3}\.[0-9]{1,3}\b")


def read(call: HookCall, secret: str) -> tuple[Feedback, ...]:
    """Read a report. Raises ForgedFeedbackError when it does not bring the secret."""
    check_secret(call, secret, "postmark")
    try:
        said = json.loads(call.body)
    except (ValueError, RecursionError):
        return ()
    report = _report(said) if isinstance(said, dict) else None
    return () if report is None else (_feedback(said, report),)


def _report(said: Mapping[str, Any]) -> Report | None:
    kind, bounce = said.get("RecordType"), said.get("Type")
    if kind == "Delivery":
        return Report.DELIVERED
    if kind == "SpamComplaint":
        return Report.COMPLAINED
    if kind == "Bounce":
        if bounce in _NO_BOUNCE:
            return Report.TAKEN
        if bounce == "Unsubscribe":  # somebody answered with the wish to leave
            return Report.LEFT
        return Report.REFUSED if bounce in _REFUSED else Report.BOUNCED
    # Suppressions after bounces and complaints are told of by those; what we or Postmark's staff did is no wish.
    by_reader = said.get("Origin") == "Recipient" and said.get("SuppressionReason") in ("ManualSuppression", None)
    left = kind == "SubscriptionChange" and said.get("SuppressSending") is True and by_reader
    return Report.LEFT if left else None


def _feedback(said: Mapping[str, Any], report: Report) -> Feedback:
    metadata = said.get("Metadata")
    ours = metadata if isinstance(metadata, dict) else {}
    reader = str(ours.get("reader", ""))
    known = re.fullmatch("[0-9]{1,18}", reader) is not None
    detail = _text(said, "Details") or _text(said, "Description")
    status = _STATUS.search(detail)
    return Feedback(
        report=report,
        reader=int(reader) if known else None,
        issue=_text(said, "Tag"),
        chunk=str(ours.get("chunk", "")),
        address="" if known else _text(said, "Email") or _text(said, "Recipient"),
        at=_moment(_text(said, "DeliveredAt") or _text(said, "BouncedAt") or _text(said, "ChangedAt")),
        hard=report is Report.BOUNCED and said.get("Type") in _HARD,
        status=status[0] if status else "",
        detail=one_line(detail),
        id=_name(said),
    )


def _name(said: Mapping[str, Any]) -> str:
    """Name a report, the same when it is sent twice: bounces have a number, the others their message and moment."""
    number = said.get("ID")
    rest = f"{_text(said, 'MessageID')}/{_text(said, 'DeliveredAt') or _text(said, 'ChangedAt')}"
    return f"{said['RecordType']}/{number if isinstance(number, int) else rest}"


def _moment(text: str) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    return value if isinstance(value, str) else ""
