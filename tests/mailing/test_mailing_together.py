"""What goes wrong when several are at it at once, or one of them in the middle of a step."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import psycopg
import pytest
from mailing_carriers import ACCEPTED, UNKNOWN, Batches, BlindBatches, KeyedBatches, Messages, Repeatable
from mailing_house import House
from postgres import Cluster
from sqlalchemy import event, select, update
from test_mailing_killed import die_at
from test_mailing_work import Hands

from newsletter.database.engine import reading, writing
from newsletter.errors import NewsletterError
from newsletter.mailing import audience, claims, dispatch, lease, leave, ledger, recovery
from newsletter.mailing.claims import Claim, Taker
from newsletter.mailing.lease import Lease
from newsletter.mailing.tables import chunk, sender
from newsletter.providers.base import Batch, Outcome, Provider, ProviderStoppedError, Receipt
from newsletter.subscribers.book import Book

PATIENCE = 30.0  # seconds for what takes one or two


def send(house: House, provider: Provider) -> dispatch.Summary:
    return dispatch.send(house.order(provider), clock=house.clock, sleep=time.sleep, chance=house.clock.chance)


def spoilt(batch: Batch) -> Receipt:
    """Refuse whatever is more than one reader, for the sake of one of them."""
    whole = len(batch.recipients) > 1
    return Receipt(Outcome.REJECTED, "400 bad address", split=True) if whole else ACCEPTED


def test_lanes_that_cut_their_chunks_at_the_same_time_give_each_half_a_number_of_its_own(shared_house: House) -> None:
    shared_house.enrol(range(1, 101))
    together = threading.Barrier(2)

    def many(batch: Batch) -> Receipt:
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(0.5)
        return spoilt(batch)

    send(shared_house, BlindBatches(many, connections=2))
    assert shared_house.counts() == {"accepted": 100}


def test_whoever_leaves_while_a_chunk_is_being_claimed_gets_nothing(shared_house: House) -> None:
    shared_house.enrol(range(1, 11))
    book = Book(shared_house.engine, shared_house.clock, shared_house.project.secret())
    claimed: list[str] = []

    def read(_: object, __: object, statement: str, *___: Any) -> None:
        if statement.startswith("SELECT delivery.seq") and not claimed:
            claimed.append(statement)
            leaving = threading.Thread(target=book.leave, args=(7,))
            leaving.start()
            leaving.join()

    event.listen(shared_house.engine, "after_cursor_execute", read)
    carrier = Messages()
    send(shared_house, carrier)
    assert claimed
    assert carrier.readers == [1, 2, 3, 4, 5, 6, 8, 9, 10]
    assert shared_house.counts() == {"accepted": 9, "left": 1}


def test_notes_that_a_crashed_server_may_have_lost_are_not_believed(shared_house: House, postgres: Cluster) -> None:
    shared_house.enrol(range(1, 41))
    with psycopg.connect(shared_house.url) as spare:
        process = spare.info.backend_pid

        def one(reader: int) -> Receipt:
            if reader == 20:
                os.kill(process, signal.SIGKILL)  # the server mends itself; its own process lives on
                time.sleep(0.5)
            return ACCEPTED

        first = Messages(one)
        with pytest.raises(NewsletterError):
            send(shared_house, first)
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(postgres.address("postgres")).close()
            break
        time.sleep(0.05)
    second = Messages()
    send(shared_house, second)
    assert first.readers == list(range(1, 21))
    assert not set(first.readers) & set(second.readers)
    assert shared_house.counts().get("pending") is None


def test_who_may_not_look_at_others_can_still_tell_which_start_of_the_server_this_is(postgres: Cluster) -> None:
    postgres.do("CREATE ROLE plain LOGIN")
    with psycopg.connect(postgres.address("postgres", "plain")) as connection:
        row = connection.execute(
            "SELECT count(pid) FROM pg_stat_activity WHERE usesysid IS NULL AND datid IS NULL"
        ).fetchone()
        assert row is not None
        assert row[0] >= 2
    postgres.do("DROP ROLE plain")


def test_putting_in_order_what_a_dead_sender_left_may_fail_and_be_done_again(house: House) -> None:
    house.enrol(range(1, 121))
    die_at(house, "Messages", 67)
    with writing(house.engine) as connection:
        one = ledger.find(connection, "2016-04-22", "weekly", "issue")
        assert one is not None
        assert recovery.sweep(connection, one, Messages(), lease.this_process(), house.clock()) == 1
        connection.rollback()  # as on a full disk
    send(house, Messages())
    assert house.counts() == {"accepted": 119, "unknown": 1}
    assert not list(house.root.glob("newsletter.db-flight-*"))


DIES_WHILE_PUT_OFF = """
import os, signal, sys
from pathlib import Path
from mailing_carriers import ACCEPTED, UNKNOWN, Messages, Repeatable
from mailing_house import House
from newsletter.mailing import dispatch
from newsletter.providers.base import Outcome, Receipt

def die(_: float = 0) -> None:
    os.kill(os.getpid(), signal.SIGKILL)

def repeated(reader: int) -> Receipt:
    return UNKNOWN if reader == 1 else die() if reader == 3 else ACCEPTED

