"""One worker's workshop and its chores, on a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from mailing_carriers import ACCEPTED, DEFERRED, Batches, BlindBatches, Messages
from mailing_house import House, edition
from mailing_jobs import jobs, remove, tamper
from postgres import Cluster
from sqlalchemy import select, update

from newsletter.database.engine import reading, writing
from newsletter.mailing import claims, clocks, control, lease, leave
from newsletter.mailing.chores import Chores
from newsletter.mailing.claims import Claim
from newsletter.mailing.ledger import Mailing
from newsletter.mailing.orders import Order
from newsletter.mailing.stop import Stop
from newsletter.mailing.tables import attempt, chunk, worker
from newsletter.mailing.work import Workshop
from newsletter.providers.base import Batch, Outcome, Provider, ProviderStoppedError, Receipt

NAME = "2016-04-22-weekly"


class Hands:
    """A workshop without a worker: the test gives it its jobs."""

    def __init__(
        self, house: House, provider: Provider, change: Callable[[Order], Order] = lambda order: order
    ) -> None:
        self.house, self.provider, self.change = house, provider, change
        self.said: list[str] = []
        self.stop = Stop()
        clock = house.clock
        self.shop = Workshop(
            house.engine, self.order_for, clock, self.stop, self.said.append, clock.sleep, clock.chance
        )

    def order_for(self, one: Mailing) -> Order:
        return self.change(self.house.order(self.provider, list_name=one.list))

    def take(self) -> None:
        """Take the jobs that are waiting, in their order, each once; if all are for later, wait for the first."""
        waiting = jobs(self.house)
        clock = self.house.clock
        clock.now = max(clock.now, min(job.scheduled_at or clock.now for job in waiting))
        due = [job for job in waiting if (job.scheduled_at or clock.now) <= clock.now]
        for job in due:
            remove(self.house, job)
            self.shop.carry(job.args["mailing"], job.args["seq"])

    def chores(self) -> None:
        Chores(self.shop).do()


@pytest.fixture
def begun(shared_house: House) -> House:
    """A mailing of ten readers in chunks of four, which the workers are to send."""
    shared_house.enrol(range(1, 11))
    leave.leave(shared_house.order(Batches()), clock=shared_house.clock)
    return shared_house


def test_each_job_carries_its_own_chunk_and_the_last_one_finishes_the_mailing(begun: House) -> None:
    hands = Hands(begun, carrier := Batches())
    with hands.shop as shop:
        shop.carry(1, 1)
        assert carrier.groups == [[5, 6, 7, 8]]
        shop.carry(1, 0)
        shop.carry(1, 2)
    assert begun.counts() == {"accepted": 10}
    assert begun.status().finished is not None
    assert hands.said == [f"{NAME}: at work on it", f"{NAME}: nothing is left to send"]
    with reading(begun.engine) as connection:
        assert connection.execute(select(worker.c.owner)).all() == []


def test_a_worker_lets_go_of_a_mailing_that_another_one_brought_to_its_end(begun: House) -> None:
    @dataclass
    class Closing(Batches):
        closed: bool = False

        def close(self) -> None:
            self.closed = True

    first, second = Hands(begun, carrier := Closing()), Hands(begun, Batches())
    with first.shop, second.shop:
        first.shop.carry(1, 0)
        first.chores()
        assert not carrier.closed
        second.shop.carry(1, 1)
        second.shop.carry(1, 2)
        assert begun.status().finished is not None
        first.chores()
        assert carrier.closed


def test_a_job_too_many_claims_nothing(begun: House) -> None:
    with (hands := Hands(begun, carrier := Batches())).shop as shop:
        for seq in (0, 0, 7):
            shop.carry(1, seq)
        shop.carry(99, 0)
    assert carrier.groups == [[1, 2, 3, 4]]
    assert hands.said == [f"{NAME}: at work on it"]


def test_messages_are_carried_too_and_the_log_of_what_is_in_flight_is_kept(shared_house: House) -> None:
    shared_house.enrol(range(1, 121))
    leave.leave(shared_house.order(Messages()), clock=shared_house.clock)
    with (hands := Hands(shared_house, carrier := Messages())).shop:
        hands.take()
    assert carrier.readers == list(range(1, 121))
    assert shared_house.counts() == {"accepted": 120}


def test_a_chunk_that_is_put_off_gets_a_job_for_later_and_the_carrier_is_left_alone(begun: House) -> None:
    answers = iter([DEFERRED])
    with (hands := Hands(begun, carrier := Batches(lambda _: next(answers, ACCEPTED)))).shop:
        hands.take()
        assert carrier.groups == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]
        assert begun.counts() == {"accepted": 6, "pending": 4}
        (job,) = jobs(begun)
        with reading(begun.engine) as connection:
            due = connection.execute(select(chunk.c.not_before).where(chunk.c.seq == 0)).scalar_one()
        assert job.scheduled_at == due
        assert begun.clock.now >= due  # so long it waited before it went on
        hands.take()
    assert begun.counts() == {"accepted": 10}


def test_a_job_that_comes_too_early_is_put_off_again(begun: House) -> None:
    with writing(begun.engine) as connection:
        later = begun.clock.now + dt.timedelta(hours=1)
        connection.execute(update(chunk).where(chunk.c.seq == 0).values(not_before=later))
    with (hands := Hands(begun, carrier := Batches())).shop:
        tamper(begun, "DELETE FROM procrastinate_jobs")
        for seq in range(3):
            hands.shop.carry(1, seq)
        assert carrier.groups == [[5, 6, 7, 8], [9, 10]]
        assert [(job.queueing_lock, job.scheduled_at) for job in jobs(begun)] == [("1/0", later)]
        begun.clock.forward(hours=1)
        hands.take()
    assert begun.counts() == {"accepted": 10}


def test_a_carrier_that_asks_for_an_hour_is_not_called_before_by_any_worker(begun: House) -> None:
    busy = Receipt(Outcome.DEFERRED, "busy", retry_after=3600.0)
    answers = iter([busy])
    first = Hands(begun, Batches(lambda _: next(answers, ACCEPTED)))
    second = Hands(begun, carrier := Batches())
    asked_at = begun.clock.now
    with first.shop, second.shop:
        first.shop.carry(1, 0)
        second.shop.carry(1, 1)
    assert begun.clock.now - asked_at >= dt.timedelta(hours=1)
    assert carrier.groups == [[5, 6, 7, 8]]


def test_a_carrier_that_puts_everything_off_is_tried_less_and_less_and_never_given_up(begun: House) -> None:
    patience = [30]

    def busy_for_long(_: Batch) -> Receipt:
        patience[0] -= 1
        return DEFERRED if patience[0] > 0 else ACCEPTED

    began = begun.clock.now
    with (hands := Hands(begun, Batches(busy_for_long))).shop:
        while begun.status().pending:
            hands.take()
    assert begun.counts() == {"accepted": 10}
    assert begun.clock.now - began > dt.timedelta(minutes=20)
    assert any("put us off 7 times in a row" in line for line in hands.said)


def test_two_workers_keep_to_one_rate(shared_house: House) -> None:
    shared_house.enrol(range(1, 81))
    leave.leave(shared_house.order(Batches()), clock=shared_house.clock)
    began = shared_house.clock.now
    times: list[dt.datetime] = []

    def at_two_a_second() -> Batches:
        carrier = Batches(lambda _: times.append(shared_house.clock.now) or ACCEPTED)  # type: ignore[func-returns-value]
        carrier.rate = 2.0
        return carrier

    with Hands(shared_house, at_two_a_second()).shop as one, Hands(shared_house, at_two_a_second()).shop as other:
        for seq in range(20):
            (one, other)[seq % 2].carry(1, seq)
    assert shared_house.counts() == {"accepted": 80}
    for number, moment in enumerate(times):
        assert moment - began >= dt.timedelta(seconds=number / 2)


def test_another_edition_here_stops_the_mailing_and_nothing_is_sent(begun: House) -> None:
    def changed(order: Order) -> Order:
        return replace(order, edition=edition(digest="cd" * 32))

    with (hands := Hands(begun, carrier := Batches(), changed)).shop:
        hands.take()
    assert carrier.sent == []
    assert (begun.status().state, begun.counts()) == ("stopped", {"pending": 10})
    assert "differs from what this mailing was frozen with" in begun.status().reason


def test_a_change_while_it_is_sent_stops_it(begun: House) -> None:
    still = iter([True, False])
    with (hands := Hands(begun, carrier := Batches(), lambda order: replace(order, still=lambda: next(still)))).shop:
        for seq in range(3):
            hands.shop.carry(1, seq)
            begun.clock.forward(seconds=6)
    assert carrier.groups == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert begun.status().state == "stopped"


def test_what_a_carrier_has_against_us_stops_it_for_everybody_until_a_person_says_more(begun: House) -> None:
    def refuse(_: Batch) -> Receipt:
        raise ProviderStoppedError("the key is wrong")

    first, second = Hands(begun, Batches(refuse)), Hands(begun, carrier := Batches())
    with first.shop, second.shop:
        first.shop.carry(1, 0)
        second.take()
        assert (carrier.sent, begun.counts()) == ([], {"pending": 10})
        assert (begun.status().state, begun.status().reason) == ("stopped", "the key is wrong")
        control.resume(begun.engine, NAME, "Ann", begun.clock.now)
        second.chores()  # which makes the jobs that were taken in vain
        second.take()
    assert begun.counts() == {"accepted": 10}


def test_a_fault_of_the_program_stops_the_mailing_and_is_told_whole(
    begun: House, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Batch) -> Receipt:
        raise ZeroDivisionError("what a shame")

    with (hands := Hands(begun, Batches(broken))).shop:
        hands.take()
    assert begun.status().state == "stopped"
    assert "ZeroDivisionError: what a shame" in begun.status().reason
    assert "Traceback" in capsys.readouterr().err
    assert begun.counts() == {"unknown": 4, "pending": 6}


def test_a_late_mailing_waits_for_a_persons_word(begun: House) -> None:
    begun.settings = begun.settings.model_copy(update={"send": begun.settings.send.model_copy(update={"max_age": DAY})})
    begun.clock.forward(hours=25)
    with (hands := Hands(begun, carrier := Batches())).shop:
        hands.take()
        assert (carrier.sent, begun.status().state) == ([], "stopped")
        assert "--late" in begun.status().reason
        control.resume(begun.engine, NAME, "Ann", begun.clock.now)
        hands.chores()
        hands.take()
    assert begun.counts() == {"accepted": 10}


DAY = dt.timedelta(days=1)


def test_a_worker_that_is_told_to_stop_gives_its_job_back(begun: House) -> None:
    with (hands := Hands(begun, carrier := Batches())).shop:
        hands.stop.asked = True
        hands.take()
        assert carrier.sent == []
        assert sorted(str(job.queueing_lock) for job in jobs(begun)) == ["1/0", "1/1", "1/2"]


def claim_unheard(house: House, shop: Workshop) -> Claim:
    """Claim a chunk as this worker, in a way that it does not hear of: the commit was stored, its answer lost."""
    with shop.bench(1) as bench:
        assert bench is not None
        found = claims.claim(bench.taker, house.clock(), only=0)
    assert isinstance(found, Claim)
    return found


def test_a_claim_that_was_stored_but_not_heard_of_is_given_back_and_sent_once(begun: House) -> None:
    with (hands := Hands(begun, carrier := BlindBatchesByName())).shop:
        claim_unheard(begun, hands.shop)
        hands.take()
        assert carrier.groups == [[5, 6, 7, 8], [9, 10]]
        hands.chores()
        hands.take()
    assert carrier.groups == [[5, 6, 7, 8], [9, 10], [1, 2, 3, 4]]
    assert begun.counts() == {"accepted": 10}
    with reading(begun.engine) as connection:
        outcomes = select(attempt.c.outcome).where(attempt.c.chunk == 0).order_by(attempt.c.number)
        assert connection.execute(outcomes).scalars().all() == ["not sent", "accepted"]


def test_a_claim_that_was_heard_of_is_left_alone_by_the_chores(begun: House) -> None:
    chores_in_the_middle: list[Hands] = []

    def answer(_: Batch) -> Receipt:
        for hands in chores_in_the_middle:
            hands.chores()
        return ACCEPTED

    with (hands := Hands(begun, Batches(answer))).shop:
        chores_in_the_middle.append(hands)
        hands.take()
    assert begun.counts() == {"accepted": 10}


def dead_worker(house: House, provider: Provider) -> None:
    """Leave a chunk behind as a worker does who dies while its request is under way."""
    with writing(house.engine) as connection:
        held = lease.enlist(connection, lease.this_process(), house.clock())
    hands = Hands(house, provider)
    with hands.shop as shop, shop.bench(1) as bench:
        assert bench is not None
        assert isinstance(claims.claim(replace(bench.taker, held=held), house.clock(), only=0), Claim)
    lease.end(held)


def test_what_a_dead_worker_had_under_way_waits_for_the_carriers_word_and_is_asked_for_after_its_lag(
    begun: House,
) -> None:
    dead_worker(begun, Batches())
    carrier = Batches(known={1: Outcome.ACCEPTED})
    with (hands := Hands(begun, carrier)).shop:
        hands.chores()
        assert begun.counts() == {"unknown": 4, "pending": 6}
        hands.take()
        begun.clock.forward(minutes=29)
        hands.chores()
        assert carrier.asked == []
        begun.clock.forward(minutes=2)
        hands.chores()
        assert len(carrier.asked) == 1
        hands.take()
    assert carrier.groups == [[5, 6, 7, 8], [9, 10], [2, 3, 4]]
    assert begun.counts() == {"accepted": 10}
    assert f"{NAME}: 1 chunks of a worker that is gone are put in order" in hands.said


def test_a_mailing_whose_end_two_workers_saw_at_once_is_finished_by_the_chores(begun: House) -> None:
    dead_worker(begun, BlindBatchesByName())
    with (hands := Hands(begun, BlindBatchesByName())).shop:
        hands.take()
        assert begun.status().finished is None
        hands.chores()
    assert begun.status().finished is not None
    assert begun.counts() == {"accepted": 6, "unknown": 4}


class BlindBatchesByName(BlindBatches):
    name = "batches"  # the mailing was frozen for this one


def test_a_worker_whose_lease_was_taken_away_takes_another(begun: House) -> None:
    with (hands := Hands(begun, Batches())).shop as shop:
        before = shop.held
        with writing(begun.engine) as connection:
            connection.execute(worker.delete())
        shop.carry(1, 0)
        assert begun.counts() == {"pending": 10}
        hands.chores()
        assert shop.held != before
        hands.take()
    assert begun.counts() == {"accepted": 10}


def test_what_was_done_while_the_server_was_killed_is_written_down_when_it_is_back(
    begun: House, postgres: Cluster
) -> None:
    waits: list[float] = []

    def answer(batch: Batch) -> Receipt:
        if batch.recipients[0].reader == 1:
            postgres.kill()
        return ACCEPTED

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            postgres.start()

    with (hands := Hands(begun, carrier := BlindBatchesByName(answer))).shop as shop:
        shop.sleep = sleep
        hands.take()
    assert len(waits) == 3
    assert sorted(carrier.groups) == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]
    assert begun.counts() == {"accepted": 10}


def test_the_clock_of_a_project_on_postgresql_is_the_servers(shared_house: House) -> None:
    clock = clocks.database_clock(shared_house.engine)
    with reading(shared_house.engine) as connection:
        before = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
        between = clock()
        after = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
    close = dt.timedelta(seconds=0.5)  # half of the time that a look takes, on a busy machine
    assert before - close <= between <= after + close
    assert between.tzinfo is dt.UTC
    assert clock() >= between


def test_with_sqlite_it_is_this_machines(house: House) -> None:
    before = dt.datetime.now(dt.UTC)
    assert before <= clocks.database_clock(house.engine)() <= dt.datetime.now(dt.UTC)


def test_who_left_a_mailing_to_the_workers_sees_how_far_they_are(begun: House) -> None:
    with (hands := Hands(begun, Batches())).shop:
        told: list[int] = []
        finished = leave.watch(begun.order(Batches()), lambda now: told.append(now.done), sleep=lambda _: hands.take())
    assert (told, finished.status.accepted) == ([0, 10], 10)


def test_who_has_seen_enough_stops_watching_and_nothing_else(begun: House) -> None:
    with pytest.raises(leave.UnwatchedError, match="the workers go on with it"):
        leave.watch(begun.order(Batches()), sleep=lambda _: signal.raise_signal(signal.SIGINT))
    assert begun.status().state == "sending"
