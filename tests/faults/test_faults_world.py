"""What else goes wrong: two senders, a full disk, a locked database, clocks that jump, readers who leave meanwhile."""

from __future__ import annotations

import mmap
import os
import random
import resource
import sqlite3
import struct
from collections.abc import Callable

import pytest
from fault_points import LATER, LIVED, Fuse, end_of
from fault_scene import Scene, Theatre
from mailing_house import SECRET
from sqlalchemy import event, select

from newsletter.mailing import flight
from newsletter.mailing.tables import chunk, delivery
from newsletter.providers.base import Guard
from newsletter.subscribers.book import Book

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

SOON = 1 / 60  # hours


@pytest.fixture(scope="module")
def dozen(tmp_path_factory: pytest.TempPathFactory) -> Theatre:
    return Theatre(tmp_path_factory.mktemp("dozen"), 12)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Theatre:
    """As many readers as make three groups of a carrier that takes one message at a time."""
    return Theatre(tmp_path_factory.mktemp("crowd"), 110)


def judge(stage: Scene, everybody: set[int], most_unknown: int = 0) -> None:
    """See that nobody has two, and that whoever has none is known to be in doubt."""
    fates, arrived = stage.fates(), stage.arrived()
    unknown = fates.get("unknown", set())
    assert set(arrived.values()) <= {1}, stage
    assert set(fates) <= {"accepted", "unknown"}, stage
    assert fates.get("accepted", set()) <= set(arrived), stage
    assert everybody - set(arrived) <= unknown, stage
    assert len(unknown) <= most_unknown, stage


def most_in_doubt(stage: Scene, requests: int = 1) -> int:
    """Return how many readers so many interrupted requests may leave unknown."""
    if stage.guard is not Guard.NONE:
        return 0
    return requests * (stage.chunk_size if stage.is_batch else 1)


@pytest.mark.parametrize("name", ["outbox", "smtp", "mailgun", "resend"])
def test_a_second_sender_is_sent_away_while_the_first_is_at_work(theatre: Theatre, name: str) -> None:
    (ready, tell_ready), (go, tell_go) = os.pipe(), os.pipe()
    with theatre.scene(name) as stage:

        def pause(_: object) -> None:
            os.write(tell_ready, b".")
            os.read(go, 1)

        first = stage.fork_sender(Fuse(0), told=pause)
        for _ in range(2):  # it is in the middle now
            os.read(ready, 1)
            os.write(tell_go, b".")
        os.read(ready, 1)
        assert end_of(stage.fork_sender(Fuse(0))) == LATER
        os.write(tell_go, b"." * 100)
        assert stage.end_of(first) == LIVED
        judge(stage, theatre.everybody)
    for end in (ready, tell_ready, go, tell_go):
        os.close(end)


@pytest.mark.parametrize("name", ["outbox", "smtp", "mailgun", "resend"])
def test_of_senders_that_start_at_the_same_moment_one_sends(theatre: Theatre, name: str) -> None:
    for _ in range(5):
        start, tell_start = os.pipe()

        def on_the_mark(start: int = start, tell_start: int = tell_start) -> None:
            os.close(tell_start)
            os.read(start, 1)  # returns when nobody holds the other end any more

        with theatre.scene(name) as stage:
            racers = [stage.fork_sender(Fuse(0), prepare=on_the_mark) for _ in range(3)]
            os.close(tell_start)
            ends = [end_of(racer) for racer in racers]
            os.close(start)
            stage.stand.rest()
            stage.keeps_the_law()
            assert set(ends) <= {LIVED, LATER}
            assert LIVED in ends
            judge(stage, theatre.everybody)


