"""A small newsletter, made anew for every run: a sender that dies, those who go on after it, the law over all of it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from fault_clock import SharedClock
from fault_points import Fuse, end_of, fork
from fault_stands import Stand, open_stand
from mailing_house import SECRET, House
from sqlalchemy import select

from newsletter.errors import StoppedError, TryLaterError
from newsletter.mailing import dispatch, ledger
from newsletter.mailing.dispatch import Summary, Told
from newsletter.mailing.tables import chunk, delivery, exception, mailing
from newsletter.providers.base import BatchCarrier, Provider
from newsletter.providers.registry import PROVIDERS
from newsletter.subscribers.book import Book

READERS = 5
MAILING = "2016-04-22-weekly"


class Theatre:
    """Where run follows run, in one folder, so that statements are compiled once for all of them.

    Two readers follow one country, the rest another.
    """

    def __init__(self, root: Path, readers: int = READERS) -> None:
        self.everybody = set(range(1, readers + 1))
        self._prepared, self._stage = root / "prepared", root / "stage"
        house = House(self._prepared)
        house.enrol(range(1, 3), follows="BDI")
        house.enrol(range(3, readers + 1), follows="SYR")
        Book(house.engine, house.clock, SECRET.encode())  # which leaves its seal
        house.engine.dispose()
        shutil.copytree(self._prepared, self._stage)
        self._house = House(self._stage)

    @contextlib.contextmanager
    def scene(self, name: str, lanes: int = 1) -> Iterator[Scene]:
        """Set the stage for one run of a carrier, and clear it away."""
        self._house.engine.dispose()
        shutil.rmtree(self._stage)
        shutil.copytree(self._prepared, self._stage)
        clock = SharedClock()
        with open_stand(name, clock, self._stage) as stand:
            yield Scene(name, self._house, stand, clock, lanes)
        self._house.engine.dispose()


class Scene:
    """One run: the newsletter and the other side of its carrier, on one clock."""

    def __init__(self, name: str, house: House, stand: Stand, clock: SharedClock, lanes: int) -> None:
        self.name, self.house, self.stand, self.clock, self.lanes = name, house, stand, clock, lanes
        kind = PROVIDERS[name]
        self.guard = kind.guard
        self.is_batch = issubclass(kind, BatchCarrier)
        self.may_be_asked = issubclass(kind, BatchCarrier) and kind.lookup is not BatchCarrier.lookup
        self.chunk_size = 3 if name == "mailchimp" else 2  # that one prepares each chunk with a dozen requests

    def send(self, told: Told | None = None) -> Summary:
        order = self.house.order(self._carrier())
        return dispatch.send(order, told, clock=self.clock, sleep=self.clock.sleep, chance=self.clock.chance)

    def _carrier(self) -> Provider:
        carrier = self.stand.carrier()
        carrier.connections = self.lanes
        carrier.chunk_size = self.chunk_size  # type: ignore[misc] - this one carrier's
        return carrier

    def fork_sender(self, fuse: Fuse, told: Told | None = None, prepare: Callable[[], object] = lambda: None) -> int:
        """Fork a sender with a fuse in it; `prepare` is called just before it sends. Return its id."""
        self.house.engine.dispose()  # a database must not be open across a fork

        def work() -> None:
            fuse.watch_commits(self.house.engine)
            fuse.watch_doors()
            prepare()
            self.send(told)

        return fork(work)

    def die_at(self, effect: int) -> int | None:
        """Fork a sender that is killed before its n-th effect; return how it ended, None when it was killed."""
        return self.end_of(self.fork_sender(Fuse(effect)))

    def end_of(self, child: int) -> int | None:
        """Wait for a sender's end and the other side's rest; return how it ended, None when it was killed."""
        ended = end_of(child)
        self.stand.rest()
        self.keeps_the_law()
        return ended

    def go_on(self, first_wait: float, times: int = 7) -> None:
        """Send again after waiting so many hours, then one each, until all is done, or nothing can be done any more."""
        for hours in (first_wait, *[1.0] * (times - 1)):
            self.clock.forward(hours=hours)
            summary = None
            with contextlib.suppress(StoppedError, TryLaterError):
                summary = self.send()
            self.stand.rest()
            self.keeps_the_law()
            if summary is not None and (summary.status.complete or (summary.nothing_to_do and not self.may_be_asked)):
                break

    def is_frozen(self) -> bool:
        """Say whether there is a mailing yet."""
        with self.house.engine.connect() as connection:
            return connection.scalar(select(mailing.c.id)) is not None

    def keeps_the_law(self) -> None:
        if self.is_frozen():
            self.house.status()

    def fates(self) -> dict[str, set[int]]:
        """Return the readers of each fate, by the ledger."""
        told: dict[str, set[int]] = {}
        if not self.is_frozen():
            return told
        for reader, fate, _ in ledger.fates(self.house.engine, MAILING):
            told.setdefault(fate, set()).add(reader)
        return told

    def under_way(self) -> tuple[set[int], set[int]]:
        """Return the pending readers of the chunks that a sender has in hand, and those of them put off before."""
        place = delivery.c.seq.between(chunk.c.first, chunk.c.first + chunk.c.n - 1)
        here = (chunk.c.mailing == delivery.c.mailing) & (chunk.c.state == "sending") & place
        with self.house.engine.connect() as connection:
            there = set(connection.scalars(select(delivery.c.reader).join(chunk, here)))
            again = set(connection.scalars(select(exception.c.reader).where(exception.c.kind == "deferred")))
        pending = there & self.fates().get("pending", set())
        return pending, pending & again

    def arrived(self) -> dict[int, int]:
        """Return how many copies each reader has, by the other side."""
        return {int(address.partition("@")[0].removeprefix("reader")): n for address, n in self.stand.got.items()}

    def __str__(self) -> str:
        return f"{self.name}: arrived {self.arrived()}, {self.fates()}"
