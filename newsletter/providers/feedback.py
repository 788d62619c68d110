"""What a carrier reports of a message later: that it arrived, bounced, or was complained of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from newsletter.errors import NewsletterError

REPLAY_WINDOW = dt.timedelta(minutes=10)  # a signed report that is older, or that far ahead, is refused
MAX_BODY = 4 * 1024 * 1024  # bytes of one report


class ForgedFeedbackError(NewsletterError):
    """A report whose signature, secret or time is not right; nothing of it is believed."""


class Hooks(StrEnum):
    """How the reports of a carrier can be told from a stranger's."""

    NONE = "none"  # it sends none
    SIGNED = "signed"  # a signature over the raw bytes
    SECRET = "secret address"  # unsigned: only the address, or a password in it, tells  # noqa: S105


class Report(StrEnum):
    """What a report says of one message."""

    TAKEN = "taken"  # the carrier has it, and has handed it on or tries to: so it did leave us
    DELIVERED = "delivered"
    BOUNCED = "bounced"  # `hard` says whether the address is gone for good
    COMPLAINED = "complained"
    LEFT = "left"  # the reader used the carrier's own way out
    REFUSED = "refused"  # the carrier did not send it (an address on its own list of suppressions, say)


@dataclass(frozen=True)
class Feedback:
    """One report. `reader` is our id, None when the carrier did not bring it back; `address` is what it named then.

    `issue` is the tag that was sent, `chunk` the mark of the batch where the carrier returns it (`base.opaque`);
    `id` is the carrier's name of the report itself, the same when it is sent twice. `at` is aware.
    """

    report: Report
    reader: int | None
    issue: str = ""
    chunk: str = ""
    address: str = ""
    at: dt.datetime | None = None
    hard: bool = False
    status: str = ""  # the enhanced status code, 5.1.1
    detail: str = ""
    id: str = ""


@dataclass(frozen=True)
class HookCall:
    """A report as it came in. `headers` have names in lower case; `body` is raw; `received` is aware.

    `fetch` gets a certificate by its address, for the one carrier that signs with one; it refuses other hosts itself.
    """

    headers: Mapping[str, str]
    body: bytes
    url: str
    received: dt.datetime
    fetch: Callable[[str], bytes] | None = None
