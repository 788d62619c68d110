"""What Amazon SES reports of messages, by way of Amazon SNS: signed notifications, with an event in each.

"Verifying the signatures of Amazon SNS messages" and "Contents of event data that Amazon SES publishes" (vendor's
pages, 2026). Our reader id comes back in the tags of events that a configuration set publishes; notifications that are
set up for an identity bring no tags, only the address.
"""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from newsletter.providers.base import one_line
from newsletter.providers.feedback import REPLAY_WINDOW, Feedback, ForgedFeedbackError, HookCall, Report

# SNS repeats a notification for an hour at most, with the time of the first (vendor's page on retries, 2026).
_REPEATED_FOR = dt.timedelta(hours=1)
# The whole address is pinned and not only its host: a query could make SNS itself answer with a stranger's words.
_CERTIFICATE = re.compile(
    r"https://sns\.[a-z0-9-]{3,40}\.amazonaws\.com(\.cn)?/SimpleNotificationService-[0-9a-f]{16,64}\.pem"
)
_CONFIRMS = re.compile(r"https://sns\.[a-z0-9-]{3,40}\.amazonaws\.com(\.cn)?/\?Action=ConfirmSubscription&[!-~]+")
_SIGNED: Mapping[str, tuple[str, ...]] = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    **dict.fromkeys(
        ("SubscriptionConfirmation", "UnsubscribeConfirmation"),
        ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
}
# For each kind of event: what it says, the part that has more of it, and where that part keeps the readers.
_KINDS = {
    "Send": (Report.TAKEN, "send", ""),
    "DeliveryDelay": (Report.TAKEN, "deliveryDelay", "delayedRecipients"),
    "Delivery": (Report.DELIVERED, "delivery", "recipients"),
    "Bounce": (Report.BOUNCED, "bounce", "bouncedRecipients"),
    "Complaint": (Report.COMPLAINED, "complaint", "complainedRecipients"),
    "Reject": (Report.REFUSED, "reject", ""),
    "RenderingFailure": (Report.REFUSED, "failure", ""),
}
_SUPPRESSED = frozenset({"Suppressed", "OnAccountSuppressionList", "UnsubscribedRecipient"})
_DETAILS = ("diagnosticCode", "smtpResponse", "complaintFeedbackType", "reason", "errorMessage", "delayType")


def read(call: HookCall, topic: str) -> tuple[Feedback, ...]:
    """Read a notification of the topic with this ARN. Raises ForgedFeedbackError before anything is believed.

    What SNS says of subscriptions, and events that tell nothing of a delivery, give nothing.
    """
    notice = _verified(call, topic)
    try:
        event = json.loads(notice["Message"]) if notice["Type"] == "Notification" else None
    except (ValueError, RecursionError):  # SES tries a new topic out with a plain sentence
        return ()
    return tuple(_reports(event)) if isinstance(event, dict) and isinstance(event.get("mail"), dict) else ()


def confirmation(call: HookCall, topic: str) -> str | None:
    """Return the address that confirms a subscription to the topic when it is opened; None for any other notice.

    Raises ForgedFeedbackError as `read` does, and for an address that is not SNS's own.
    """
    notice = _verified(call, topic)
    if notice["Type"] != "SubscriptionConfirmation":
        return None
    if not _CONFIRMS.fullmatch(notice["SubscribeURL"]):
        raise ForgedFeedbackError("the address that is to confirm the subscription is not Amazon's")
    return notice["SubscribeURL"]


def _verified(call: HookCall, topic: str) -> dict[str, str]:
    """Return a notice's fields once the topic, the time, the certificate and the signature are right.

    Anybody may have a topic that SNS signs for, so the signature alone would say nothing.
    """
    try:
        said = json.loads(call.body)
    except (ValueError, RecursionError):
        said = None
    notice = {k: v for k, v in said.items() if isinstance(v, str)} if isinstance(said, dict) else {}
    names = [n for n in _SIGNED.get(notice.get("Type", ""), ()) if n != "Subject" or n in notice]
    if not names or not all(name in notice for name in names):
        raise ForgedFeedbackError("this is no signed notice of Amazon SNS")
    if not topic or not hmac.compare_digest(notice["TopicArn"].encode(), topic.encode()):
        raise ForgedFeedbackError("the notice is of another topic of Amazon SNS than ours")
    moment = _moment(notice["Timestamp"])
    if moment is None or not -REPLAY_WINDOW <= call.received - moment <= _REPEATED_FOR + REPLAY_WINDOW:
        raise ForgedFeedbackError("the notice of Amazon SNS is too old, or from the future")
    _check_signature(call, notice, "".join(f"{name}\n{notice[name]}\n" for name in names).encode())
    return notice


def _check_signature(call: HookCall, notice: Mapping[str, str], said: bytes) -> None:
    from cryptography import x509  # noqa: PLC0415 - only those who are told of events need it
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415

    kinds: Mapping[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303 - SNS's default
    kind, url = kinds.get(notice.get("SignatureVersion", "")), notice.get("SigningCertURL", "")
    if kind is None or call.fetch is None or not _CERTIFICATE.fullmatch(url):
        raise ForgedFeedbackError("the notice's certificate is not at Amazon SNS, or its signature of an unknown kind")
    try:
        certificate = x509.load_pem_x509_certificate(call.fetch(url))
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise ForgedFeedbackError("the notice's certificate has no RSA key")
        key.verify(base64.b64decode(notice.get("Signature", "")), said, padding.PKCS1v15(), kind)
    except (ValueError, InvalidSignature):
        raise ForgedFeedbackError("the signature of the notice is not right") from None
    if not certificate.not_valid_before_utc <= call.received <= certificate.not_valid_after_utc:
        raise ForgedFeedbackError("the certificate of the notice was not valid then")


def _reports(event: Mapping[str, Any]) -> Iterator[Feedback]:
    name = str(event.get("eventType", event.get("notificationType", ""))).replace(" ", "")
    if name not in _KINDS:
        return
    report, part, place = _KINDS[name]
    mail, about = event["mail"], _mapping(event.get(part))
    if about.get("complaintFeedbackType") == "not-spam":  # a reader who took it out of the junk again
        return
    subtype = str(about.get("bounceSubType") or about.get("complaintSubType") or "")
    kept_back = subtype in _SUPPRESSED
    recipients = about.get(place) or mail.get("destination")
    identity = about.get("feedbackId") or f"{mail.get('messageId')}/{name}"
    for number, recipient in enumerate(recipients if isinstance(recipients, list) else [None]):
        own = recipient if isinstance(recipient, dict) else {"emailAddress": recipient or ""}
        told = next((text for text in ((own | about).get(key) for key in _DETAILS) if text), subtype)
        yield Feedback(
            report=Report.REFUSED if kept_back else report,
            reader=_reader(mail),
            issue=_tag(mail, "issue"),
            chunk=_tag(mail, "chunk"),
            address=str(own.get("emailAddress", "")),
            at=_moment(about.get("timestamp")) or _moment(mail.get("timestamp")),
            hard=kept_back or about.get("bounceType") == "Permanent",
            status=one_line(str(own.get("status") or ""), 20),
            detail=one_line(str(told)),
            id=one_line(f"{identity}/{number}" if number else str(identity)),
        )


def _reader(mail: Mapping[str, Any]) -> int | None:
    found = _tag(mail, "reader")
    return int(found) if re.fullmatch("[0-9]{1,18}", found) else None


def _tag(mail: Mapping[str, Any], name: str) -> str:
    values = _mapping(mail.get("tags")).get(name)
    return str(values[0]) if isinstance(values, list) and values else ""


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _moment(text: object) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
