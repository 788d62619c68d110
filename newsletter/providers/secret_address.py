"""Tells a carrier's unsigned reports from a stranger's: by a secret in the address they are sent to."""

from __future__ import annotations

import base64
import binascii
import hmac
import urllib.parse

from newsletter.providers.feedback import ForgedFeedbackError, HookCall


def check_secret(call: HookCall, secret: str, provider: str) -> None:
    """Believe a report that brings the secret, as the last part of its path or as the password (RFC 7617).

    Both are written into the address that the carrier is given: https://any:SECRET@host/... or https://host/.../SECRET.
    Raises ForgedFeedbackError, before anything of the body was read.
    """
    last = urllib.parse.urlsplit(call.url).path.rpartition("/")[2]
    given = (urllib.parse.unquote(last), _password(call.headers.get("authorization", "")))
    if not secret or not any(hmac.compare_digest(one.encode(), secret.encode()) for one in given):
        raise ForgedFeedbackError(f"{provider}: a report came without the secret; check the address it is sent to")


def _password(authorization: str) -> str:
    kind, _, credentials = authorization.partition(" ")
    try:
        decoded = base64.b64decode(credentials, validate=True).decode() if kind.lower() == "basic" else ""
    except (binascii.Error, ValueError):
        return ""
    return decoded.partition(":")[2]