house = House(Path(sys.argv[1]), url=sys.argv[2])
later = Receipt(Outcome.DEFERRED, "450 later", retry_after=60.0)
carrier = Repeatable(repeated) if sys.argv[3] == "repeatable" else Messages(lambda _: later)
dispatch.send(house.order(carrier), clock=house.clock, sleep=die)
"""


def die_while_put_off(house: House, kind: str) -> None:
    path = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", DIES_WHILE_PUT_OFF, str(house.root), house.url, kind]
    assert subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False).returncode == -signal.SIGKILL


def test_killed_after_a_message_in_doubt_that_may_be_repeated_it_is_repeated(shared_house: House) -> None:
    shared_house.enrol(range(1, 5))
    die_while_put_off(shared_house, "repeatable")
    carrier = Repeatable()
    send(shared_house, carrier)
    assert 1 in carrier.readers
    assert shared_house.counts() == {"accepted": 4}


def test_the_notes_of_a_sender_that_died_with_nothing_under_way_are_cleared_away(house: House) -> None:
    house.enrol(range(1, 61))
    die_while_put_off(house, "put off")
    assert len(list(house.root.glob("newsletter.db-flight-*"))) == 1
    house.clock.forward(minutes=2)
    send(house, Messages())
    assert house.counts() == {"accepted": 60}
    assert not list(house.root.glob("newsletter.db-flight-*"))


def test_there_may_be_more_lanes_than_connections_to_the_database(house: House) -> None:
    house.enrol(range(1, 301))
    send(house, Messages(connections=64))
    assert house.counts() == {"accepted": 300}


def test_a_chunk_in_doubt_that_is_then_refused_as_a_whole_did_not_leave_and_both_halves_are_sent(house: House) -> None:
    house.enrol(range(1, 5))
    answers = iter([UNKNOWN])
    carrier = KeyedBatches(lambda batch: next(answers, None) or spoilt(batch))
    dispatch.send(house.order(carrier), clock=house.clock, sleep=house.clock.sleep)
    assert house.counts() == {"accepted": 4}


def test_a_key_is_not_used_again_when_the_clock_was_set_back_and_nobody_knows_for_how_long(house: House) -> None:
    house.enrol(range(1, 5))

    def many(_: Batch) -> Receipt:
        house.clock.forward(hours=-1)
        return UNKNOWN

    carrier = KeyedBatches(many, known={})
    dispatch.send(house.order(carrier), clock=house.clock, sleep=house.clock.sleep)
    assert len(carrier.sent) == 1
    assert house.counts() == {"unknown": 4}


@pytest.mark.parametrize("more", [{"rate": 20.0}, {"domains": {"example.org": 20.0}}])
def test_a_clock_that_is_set_back_does_not_bring_a_send_to_a_standstill(house: House, more: dict[str, Any]) -> None:
    house.enrol(range(1, 41))

    def one(reader: int) -> Receipt:
        if reader == 10:
            house.clock.forward(hours=-5)
        return ACCEPTED

    dispatch.send(house.order(Messages(one, **more)), clock=house.clock, sleep=house.clock.sleep)
    assert house.counts() == {"accepted": 40}
    assert sum(house.clock.waits) < 600


@pytest.mark.parametrize("said", ["half of a pair \ud800", "nothing \x00"])
def test_what_no_database_can_store_of_an_answer_is_replaced(shared_house: House, house: House, said: str) -> None:
    for one in (shared_house, house):
        one.enrol(range(1, 5))
        answer = Receipt(Outcome.ACCEPTED, said, reference=said)
        send(one, BlindBatches(lambda _: answer))  # noqa: B023 - called before the next one is made
        assert one.counts() == {"accepted": 4}


def test_a_chunk_that_comes_back_at_the_last_moment_is_carried(house: House) -> None:
    house.enrol(range(1, 9))
    back: list[str] = []

    def look(_: object, __: object, statement: str, *___: Any) -> None:
        if statement.startswith("SELECT min(") and "not_before" in statement and not back:
            back.append(statement)
            with writing(house.engine) as other:
                other.execute(update(chunk).where(chunk.c.seq == 1).values(state="ready", done=0))

    event.listen(house.engine, "before_cursor_execute", look)
    carrier = BlindBatches()
    dispatch.send(house.order(carrier), clock=house.clock, sleep=house.clock.sleep)
    assert back
    assert carrier.groups == [[1, 2, 3, 4], [5, 6, 7, 8], [5, 6, 7, 8]]
    assert house.status().complete


def test_a_claim_that_was_stored_but_not_heard_of_is_given_back_when_the_run_ends(house: House) -> None:
    house.enrol(range(1, 13))

    def many(batch: Batch) -> Receipt:
        if batch.recipients[0].reader == 5:
            with reading(house.engine) as connection:
                one = ledger.find(connection, "2016-04-22", "weekly", "issue")
                owner = connection.execute(select(sender.c.owner)).scalar_one()
                assert one is not None
                taker = Taker(house.engine, Lease(one.id, owner), one, audience.choices(connection, one.id), carrier)
            assert isinstance(claims.claim(taker, house.clock()), Claim)  # whose answer a lane never hears
            raise ProviderStoppedError("401 no such key")
        return ACCEPTED

    carrier = BlindBatches(many)
    with pytest.raises(ProviderStoppedError):
        send(house, carrier)
    assert house.counts() == {"accepted": 4, "pending": 8}
    send(house, BlindBatches())
    assert house.counts() == {"accepted": 12}


def test_workers_finish_a_mailing_whose_last_readers_have_all_left(shared_house: House) -> None:
    shared_house.enrol(range(1, 6))
    leave.leave(shared_house.order(Batches()), clock=shared_house.clock)
    with Hands(shared_house, Batches()).shop as shop:
        shop.carry(1, 0)
        shared_house.change(5, status="left")
        shop.carry(1, 1)
    assert shared_house.counts() == {"accepted": 4, "left": 1}
    assert shared_house.status().finished is not None
