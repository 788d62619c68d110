"""The opaque marks of a message: its Message-ID and its return path, both the same on every attempt.

A return path comes back in bounces, so whoever sends the mailing can read its reader from it; nobody else can, and
nobody else can make one. The mark is twelve bytes of HMAC over mailing and reader, then the reader's id under a mask
that is derived from those twelve bytes (the idea of RFC 5297: the signature is the nonce).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable

from newsletter.errors import NewsletterError
from newsletter.subscribers.tokens import derive

_SIGNATURE = 12
_READER = 8
_LONGEST_LOCAL_PART = 64  # RFC 5321, 4.5.3.1.1
_LENGTH = 32  # of a mark, in base32


class Marks:
    """Makes the marks of one mailing."""

    def __init__(self, secret: bytes, mailing: str) -> None:
        self._message_key = derive(secret, f"message-id/{mailing}")
        self._sign_key = derive(secret, f"return-path/{mailing}")
        self._mask_key = derive(secret, "return-path-mask")

    def message(self, reader: int) -> str:
        """Return what stands before the @ of a Message-ID."""
        return hmac.digest(self._message_key, b"%d" % reader, "sha256")[:16].hex()

    def bounce(self, reader: int) -> str:
        """Return the mark of a return path: 32 letters and digits, the same in upper and lower case."""
        plain = reader.to_bytes(_READER, "big")
        signature = hmac.digest(self._sign_key, plain, "sha256")[:_SIGNATURE]
        return base64.b32encode(signature + _masked(self._mask_key, signature, plain)).decode("ascii").lower()

    def read_bounce(self, mark: str) -> int | None:
        """Return the reader of a return path's mark; None when it is not one of this mailing's."""
        try:
            data = base64.b32decode(mark.upper())
        except (binascii.Error, ValueError):
            return None
        signature, masked = data[:_SIGNATURE], data[_SIGNATURE:]
        plain = _masked(self._mask_key, signature, masked)
        expected = hmac.digest(self._sign_key, plain, "sha256")[:_SIGNATURE]
        if len(plain) != _READER or not hmac.compare_digest(signature, expected):
            return None
        return int.from_bytes(plain, "big")


def _masked(key: bytes, signature: bytes, data: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(data, hmac.digest(key, signature, "sha256"), strict=False))


def who_bounced(secret: bytes, mark: str, mailings: Iterable[str]) -> tuple[str, int] | None:
    """Return the mailing and reader of a mark that came back, looked for among the names of recent mailings."""
    for mailing in mailings:
        reader = Marks(secret, mailing).read_bounce(mark)
        if reader is not None:
            return mailing, reader
    return None


def return_path(bounce: str | None) -> tuple[str, str] | None:
    """Split the bounce address at the place of the mark; None when there is none and the sender's address serves.

    Raises NewsletterError when the mark does not fit into the local part.
    """
    if bounce is None:
        return None
    local, _, domain = bounce.rpartition("@")
    if len(local) + 1 + _LENGTH > _LONGEST_LOCAL_PART:
        longest = _LONGEST_LOCAL_PART - _LENGTH - 1
        raise NewsletterError(
            f"newsletter.yaml: bounce: '{local}' is too long for a mark behind it; use at most {longest} characters"
        )
    return f"{local}+", f"@{domain}"