@pytest.mark.parametrize("name", ["outbox", "smtp", "mailgun", "resend", "sendgrid"])
def test_a_disk_that_is_full_in_the_middle_loses_and_doubles_nothing(
    theatre: Theatre, crowd: Theatre, name: str
) -> None:
    """A limit on the size of every file stands for the disk: SQLite's log cannot grow beyond it."""
    theatre = crowd if name == "smtp" else theatre  # it writes to the database once for fifty readers
    ended, limit, middle = None, 32 * 1024, 0
    while ended != LIVED:
        limit += 12 * 1024 if theatre.everybody != crowd.everybody else 36 * 1024

        def shrink(limit: int = limit) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

        with theatre.scene(name) as stage:
            ended = stage.end_of(stage.fork_sender(Fuse(0), prepare=shrink))
            assert ended is not None
            middle += 0 < len(stage.arrived()) < len(theatre.everybody)
            stage.go_on(SOON)
            judge(stage, theatre.everybody, most_in_doubt(stage))
    assert middle > 0


@pytest.mark.parametrize("name", ["outbox", "smtp", "mailgun", "resend", "sendgrid"])
def test_a_database_that_is_locked_for_too_long_loses_and_doubles_nothing(theatre: Theatre, name: str) -> None:
    ended, effect, late = None, 0, 0
    while ended != LIVED:
        effect += 1
        with theatre.scene(name) as stage:
            locks: list[sqlite3.Connection] = []

            def lock(stage: Scene = stage, locks: list[sqlite3.Connection] = locks) -> None:
                other = sqlite3.connect(stage.house.root / "newsletter.db", isolation_level=None)
                other.execute("BEGIN IMMEDIATE")
                locks.append(other)

            def be_impatient(stage: Scene = stage) -> None:
                event.listen(stage.house.engine, "connect", lambda one, _: one.execute("PRAGMA busy_timeout=20"))

            ended = stage.end_of(stage.fork_sender(Fuse(effect, lock, idle=True), prepare=be_impatient))
            assert ended in (LIVED, LATER)
            late += ended == LATER
            stage.go_on(SOON)
            judge(stage, theatre.everybody, most_in_doubt(stage))
    assert late > 3


@pytest.mark.parametrize("hours", [5, -5])
@pytest.mark.parametrize(
    ("name", "fault", "lost"),
    [
        ("outbox", None, 0),
        ("smtp", None, 0),
        ("smtp", "451 at RCPT", 0),
        ("smtp", "dropped after", 1),
        ("mailgun", None, 0),
        ("mailgun", "429 with seconds", 0),
        ("mailgun", "500 after", 0),
        ("resend", None, 0),
        ("resend", "500 after", 0),
    ],
)
def test_a_clock_that_jumps_makes_nobody_wait_for_ever_miss_it_or_get_two(
    theatre: Theatre, name: str, fault: str | None, lost: int, hours: int
) -> None:
    """The senders' clock jumps and stays wrong; the provider's goes right, and an hour passes before others go on."""
    count, effect = Tally(), 0
    while effect <= count.effects:
        effect += 1
        with theatre.scene(name) as stage:
            if fault:
                stage.stand.fail_once(fault)
            fuse = Fuse(effect, lambda stage=stage: stage.clock.jump(hours))  # type: ignore[misc]
            fuse.told = count.note
            count.effects = 0
            assert stage.end_of(stage.fork_sender(fuse)) is not None
            stage.go_on(1.0, times=9)
            # The age of a key cannot be told by a clock that was set back, so it is not used again: a person decides.
            held = stage.chunk_size if (name, fault) == ("resend", "500 after") and hours < 0 else 0
            judge(stage, theatre.everybody, lost + held)


