"""The contract between a mailing and whoever carries it.

A carrier takes either one message at a time, ready to go (MessageCarrier: a folder, SMTP), or one body with the fields
of many readers (BatchCarrier: an API that merges on its side). Both answer with outcomes, never with exceptions for
what a network may do: an exception means that the run must stop with nobody marked as failed.

One carrier serves several threads at once: whatever it keeps open, each call has for itself.
"""

from __future__ import annotations

import hashlib
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from newsletter.config import Settings
from newsletter.errors import StoppedError
from newsletter.providers.dkim import Signer
from newsletter.providers.feedback import Feedback, HookCall, Hooks

# What most carriers put into every message themselves; a second one of these would contradict it.
USUAL_HEADERS = re.compile(
    "from|to|cc|bcc|subject|reply-to|date|message-id|sender|return-path|mime-version|content-.*|dkim-.*|received",
    re.IGNORECASE,
)

_NOT_PRINTED = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


class Outcome(StrEnum):
    """What became of a message, as far as the carrier's answer tells."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"  # this reader's message was refused for good
    DEFERRED = "deferred"  # it surely did not leave; it may be tried again
    UNKNOWN = "unknown"  # it may or may not have left; it must not be tried blindly


class Guard(StrEnum):
    """What keeps a second copy from arriving when a first answer was lost."""

    NONE = "none"
    REPEATABLE = "repeatable"  # the same reader again makes no second copy, whoever else is in the request, for ever
    KEY = "key"  # the same key with the same bytes makes no second copy, for `window` seconds; `lookup` may go on then
    LOOKUP = "lookup"  # the carrier can be asked which readers it has


class Envelope(NamedTuple):
    """One reader's message, ready to go. `data` has CRLF line ends.

    A tuple and no dataclass, because one is made for every reader.
    """

    reader: int
    key: str  # the mailing's name, then the reader's id: stable over retries
    sender: str  # the return path
    recipient: str
    data: bytes
    tag: str = ""  # names the issue
    dotless: bool = False  # whether it was made so that no line starts with a dot; else SMTP looks for such lines


@dataclass(frozen=True)
class Merge:
    """One body for many readers, with `__NL_...__` tokens where a reader's fields belong, in headers too."""

    subject: str
    sender: str  # the From header's value, encoded
    reply_to: str | None
    html: str
    text: str
    headers: tuple[tuple[str, str], ...]

    def shows(self, token: str) -> bool:
        """Say whether a token stands anywhere in it."""
        given = (self.subject, self.sender, self.reply_to or "", self.html, self.text)
        return any(token in text for text in (*given, *(value for _, value in self.headers)))


class Recipient(NamedTuple):
    """A reader of a batch: id, address, name, and a value for each token that the batch shows.

    A tuple, because there are so many.
    """

    reader: int
    address: str
    name: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Batch:
    """A chunk for a carrier that merges.

    `key` is the same on every attempt with the same readers; `tag` names the issue, and may be seen by the carrier.
    `mailing` names issue and list, as `key` begins; both leave the house only through `opaque`.
    """

    key: str
    tag: str
    merge: Merge
    recipients: tuple[Recipient, ...]
    mailing: str = ""


@dataclass(frozen=True)
class Receipt:
    """What a carrier answered for one message or batch.

    `outcome` holds for every reader that `exceptions` does not name. `retry_after` is in seconds.
    `split` says that a rejected batch was refused as a whole, for the sake of one bad address or of its size: nothing
    of it left, and its halves are to be delivered as batches of their own, down to the one reader who is to blame.
    """

    outcome: Outcome
    detail: str = ""
    reference: str = ""
    retry_after: float | None = None
    exceptions: Mapping[int, tuple[Outcome, str]] = field(default_factory=dict)
    split: bool = False


class ProviderStoppedError(StoppedError):
    """The carrier refuses us, not a reader: a wrong key, a closed account. The run stops."""


