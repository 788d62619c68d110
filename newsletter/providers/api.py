"""What carriers with an HTTP interface have in common: a key, a place, and how many calls at once."""

from __future__ import annotations

import datetime as dt
import urllib.parse
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

from newsletter.config import resolve_secret
from newsletter.providers.base import Batch, BatchCarrier, opaque
from newsletter.providers.http import Web

Clock = Callable[[], dt.datetime]


def utc_now() -> dt.datetime:
    """Return the present, aware and in UTC."""
    return dt.datetime.now(dt.UTC)


class ApiCarrier(BatchCarrier):
    """A carrier that takes batches by HTTP. `title` is the vendor's name as it writes it itself."""

    title: ClassVar[str]

    def __init__(self, settings: Any, key: str, clock: Clock = utc_now) -> None:
        self._settings = settings
        self._clock = clock
        self._account = opaque(key)[:8]  # a fingerprint: it tells accounts apart and gives nothing away
        self._base: str = self.base_url(settings, key)
        self._web = self.log_in(settings, key)
        self.connections, self.rate = settings.connections, settings.rate

    @classmethod
    def open(cls, settings: Any, root: Path) -> Self:
        """Make the carrier; its key is read at once, so that a missing one stops a send before it starts."""
        return cls(settings, resolve_secret(settings.key, root))

    @classmethod
    def base_url(cls, settings: Any, key: str) -> str:
        """Return what stands before every path."""
        del key
        return str(settings.base_url)

    @classmethod
    @abstractmethod
    def log_in(cls, settings: Any, key: str) -> Web:
        """Make the door to the web that shows our key as this vendor wants it."""

    def about(self) -> str:
        """Name what of the account is used: a domain, a stream, an audience. Nothing secret."""
        return ""

    def describe(self) -> str:
        """Name the account's part and the host."""
        mode = ", test mode: nothing is delivered" if self._settings.test_mode else ""
        words = (self.name, self.about(), f"({urllib.parse.urlsplit(self._base).netloc}{mode})")
        return " ".join(word for word in words if word)

    def address(self) -> str:
        """Return host and path in lower case, for `place`."""
        base = urllib.parse.urlsplit(self._base)
        return f"{base.netloc}{base.path}".lower()

    def close(self) -> None:
        """Let go of the connections."""
        self._web.close()

    def count(self, batch: Batch) -> None:
        """Raise ValueError for more readers than one request takes, or none."""
        if not 0 < len(batch.recipients) <= self.chunk_size:
            raise ValueError(
                f"{self.title} takes 1 to {self.chunk_size} readers a request, not {len(batch.recipients)}"
            )


class WholeBodies(ApiCarrier):
    """A carrier that is sent every reader's whole copy, so that the bytes of a request may run out before its count."""

    max_bytes: ClassVar[int]

    def readers_per_request(self, copy_bytes: int) -> int:
        """Leave room for what JSON adds: a backslash for each quote and line end, and the names of the fields."""
        return max(1, min(self.chunk_size, int(self.max_bytes / (1.25 * copy_bytes + 4000))))
