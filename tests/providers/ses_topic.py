"""A topic of Amazon SNS with a key and a certificate of its own, that signs what it reports as SNS does."""

from __future__ import annotations

import base64
import datetime as dt
import functools
import json
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from newsletter.providers.feedback import HookCall

ARN = "arn:aws:sns:eu-west-1:123456789012:weekly-mail"
CERTIFICATE = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem"
NOON = dt.datetime(2016, 4, 22, 12, tzinfo=dt.UTC)
MAIL = {
    "timestamp": "2016-04-22T11:58:00.000Z",
    "messageId": "0102018e-0001",
    "destination": ["reader7@example.org"],
    "tags": {"ses:configuration-set": ["weekly"], "reader": ["7"], "issue": ["2016-04-22"], "chunk": ["ab12"]},
}


@functools.cache
def key() -> rsa.RSAPrivateKey:
    """Make the topic's key, once for all tests."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def certificate(begins: dt.datetime = NOON - dt.timedelta(days=30)) -> bytes:
    """Make a certificate of the topic's key that is good for 90 days."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = x509.CertificateBuilder(name, name, key().public_key(), 1, begins, begins + dt.timedelta(days=90))
    return made.sign(key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def event(kind: str, part: str = "", /, **about: Any) -> dict[str, Any]:
    """Make an event as SES publishes it."""
    return {"eventType": kind, "mail": MAIL, **({part: about} if part else {})}


def notice(message: object, **changes: Any) -> dict[str, Any]:
    """Make a notification, not signed yet; a change to None leaves a field out."""
    given = {
        "Type": "Notification",
        "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
        "TopicArn": ARN,
        "Subject": "Amazon SES Email Event Notification",
        "Message": message if isinstance(message, str) else json.dumps(message),
        "Timestamp": "2016-04-22T11:59:30.000Z",
        "SignatureVersion": "1",
        "SigningCertURL": CERTIFICATE,
        "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
        **changes,
    }
    return {name: value for name, value in given.items() if value is not None}


def confirmation(**changes: Any) -> dict[str, Any]:
    """Make the notice that asks to confirm a subscription."""
    url = f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={ARN}&Token=2336412f"
    asked = {"Type": "SubscriptionConfirmation", "Token": "2336412f", "SubscribeURL": url, "Subject": None}
    return notice("You have chosen to subscribe to the topic.", **{**asked, **changes})


def signed(given: dict[str, Any]) -> dict[str, Any]:
    """Sign a notice: each signed field's name and value on lines of their own, by name."""
    asked = ["Message", "MessageId", "SubscribeURL", "Subject", "Timestamp", "Token", "TopicArn", "Type"]
    said = "".join(f"{name}\n{given[name]}\n" for name in asked if name in given)
    digest = hashes.SHA256() if given.get("SignatureVersion") == "2" else hashes.SHA1()  # noqa: S303 - as SNS does
    signature = key().sign(said.encode(), padding.PKCS1v15(), digest)
    return {**given, "Signature": base64.b64encode(signature).decode()}


def call(given: object, *, received: dt.datetime = NOON, pem: bytes | None = None) -> HookCall:
    """Make the call of the hook."""
    body = given if isinstance(given, bytes) else json.dumps(given).encode()
    headers = {"content-type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": "Notification"}
    return HookCall(headers, body, "https://news.example.org/hooks/ses", received, lambda _: pem or certificate())


def report(message: object, **changes: Any) -> HookCall:
    """Make the call for a signed notification."""
    return call(signed(notice(message, **changes)))
