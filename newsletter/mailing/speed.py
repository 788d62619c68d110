"""Keeps a send to the speed that was agreed on with a carrier, and with the hosts of single domains."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine

from newsletter.mailing import bucket
from newsletter.mailing.bucket import Bucket
from newsletter.mailing.claims import carrier_name
from newsletter.mailing.pace import Clock, Sleep
from newsletter.providers.base import Provider

_STEP = 0.5  # seconds; how often a wait looks whether somebody wants to stop
_PATIENCE = 1.0  # seconds that a lane waits for a domain's turn; with a longer wait the reader is put aside


class Speed:
    """The agreed rates, shared by all lanes and, through the ledger, by all who send."""

    def __init__(
        self, engine: Engine, provider: Provider, clock: Clock, sleep: Sleep, stopping: Callable[[], bool]
    ) -> None:
        self._engine = engine
        self._name = carrier_name(provider)
        self._domains = {domain.lower(): rate for domain, rate in provider.domains.items()}
        self._bucket = None if provider.rate is None else Bucket(engine, self._name, provider.rate, clock)
        self._clock = clock
        self._sleep = sleep
        self._stopping = stopping

    @property
    def agreed(self) -> bool:
        """Whether anything makes a message wait for its turn."""
        return self._bucket is not None or bool(self._domains)

    def wait(self) -> None:
        """Wait for the turn of one call; return early when somebody wants to stop."""
        if self._bucket is not None:
            self._wait(self._bucket.wait())

    def aside(self, address: str) -> float:
        """Wait for the turn of a message to a domain; return how many seconds it must be put aside, 0 to send it."""
        if not self._domains:
            return 0.0
        domain = address.rpartition("@")[2].lower()
        rate = self._domains.get(domain)
        if rate is None:
            return 0.0
        name = f"rate/{self._name}/{domain}"[:300]
        taken, seconds = bucket.take(self._engine, name, 1 / rate, self._clock().timestamp(), _PATIENCE)
        if not taken:
            return seconds
        self._wait(seconds)
        return 0.0

    def _wait(self, seconds: float) -> None:
        while seconds > 0 and not self._stopping():
            self._sleep(min(seconds, _STEP))
            seconds -= _STEP