class Tally:
    """What a forked sender lets its parent know: how many effects it had, and a verdict."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 16)

    @property
    def effects(self) -> int:
        return int(struct.unpack_from("q", self._memory)[0])

    @effects.setter
    def effects(self, number: int) -> None:
        struct.pack_into("q", self._memory, 0, number)

    @property
    def verdict(self) -> int:
        return int(struct.unpack_from("q", self._memory, 8)[0])

    @verdict.setter
    def verdict(self, verdict: int) -> None:
        struct.pack_into("q", self._memory, 8, verdict)

    def note(self, effect: str, given: object) -> None:
        del effect, given
        self.effects += 1


UNSAID, BEFORE, AFTER, MEANWHILE = range(4)  # when a reader left: before or after the hand-over began


class Leaver:
    """Lets a reader leave in the middle of a sender's run, and sees whether the hand-over to them had begun."""

    def __init__(self, stage: Scene, reader: int, way: str, tally: Tally) -> None:
        self.stage, self.reader, self.way, self.tally = stage, reader, way, tally
        self.noted: set[int] = set()

    def listen(self, effect: str, given: bytes) -> None:
        """Take down which message a lane is about to look into the book for: it writes a note of that first."""
        self.tally.note(effect, given)
        if effect == "pwrite":
            self.noted.add(flight._NOTE.unpack(given)[2])

    def leave(self) -> None:
        book = Book(self.stage.house.engine, self.stage.clock, SECRET.encode())
        ways: dict[str, Callable[[], object]] = {
            "leaves": lambda: book.leave(self.reader, "weekly"),
            "is erased": lambda: book.remove(self.reader),
            "bounces": lambda: book.bounced(self.reader),
            "complains": lambda: book.complained(self.reader),
        }
        began = self._began()
        ways[self.way]()
        self.tally.verdict = MEANWHILE if began != self._began() else AFTER if began else BEFORE

    def _began(self) -> bool:
        place = self.reader - 1  # in the audience, which is in the order of ids here
        if not self.stage.is_batch:
            return place in self.noted
        place_in = delivery.c.seq.between(chunk.c.first, chunk.c.first + chunk.c.n - 1) & (delivery.c.seq == place)
        with self.stage.house.engine.connect() as connection:
            state = connection.scalar(select(chunk.c.state).join(delivery, place_in))
        return state != "ready"


@pytest.mark.parametrize("part", range(5))
@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("name", ["outbox", "smtp", "ses", "postmark"])
def test_who_leaves_before_the_hand_over_gets_nothing_and_all_others_get_one(
    dozen: Theatre, crowd: Theatre, name: str, lanes: int, part: int
) -> None:
    theatre = crowd if lanes > 1 and name in ("smtp", "ses") else dozen
    chance = random.Random(f"{name} {lanes} {part}")  # noqa: S311 - to be the same every time
    ways = ["leaves", "is erased", "bounces", "complains", "leaves"]
    effects = 60
    for way in ways:
        with theatre.scene(name, lanes) as stage:
            tally, reader = Tally(), chance.randint(1, len(theatre.everybody))
            leaver = Leaver(stage, reader, way, tally)
            fuse = Fuse(chance.randint(1, effects), leaver.leave, idle=True)
            fuse.told = leaver.listen
            assert stage.end_of(stage.fork_sender(fuse)) == LIVED
            effects = tally.effects
            _judge_leaver(stage, theatre.everybody, reader, tally.verdict, f"{way}: {reader}, {stage}")


def _judge_leaver(stage: Scene, everybody: set[int], reader: int, verdict: int, where: str) -> None:
    arrived, fates = stage.arrived(), stage.fates()
    assert set(arrived.values()) == {1}, where
    assert set(arrived) >= everybody - {reader}, where
    got = reader in arrived
    if verdict == BEFORE:
        assert not got, where
    elif verdict in (UNSAID, AFTER) and (stage.lanes == 1 or stage.is_batch):
        assert got, where
    assert fates.get("left", set()) == (set() if got else {reader}), where
    assert fates["accepted"] == set(arrived), where


@pytest.mark.parametrize("name", ["outbox", "smtp", "ses", "mailgun", "resend", "sendgrid", "mailjet", "ses-bulk"])
def test_several_lanes_that_die_leave_one_request_each_in_doubt_at_most(
    dozen: Theatre, crowd: Theatre, name: str
) -> None:
    theatre, lanes = crowd if name in ("smtp", "ses") else dozen, 3
    chance = random.Random(name)  # noqa: S311 - to be the same every time
    tally = Tally()
    with theatre.scene(name, lanes) as stage:
        fuse = Fuse(0)
        fuse.told = tally.note
        assert stage.end_of(stage.fork_sender(fuse)) == LIVED
        judge(stage, theatre.everybody)
    for _ in range(8):
        with theatre.scene(name, lanes) as stage:
            stage.die_at(chance.randint(1, tally.effects))
            stage.go_on(SOON)
            judge(stage, theatre.everybody, most_in_doubt(stage, lanes))
