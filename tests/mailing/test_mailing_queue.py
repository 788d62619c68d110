"""The workers' job queue in a real PostgreSQL: what it holds, and what it must not be able to lose."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from mailing_carriers import Batches
from mailing_house import NOON, House
from mailing_jobs import jobs, tamper
from postgres import Cluster
from sqlalchemy import text, update

from newsletter.database.engine import Engine, open_database, reading, writing
from newsletter.errors import NewsletterError
from newsletter.mailing import control, dispatch, lease, leave, ledger, queue
from newsletter.mailing.tables import chunk


def frozen(house: House, readers: int = 10) -> None:
    house.enrol(range(1, readers + 1))
    leave.leave(house.order(Batches()), clock=house.clock)


@pytest.fixture
def bare(postgres: Cluster, tmp_path: Path) -> Iterator[Engine]:
    """A database without a queue."""
    url = postgres.url()
    engine = open_database(url, tmp_path)
    yield engine
    engine.dispose()
    postgres.drop(url)


def test_each_chunk_gets_one_job_which_holds_two_numbers(shared_house: House) -> None:
    frozen(shared_house)
    assert [(job.args, job.queueing_lock, job.status) for job in jobs(shared_house)] == [
        ({"mailing": 1, "seq": seq}, f"1/{seq}", "todo") for seq in range(3)
    ]
    with writing(shared_house.engine) as connection:
        assert queue.enqueue(connection) == 0


def test_jobs_are_there_when_the_mailing_is_and_not_before(shared_house: House) -> None:
    shared_house.enrol(range(1, 11))
    with shared_house.engine.connect() as connection:
        one = dispatch.set_going(connection, shared_house.order(Batches()), NOON)
        assert one is not None
        assert queue.enqueue(connection, one.id) == 3
        assert jobs(shared_house) == []
        connection.rollback()
    assert (jobs(shared_house), ledger.status(shared_house.engine)) == ([], ())


def test_a_lost_job_is_made_again_and_the_others_stay(shared_house: House) -> None:
    frozen(shared_house)
    tamper(shared_house, "DELETE FROM procrastinate_jobs WHERE queueing_lock = '1/1'")
    with writing(shared_house.engine) as connection:
        assert queue.enqueue(connection) == 1
    assert sorted(job.queueing_lock for job in jobs(shared_house)) == ["1/0", "1/1", "1/2"]


def test_a_chunk_that_was_put_off_has_its_job_for_later(shared_house: House) -> None:
    frozen(shared_house)
    tamper(shared_house, "DELETE FROM procrastinate_jobs")
    with writing(shared_house.engine) as connection:
        connection.execute(update(chunk).where(chunk.c.seq == 1).values(not_before=NOON))
        assert queue.enqueue(connection, 1, 1) == 1
    assert [job.scheduled_at for job in jobs(shared_house)] == [NOON]


def test_a_mailing_that_rests_gets_no_jobs(shared_house: House) -> None:
    frozen(shared_house)
    control.pause(shared_house.engine, "2016-04-22-weekly", "Ann", NOON)
    tamper(shared_house, "DELETE FROM procrastinate_jobs")
    with writing(shared_house.engine) as connection:
        assert queue.enqueue(connection) == 0
    control.resume(shared_house.engine, "2016-04-22-weekly", "Ann", NOON)
    with writing(shared_house.engine) as connection:
        assert queue.enqueue(connection) == 3


def test_what_a_worker_had_begun_who_is_gone_is_forgotten(shared_house: House) -> None:
    frozen(shared_house)
    tamper(shared_house, "UPDATE procrastinate_jobs SET status = 'doing' WHERE queueing_lock = '1/0'")
    with writing(shared_house.engine) as connection:
        queue.forget(connection)
    assert [job.queueing_lock for job in jobs(shared_house)] == ["1/1", "1/2"]


def test_several_who_make_the_queue_at_once_make_one(bare: Engine) -> None:
    errors: list[BaseException] = []

    def install() -> None:
        try:
            queue.install(bare)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            errors.append(error)

    threads = [threading.Thread(target=install) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with reading(bare) as connection:
        assert queue.is_there(connection)


def test_a_queue_of_another_version_is_refused_in_one_line(shared_house: House) -> None:
    with writing(shared_house.engine) as connection:
        connection.execute(text("COMMENT ON SCHEMA newsletter_queue IS 'procrastinate 02.00.03_01'"))
    with pytest.raises(NewsletterError, match="DROP SCHEMA newsletter_queue CASCADE") as caught:
        queue.install(shared_house.engine)
    assert "procrastinate 02.00.03_01" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_queue_can_be_dropped_and_is_made_again_from_the_ledger(shared_house: House) -> None:
    frozen(shared_house)
    with writing(shared_house.engine) as connection:
        connection.execute(text("DROP SCHEMA newsletter_queue CASCADE"))
    queue.install(shared_house.engine)
    with writing(shared_house.engine) as connection:
        assert queue.enqueue(connection) == 3


def test_without_a_worker_nobody_waits_for_jobs(shared_house: House) -> None:
    with writing(shared_house.engine) as connection:
        assert not queue.is_awaited(connection, NOON)
        held = lease.enlist(connection, lease.this_process(), NOON)
        assert queue.is_awaited(connection, NOON)
        lease.release(connection, held, NOON)
        assert not queue.is_awaited(connection, NOON)
    lease.end(held)


def test_a_worker_without_a_queue_is_not_waited_for_either(bare: Engine) -> None:
    with writing(bare) as connection:
        lease.end(lease.enlist(connection, lease.this_process(), NOON))
        assert not queue.is_awaited(connection, NOON)


def test_sqlite_has_no_workers(house: House) -> None:
    house.enrol(range(1, 3))
    with writing(house.engine) as connection:
        assert not queue.is_awaited(connection, NOON)
    with pytest.raises(NewsletterError, match="PostgreSQL"):
        leave.leave(house.order(Batches()))
    assert not (house.root / "outbox").exists()


def test_who_sends_from_one_machine_never_loads_the_engine(house: House) -> None:
    house.enrol(range(1, 3))
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import mailing_sender;"
        f" mailing_sender.main({str(house.root)!r}, 'outbox'); print('procrastinate' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split()[-1] == "False"
    assert house.counts() == {"accepted": 2}