class Provider(ABC):
    """What every carrier says of itself."""

    name: ClassVar[str]
    guard: ClassVar[Guard] = Guard.NONE
    chunk_size: ClassVar[int]  # most readers in one chunk of the ledger
    max_bytes: ClassVar[int | None] = None  # of one request; what is built larger is answered as `split`, and not sent
    window: ClassVar[float] = 0.0  # seconds; how long Guard.KEY holds
    hooks: ClassVar[Hooks] = Hooks.NONE  # how the carrier tells of bounces later, and whether that can be verified
    settings: ClassVar[type[Settings]]  # what newsletter.yaml may say below `provider:`
    connections: int = 1  # how many calls may be under way at once
    rate: float | None = None  # calls a second that were agreed on; None: as fast as it goes
    domains: Mapping[str, float] = MappingProxyType({})  # messages a second, by recipients' domain in lower case
    signer: Signer | None = None  # signs messages before `deliver`; None: nobody does, or the carrier itself

    @classmethod
    def open(cls, settings: Any, root: Path) -> Provider:  # noqa: ARG003 - for those who override it
        """Make the carrier from its settings, a value of `cls.settings`; relative paths start at `root`.

        Every carrier that the settings file can name has this. Raises NewsletterError when a secret is missing.
        """
        raise TypeError(f"{cls.__name__} cannot be named in the settings")

    @abstractmethod
    def describe(self) -> str:
        """Say in a few words where mail goes, without any secret: 'smtp 127.0.0.1:25'."""

    def place(self) -> str:
        """Say where a look-up finds, or a repetition meets, what was sent before; "" when nothing depends on it.

        While part of a mailing has left, it does not go on at another place. Nothing secret belongs into it.
        """
        return ""

    def readers_per_request(self, copy_bytes: int) -> int:
        """Say how many readers fit into one request when each copy has so many bytes."""
        del copy_bytes
        return self.chunk_size

    def probe(self) -> str | None:
        """Ask whether the key works, sending nothing; return what the carrier said, None when it cannot be asked.

        Raises ProviderStoppedError when the key does not work, TryLaterError when nobody answers.
        """
        return None

    @classmethod
    def feedback(cls, call: HookCall, secret: str) -> tuple[Feedback, ...]:
        """Read what a carrier reports of messages. Raises ForgedFeedbackError, before anything of it is believed."""
        del call, secret
        raise TypeError(f"{cls.__name__} reports nothing")

    def close(self) -> None:  # noqa: B027 - most carriers hold nothing open
        """Let go of connections; sending again opens them anew. No other call is under way."""


class MessageCarrier(Provider):
    """Carries one message per call."""

    @abstractmethod
    def deliver(self, envelope: Envelope, following: Envelope | None = None) -> Receipt:
        """Hand one message over. Raises ProviderStoppedError when the carrier refuses us altogether.

        `following` is what will be handed over next by the same caller, if nothing comes up: a carrier may prepare for
        it, as long as nothing can be delivered of it before its own turn. What comes up is told by `retract`.
        """

    def retract(self, envelope: Envelope) -> None:
        """Take back the preparation for a message that was named as the following one. Never raises."""
        del envelope

    def knows(self, envelope: Envelope) -> bool | None:
        """Say whether the carrier has this message; None when it cannot be asked."""
        del envelope
        return None


class BatchCarrier(Provider):
    """Carries one body for many readers per call."""

    their_headers: ClassVar[re.Pattern[str]] = USUAL_HEADERS  # whole names of those that the carrier writes itself
    lag: ClassVar[float] = 0.0  # seconds before an absent reader in a look-up counts as absent
    memory: ClassVar[float] = (
        math.inf
    )  # seconds after which the carrier may have forgotten: absence proves nothing then

    @abstractmethod
    def deliver(self, batch: Batch) -> Receipt:
        """Hand one batch over, in one request. Raises ProviderStoppedError as above."""

    def lookup(self, batch: Batch) -> Mapping[int, Outcome] | None:
        """Ask what the carrier did for the readers of a batch; None when it cannot be asked.

        A reader who is not named is one the carrier does not have, if the request left more than `lag` and less than
        `memory` seconds ago.
        """
        del batch
        return None


def opaque(name: str) -> str:
    """Make a name of ours (a mailing, a chunk) fit to leave the house: 24 hexadecimal digits that tell nothing."""
    return hashlib.sha256(name.encode()).hexdigest()[:24]


def one_line(text: str | bytes, limit: int = 200) -> str:
    """Make what a server said fit for a report: one line without control characters, at most `limit` characters."""
    known = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    line = known[: 4 * limit].strip()
    if not line.isprintable() or "  " in line:
        line = _NOT_PRINTED.sub(" ", line).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"
