"""Workers in processes of their own, on one PostgreSQL: killed, robbed of their jobs, left without a server."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from mailing_house import SECRET, House
from mailing_jobs import tamper
from mailing_sender import provider
from postgres import Cluster
from resend_server import ResendServer
from sqlalchemy import select
from test_mailing_killed import received, sink
from web_servers import Seen

from newsletter.database.engine import reading
from newsletter.errors import StoppedError
from newsletter.mailing import control, leave, ledger
from newsletter.mailing.ledger import MailingStatus
from newsletter.mailing.orders import utc_now
from newsletter.mailing.tables import attempt, chunk

__all__ = ["sink"]

HERE = Path(__file__).parent
NAME = "2016-04-22-weekly"
PATIENCE = 60.0  # seconds for what takes a few
READERS = 1500


class Slow(ResendServer):
    """Takes a moment for every request, so that there is something to interrupt."""

    def answer(self, handler: object, seen: Seen) -> None:
        time.sleep(0.15)
        super().answer(handler, seen)  # type: ignore[arg-type]

    def counts(self) -> Counter[int]:
        """Say how many copies went to how many readers."""
        return Counter(self.got.values())


@pytest.fixture
def api() -> Iterator[Slow]:
    with Slow(SECRET) as server:
        yield server


def resend(api: Slow, lanes: int = 2) -> str:
    return f"resend:{api.url.rpartition(':')[2]}/{lanes}"


@contextlib.contextmanager
def workers(house: House, carrier: str, number: int = 2) -> Iterator[Sequence[subprocess.Popen[str]]]:
    """Start workers; they are ready when this is entered, and stopped politely at the end if they still live."""
    command = [sys.executable, str(HERE / "mailing_worker.py"), str(house.root), carrier, house.url]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(number)]
    try:
        for one in started:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        yield started
        for one in started:
            if one.poll() is None:
                one.terminate()
                assert one.wait(PATIENCE) == 0
    finally:
        for one in started:
            one.kill()
            one.wait()
            assert one.stdout is not None
            one.stdout.close()


def stopped(worker: subprocess.Popen[str]) -> str:
    """Stop a worker politely; return what it said."""
    worker.terminate()
    assert worker.stdout is not None
    said = worker.stdout.read()
    assert worker.wait(PATIENCE) == 0
    return said


def begin(house: House, carrier: str, readers: int = READERS) -> None:
    house.enrol(range(1, readers + 1))
    leave.leave(house.order(provider(carrier, house.root, 0)))


def wait_until(true: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def status(house: House) -> MailingStatus:
    return ledger.status(house.engine, NAME)[0]


def finished(house: House) -> Callable[[], bool]:
    return lambda: status(house).finished is not None


def owners(house: House) -> int:
    """Count the claims; each is of one chunk."""
    with reading(house.engine) as connection:
        return len(connection.execute(select(attempt.c.token)).all())


def test_two_workers_share_a_mailing_of_batches(shared_house: House, api: Slow) -> None:
    with workers(shared_house, resend(api)) as both:
        begin(shared_house, resend(api))
        wait_until(finished(shared_house))
        heard = [stopped(one) for one in both]
    assert api.counts() == {1: READERS}
    assert shared_house.counts() == {"accepted": READERS}
    assert owners(shared_house) == READERS / 100
    assert all(f"{NAME}: at work on it" in lines for lines in heard)


def test_two_workers_share_a_mailing_by_smtp(shared_house: House, sink: tuple[int, Path]) -> None:
    port, folder = sink
    with workers(shared_house, f"smtp:{port}"):
        begin(shared_house, f"smtp:{port}")
        wait_until(finished(shared_house))
    assert received(folder) == Counter(range(1, READERS + 1))
    assert shared_house.counts() == {"accepted": READERS}


@pytest.mark.parametrize("seed", range(4))
def test_a_worker_killed_and_never_back_is_replaced_by_the_other(shared_house: House, api: Slow, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - when to die; the same on every run
    with workers(shared_house, resend(api)) as (victim, _):
        begin(shared_house, resend(api))
        wait_until(lambda: status(shared_house).pending < READERS * 0.9)
        time.sleep(dice.random() * 0.2)
        victim.kill()
        assert status(shared_house).finished is None
        wait_until(finished(shared_house))
    assert api.counts() == {1: READERS}
    assert shared_house.counts() == {"accepted": READERS}


@pytest.mark.parametrize("seed", range(3))
def test_of_a_worker_killed_over_smtp_at_most_the_messages_in_flight_are_unknown(
    shared_house: House, sink: tuple[int, Path], seed: int
) -> None:
    port, folder = sink
    dice = random.Random(seed)  # noqa: S311 - as above
    with workers(shared_house, f"smtp:{port}") as (victim, _):
        begin(shared_house, f"smtp:{port}")
        wait_until(lambda: status(shared_house).pending < READERS * 0.9)
        time.sleep(dice.random() * 0.2)
        victim.kill()
        assert status(shared_house).finished is None
        wait_until(finished(shared_house))
    got = received(folder)
    unknown = {one.reader for one in ledger.unknown_readers(shared_house.engine, NAME)}
    assert set(got.values()) == {1}
    assert len(unknown) <= 2  # it had two lanes
    assert set(range(1, READERS + 1)) - unknown <= set(got)
    assert shared_house.status().pending == 0


def test_jobs_that_are_lost_or_doubled_lose_and_repeat_nothing(shared_house: House, api: Slow) -> None:
    with workers(shared_house, resend(api)):
        begin(shared_house, resend(api))
        wait_until(lambda: status(shared_house).pending < READERS)
        tamper(shared_house, "DELETE FROM procrastinate_jobs WHERE status = 'todo' AND id % 2 = 0")
        tamper(
            shared_house,
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args)"
            " SELECT queue_name, task_name, args FROM procrastinate_jobs",
        )
        wait_until(finished(shared_house))
    assert api.counts() == {1: READERS}
    assert shared_house.counts() == {"accepted": READERS}
    assert owners(shared_house) == READERS / 100


@pytest.mark.parametrize("seed", range(2))
def test_workers_go_on_by_themselves_when_the_server_was_killed_and_is_back(
    shared_house: House, postgres: Cluster, api: Slow, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 - as above
    with workers(shared_house, resend(api)):
        begin(shared_house, resend(api))
        wait_until(lambda: status(shared_house).pending < READERS)
        time.sleep(dice.random() * 0.2)
        assert status(shared_house).finished is None
        postgres.kill()
        postgres.start()
        wait_until(finished(shared_house))
    assert api.counts() == {1: READERS}
    assert shared_house.counts() == {"accepted": READERS}


def test_a_killed_server_leaves_nobody_unknown_over_smtp(
    shared_house: House, postgres: Cluster, sink: tuple[int, Path]
) -> None:
    port, folder = sink
    with workers(shared_house, f"smtp:{port}"):
        begin(shared_house, f"smtp:{port}")
        wait_until(lambda: status(shared_house).pending < READERS * 0.9)
        assert status(shared_house).finished is None
        postgres.kill()
        postgres.start()
        wait_until(finished(shared_house))
    assert received(folder) == Counter(range(1, READERS + 1))
    assert shared_house.counts() == {"accepted": READERS}


def test_a_pause_stops_all_workers_and_they_go_on_after_it(shared_house: House, api: Slow) -> None:
    with workers(shared_house, resend(api)):
        begin(shared_house, resend(api))
        wait_until(lambda: status(shared_house).pending < READERS)
        control.pause(shared_house.engine, NAME, "Ann", utc_now())
        with reading(shared_house.engine) as connection:
            under_way = select(chunk.c.seq).where(chunk.c.state == "sending")
            wait_until(lambda: not connection.execute(under_way).all() or connection.rollback() is not None)
        paused_at = status(shared_house).pending
        assert paused_at > 0
        with pytest.raises(StoppedError, match="paused by Ann"):
            leave.watch(shared_house.order(provider(resend(api), shared_house.root, 0)))
        control.resume(shared_house.engine, NAME, "Ann", utc_now())
        wait_until(finished(shared_house))
    assert api.counts() == {1: READERS}


def test_a_worker_that_is_told_to_stop_leaves_nothing_under_way(shared_house: House, api: Slow) -> None:
    with workers(shared_house, resend(api), 1) as (one,):
        begin(shared_house, resend(api))
        wait_until(lambda: status(shared_house).pending < READERS)
        one.terminate()
        assert one.wait(PATIENCE) == 0
        counts = shared_house.counts()
        assert counts["accepted"] + counts["pending"] == READERS
        assert api.counts() == {1: counts["accepted"]}
    with workers(shared_house, resend(api), 1):
        wait_until(finished(shared_house))
    assert api.counts() == {1: READERS}


def test_a_wrong_key_stops_the_mailing_for_all_and_nobody_has_failed(shared_house: House, api: Slow) -> None:
    api.key = "another one"
    with workers(shared_house, resend(api)):
        begin(shared_house, resend(api))
        wait_until(lambda: status(shared_house).state == "stopped")
    assert shared_house.counts() == {"pending": READERS}
    assert status(shared_house).reason


def run_sender(house: House, carrier: str, kill_after: int | None = None) -> int:
    command = [sys.executable, str(HERE / "mailing_sender.py"), str(house.root), carrier, "0", house.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for number, _ in enumerate(process.stdout):
            if number == kill_after:
                process.kill()
                break
        process.stdout.read()
        return process.wait()


@pytest.mark.parametrize("lanes", [1, 3])
def test_the_embedded_sender_is_right_on_postgresql_too(
    shared_house: House, sink: tuple[int, Path], lanes: int
) -> None:
    port, folder = sink
    carrier, dice = f"smtp:{port}/{lanes}", random.Random(lanes)  # noqa: S311 - as above
    shared_house.enrol(range(1, READERS + 1))
    for _ in range(4):
        assert run_sender(shared_house, carrier, dice.randrange(1, 300)) == -signal.SIGKILL
    assert run_sender(shared_house, carrier) == 0
    got = received(folder)
    unknown = {one.reader for one in ledger.unknown_readers(shared_house.engine, NAME)}
    assert set(got.values()) == {1}
    assert len(unknown) <= 4 * lanes
    assert set(range(1, READERS + 1)) - unknown <= set(got)
    assert shared_house.status().pending == 0


def test_a_sender_carries_beside_workers(shared_house: House, api: Slow) -> None:
    shared_house.enrol(range(1, READERS + 1))
    with workers(shared_house, resend(api), 1) as (one,):
        assert run_sender(shared_house, resend(api)) == 0
        said = stopped(one)
    assert api.counts() == {1: READERS}
    assert shared_house.counts() == {"accepted": READERS}
    assert f"{NAME}: at work on it" in said
