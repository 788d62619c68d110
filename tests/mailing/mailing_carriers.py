"""Carriers that do as a script says: the moods of networks, on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from newsletter.providers.base import (
    Batch,
    BatchCarrier,
    Envelope,
    Guard,
    MessageCarrier,
    Outcome,
    Receipt,
)

ACCEPTED = Receipt(Outcome.ACCEPTED)
REJECTED = Receipt(Outcome.REJECTED, "550 no such user")
DEFERRED = Receipt(Outcome.DEFERRED, "450 later")
UNKNOWN = Receipt(Outcome.UNKNOWN, "no reply after the message")


def always(receipt: Receipt) -> Callable[[int], Receipt]:
    return lambda _: receipt


@dataclass
class Messages(MessageCarrier):
    """One message at a time; `answer` is asked with the reader's id and may raise."""

    name: ClassVar[str] = "messages"
    guard: ClassVar[Guard] = Guard.NONE
    chunk_size: ClassVar[int] = 1

    answer: Callable[[int], Receipt] = lambda _: ACCEPTED
    sent: list[Envelope] = field(default_factory=list)
    prepared: list[int] = field(default_factory=list)
    retracted: list[int] = field(default_factory=list)
    where: str = ""
    connections: int = 1
    rate: float | None = None
    domains: Mapping[str, float] = field(default_factory=dict)

    def describe(self) -> str:
        return "a scripted carrier"

    def place(self) -> str:
        return self.where

    def deliver(self, envelope: Envelope, following: Envelope | None = None) -> Receipt:
        receipt = self.answer(envelope.reader)
        if following is not None:
            self.prepared.append(following.reader)
        if receipt.outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN):
            self.sent.append(envelope)
        return receipt

    def retract(self, envelope: Envelope) -> None:
        self.retracted.append(envelope.reader)

    @property
    def readers(self) -> list[int]:
        return [envelope.reader for envelope in self.sent]


@dataclass
class Repeatable(Messages):
    """The same message again makes no second copy."""

    name: ClassVar[str] = "repeatable"
    guard: ClassVar[Guard] = Guard.REPEATABLE
    chunk_size: ClassVar[int] = 4


@dataclass
class Asked(Messages):
    """A carrier of messages that can be asked for one."""

    name: ClassVar[str] = "asked"
    guard: ClassVar[Guard] = Guard.LOOKUP
    has: frozenset[int] = frozenset()

    def knows(self, envelope: Envelope) -> bool | None:
        return envelope.reader in self.has


@dataclass
class Batches(BatchCarrier):
    """Batches of four; `answer` is asked with the batch, `known` is what a look-up finds (None: it cannot say)."""

    name: ClassVar[str] = "batches"
    guard: ClassVar[Guard] = Guard.LOOKUP
    chunk_size: ClassVar[int] = 4
    lag: ClassVar[float] = 1800.0
    memory: ClassVar[float] = 3 * 86_400.0

    answer: Callable[[Batch], Receipt] = lambda _: ACCEPTED
    known: Mapping[int, Outcome] | None = None
    sent: list[Batch] = field(default_factory=list)
    asked: list[Batch] = field(default_factory=list)
    where: str = ""
    connections: int = 1
    rate: float | None = None

    def describe(self) -> str:
        return "a scripted carrier of batches"

    def place(self) -> str:
        return self.where

    def deliver(self, batch: Batch) -> Receipt:
        receipt = self.answer(batch)
        self.sent.append(batch)
        return receipt

    def lookup(self, batch: Batch) -> Mapping[int, Outcome] | None:
        self.asked.append(batch)
        return self.known

    @property
    def groups(self) -> list[list[int]]:
        return [[recipient.reader for recipient in batch.recipients] for batch in self.sent]


@dataclass
class RepeatableBatches(Batches):
    name: ClassVar[str] = "repeatable batches"
    guard: ClassVar[Guard] = Guard.REPEATABLE


@dataclass
class KeyedBatches(Batches):
    """The same key and bytes make no second copy for ten minutes; `known` is asked after that."""

    name: ClassVar[str] = "keyed batches"
    guard: ClassVar[Guard] = Guard.KEY
    window: ClassVar[float] = 600.0


@dataclass
class BlindBatches(Batches):
    """Batches of a carrier that cannot be asked."""

    name: ClassVar[str] = "blind batches"
    guard: ClassVar[Guard] = Guard.NONE

    def lookup(self, batch: Batch) -> None:
        self.asked.append(batch)
