"""What SendGrid's event webhook reports, and the signature that tells it from a stranger's.

ECDSA on P-256 over the time stamp and the raw body, to its last line end (vendor's page on securing it, 2026).
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from collections.abc import Mapping
from typing import Any

from newsletter.providers.base import one_line
from newsletter.providers.feedback import REPLAY_WINDOW, Feedback, ForgedFeedbackError, HookCall, Report

_SIGNATURE = "x-twilio-email-event-webhook-signature"
_TIME = "x-twilio-email-event-webhook-timestamp"

# Events by the vendor's page on them (2026). Opens, clicks and those who come back to a group say nothing of a message.
_EVENTS = {
    "processed": Report.TAKEN,
    "deferred": Report.TAKEN,
    "delivered": Report.DELIVERED,
    "bounce": Report.BOUNCED,
    "dropped": Report.REFUSED,
    "spamreport": Report.COMPLAINED,
    "unsubscribe": Report.LEFT,
    "group_unsubscribe": Report.LEFT,
}
_STATUS = re.compile(r"\b[245]\.[0-9]{1,3}\.[0-9]{1,3}\b")


def read(call: HookCall, secret: str) -> tuple[Feedback, ...]:
    """Read a report, many events in one. `secret` is the public key as SendGrid shows it, in base64.

    Raises ForgedFeedbackError when it is not signed by that key, or not at about this time.
    """
    _verify(call, secret)
    try:
        events = json.loads(call.body)
    except (ValueError, RecursionError):
        return ()
    known = [one for one in events if isinstance(one, dict)] if isinstance(events, list) else []
    return tuple(_feedback(one, _EVENTS[str(one.get("event"))]) for one in known if str(one.get("event")) in _EVENTS)


def _verify(call: HookCall, public_key: str) -> None:
    """Check time and signature before anything is read."""
    # Only a program that takes in reports needs it, and it is slow to load.
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    stamp = call.headers.get(_TIME, "")
    try:
        key = load_der_public_key(base64.b64decode(public_key, validate=True))
        if not isinstance(key, EllipticCurvePublicKey):
            raise ForgedFeedbackError("sendgrid: the secret for its reports is not the public key that SendGrid shows")
        signature = base64.b64decode(call.headers.get(_SIGNATURE, ""), validate=True)
        key.verify(signature, stamp.encode() + call.body, ECDSA(SHA256()))
    except (ValueError, InvalidSignature, UnsupportedAlgorithm):
        raise ForgedFeedbackError("sendgrid: a report came without the right signature") from None
    signed = _moment(int(stamp)) if re.fullmatch("[0-9]{1,12}", stamp) else None
    if signed is None or abs(call.received - signed) > REPLAY_WINDOW:
        raise ForgedFeedbackError("sendgrid: a report came that was signed at another time")


def _feedback(event: Mapping[str, Any], report: Report) -> Feedback:
    """Read one event; our own fields stand among SendGrid's, as strings."""
    reader = str(event.get("reader", ""))
    known = re.fullmatch("[0-9]{1,18}", reader) is not None
    detail = _text(event, "reason") or _text(event, "response")
    status = _STATUS.search(_text(event, "status")) or _STATUS.search(detail)
    tags = event.get("category")
    return Feedback(
        report=report,
        reader=int(reader) if known else None,
        issue=str(tags[0] if isinstance(tags, list) and tags else tags or ""),
        chunk=_text(event, "chunk"),
        address="" if known else _text(event, "email"),
        at=_moment(event.get("timestamp")),
        hard=report is Report.BOUNCED and event.get("type") == "bounce",  # the other type is "blocked", which may pass
        status=status[0] if status else "",
        detail=one_line(detail),
        id=_text(event, "sg_event_id"),
    )


def _moment(seconds: object) -> dt.datetime | None:
    try:
        return dt.datetime.fromtimestamp(int(str(seconds)), dt.UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _text(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    return value if isinstance(value, str) else ""
