"""A sender killed with SIGKILL before each single statement it sends to the database, then resumed."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mailing_carriers import ACCEPTED, DEFERRED, REJECTED, Batches, BlindBatches, Messages, Repeatable
from mailing_house import NOON, House
from sqlalchemy import event

from newsletter.errors import NewsletterError
from newsletter.mailing import dispatch
from newsletter.mailing.lease import LEASE
from newsletter.providers.base import Batch, Outcome, Provider, Receipt

READERS = 6
REFUSED = 2
PUT_OFF_ONCE = 4


class Postman:
    """Notes every message on the disk, as a server would, so that the next sender finds it."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "delivered"
        self.log.touch()
        self.put_off = folder / "put off"

    @property
    def delivered(self) -> list[int]:
        return [int(line) for line in self.log.read_text().split()]

    def one(self, reader: int) -> Receipt:
        if reader == REFUSED:
            return REJECTED
        if reader == PUT_OFF_ONCE and not self.put_off.exists():
            self.put_off.touch()
            return DEFERRED
        with self.log.open("a") as handle:
            handle.write(f"{reader}\n")
        return ACCEPTED

    def many(self, batch: Batch) -> Receipt:
        answers = {recipient.reader: self.one(recipient.reader) for recipient in batch.recipients}
        return Receipt(Outcome.ACCEPTED, exceptions={n: (one.outcome, one.detail) for n, one in answers.items()})

    def carrier(self, kind: type[Messages | Batches]) -> Provider:
        if issubclass(kind, Batches):
            known = dict.fromkeys(self.delivered, Outcome.ACCEPTED) | {REFUSED: Outcome.REJECTED}
            return kind(self.many, known)
        return kind(self.one)


def send(house: House, kind: type[Messages | Batches]) -> None:
    order = house.order(Postman(house.root).carrier(kind))
    dispatch.send(order, clock=house.clock, sleep=house.clock.sleep, chance=house.clock.chance)


def killed_before(statement: int, work: Callable[[House], None], root: Path) -> bool:
    """Fork a sender that dies before its n-th statement; say whether it came so far."""
    child = os.fork()
    if child == 0:
        try:
            house = House(root)
            seen = 0

            def count(*_: Any) -> None:
                nonlocal seen
                seen += 1
                if seen == statement:
                    os.kill(os.getpid(), signal.SIGKILL)

            event.listen(house.engine, "before_cursor_execute", count)
            event.listen(house.engine, "commit", count)
            work(house)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("kind", [Messages, Repeatable, Batches, BlindBatches])
def test_wherever_a_sender_dies_nobody_is_missed_and_nobody_gets_two(
    tmp_path: Path, kind: type[Messages | Batches]
) -> None:
    prepared = House(tmp_path / "prepared")
    prepared.enrol(range(1, READERS + 1))
    prepared.engine.dispose()
    statement = 0
    doubts = 0
    alive = False
    while not alive:
        statement += 1 if kind is Messages else 3  # the last is the one that leaves a note before every message
        root = tmp_path / str(statement)
        shutil.copytree(prepared.root, root)
        alive = not killed_before(statement, lambda house: send(house, kind), root)
        doubts += _resumed(root, kind)
    assert statement > 20
    # In doubt it was now and then, but with a carrier that can be asked or repeated never in the end.
    assert (doubts > 0) is (kind in (Messages, BlindBatches))


def _resumed(root: Path, kind: type[Messages | Batches]) -> int:
    """Send again until the end, compare the ledger with what was delivered, and return how many are unknown."""
    house = House(root)
    house.clock.now = NOON + LEASE * 3
    try:
        send(house, kind)
    except NewsletterError as error:
        raise AssertionError(root.name) from error
    house.clock.forward(hours=1)
    send(house, kind)
    got = Postman(root).delivered
    counts = house.status()
    house.engine.dispose()
    twice = {reader for reader in got if got.count(reader) > 1}
    if kind is Repeatable:
        twice = set()  # the carrier makes one of them
    assert twice == set(), root.name
    assert counts.pending == 0, root.name
    assert counts.accepted + counts.rejected + counts.unknown == READERS, root.name
    wanted = set(range(1, READERS + 1)) - {REFUSED}
    assert len(wanted - set(got)) <= counts.unknown, root.name
    assert counts.unknown <= (1 if kind is Messages else READERS), root.name
    return counts.unknown
