"""Signs compiled messages by DKIM: what is the same for every reader is canonicalised, and hashed, once.

A body's runs and values all start at the start of a line and end at the end of one (see encode), and DKIM canonicalises
each line for itself. So the canonical body is a join of canonical parts, and its hash goes on from where the first
value stands.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence

from newsletter.mailing.headers import Header
from newsletter.providers.dkim import Signer, relaxed_field, relaxed_lines

# What is signed (RFC 6376, 5.4.1; RFC 8058, 4 for List-Unsubscribe): first what all copies share, so that it is
# canonicalised once, then what each has for itself. Gmail counts complaints by a Feedback-ID only if it is signed.
_SHARED = ("From", "Reply-To", "Subject", "Date", "List-Id", "Feedback-ID", "MIME-Version", "Content-Type")
_OWN = ("To", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post")
# Named once more, so that nobody adds a second one that a mail program might show instead.
_ONLY_ONE = ("From", "To", "Subject", "Date", "Reply-To", "Content-Type")


class Sealing:
    """Makes the signatures of one mailing's messages."""

    def __init__(self, signer: Signer, shared: Sequence[Header], date: dt.datetime, domain: str) -> None:
        """Prepare them; `shared` are the headers that all messages have, `domain` is the sender's."""
        self._seal = signer.seal((*_SHARED, *_OWN, *_ONLY_ONE), int(date.timestamp()), domain)
        found = dict(shared)
        self._signed = _relaxed([(name, found[name]) for name in _SHARED])

    def fields(self, own: Sequence[Header], body_hash: bytes) -> bytes:
        """Return the DKIM-Signature fields of a message with these headers of its own."""
        found = dict(own)
        return self._seal.fields(self._signed + _relaxed([(name, found[name]) for name in _OWN]), body_hash)


def _relaxed(headers: Sequence[Header]) -> bytes:
    return b"".join([relaxed_field(f"{name}: {value}".encode("ascii")) + b"\r\n" for name, value in headers])


class BodyHash:
    """Hashes the body of messages that have the same runs and only other values in the slots."""

    def __init__(self, runs: Sequence[bytes], slots: Sequence[tuple[int, int]]) -> None:
        """Hash what stands before the first value.

        The first slot is that of a reader's own headers, and the body starts in the run behind it.
        """
        (headers, _), *inner = slots
        start = runs[headers + 1].partition(b"\r\n\r\n")[2]
        self._prefix = hashlib.sha256(relaxed_lines(start))
        self._rest = tuple((slot, relaxed_lines(runs[place + 1])) for place, slot in inner)

    def of(self, values: Sequence[bytes]) -> bytes:
        """Return the SHA-256 of a message's canonical body, given what stands in each slot."""
        hashed = self._prefix.copy()
        parts: list[bytes] = []
        for slot, run in self._rest:
            parts += (relaxed_lines(values[slot]), run)
        hashed.update(b"".join(parts))
        return hashed.digest()
