"""Who may send a mailing, and what happens to one who was thought dead."""

from __future__ import annotations

import datetime as dt
import os
import socket
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from mailing_carriers import ACCEPTED, UNKNOWN, Batches, Messages, Repeatable
from mailing_house import NOON, House, edition
from sqlalchemy import insert, select, update

from newsletter.database.engine import reading, writing
from newsletter.errors import NewsletterError, TryLaterError
from newsletter.mailing import audience, claims, dispatch, flight, lease, ledger, outcomes, recovery
from newsletter.mailing.audience import Frozen
from newsletter.mailing.claims import Taker
from newsletter.mailing.flight import flight_log
from newsletter.mailing.heartbeat import beating
from newsletter.mailing.lease import LEASE, LostLeaseError, Process
from newsletter.mailing.letters import Letter
from newsletter.mailing.outcomes import Claim
from newsletter.mailing.tables import chunk, sender
from newsletter.providers.base import Provider, Receipt

HERE = lease.this_process()
ELSEWHERE = Process("other-host", "another boot", "pid:[1]", 4711, "99")


def frozen(house: House, provider: Provider) -> int:
    house.enrol(range(1, 61))
    with writing(house.engine) as connection:
        return audience.freeze(connection, Frozen(edition(), "weekly", provider), NOON)


def take(house: House, mailing: int, who: Process = HERE, now: dt.datetime = NOON) -> lease.Lease:
    with writing(house.engine) as connection:
        return lease.take(connection, mailing, who, now)


def test_this_process_is_described_so_that_it_can_be_told_from_all_others() -> None:
    assert HERE.pid == os.getpid()
    assert HERE.host == socket.gethostname()
    assert len(HERE.boot) == 36
    assert HERE.space.startswith("pid:[")
    assert int(HERE.born) > 0
    assert lease.this_process() == HERE


def test_where_the_system_does_not_tell_nothing_is_made_up(tmp_path: Path) -> None:
    bare = lease.this_process(tmp_path)
    assert (bare.boot, bare.space, bare.born) == ("", "", "")


def test_a_living_sender_is_not_disturbed_until_its_lease_runs_out(house: House) -> None:
    mailing = frozen(house, Messages())
    for who in (HERE, ELSEWHERE):
        with writing(house.engine) as connection:
            connection.execute(sender.delete())
        take(house, mailing, who)
        said = rf"already sending since 2016-04-22 12:00 UTC \(pid {who.pid} on {who.host}\)"
        with pytest.raises(TryLaterError, match=said):
            take(house, mailing, HERE, NOON + LEASE - dt.timedelta(seconds=1))
        with pytest.raises(TryLaterError, match=said):
            dispatch.plan(house.order(Messages()), clock=house.clock)
        if who is HERE:  # it lives, whatever the clock says: the machine may have slept, or the clock been set
            with pytest.raises(TryLaterError, match=said):
                take(house, mailing, HERE, NOON + LEASE)
        else:
            take(house, mailing, HERE, NOON + LEASE)


@pytest.mark.parametrize(
    ("gone", "dead"),
    [
        (replace(HERE, born="1"), True),  # the number was given to another process meanwhile
        (replace(HERE, pid=2**22 + 1), True),  # above the highest number there can be
        (replace(HERE, boot="the boot before"), True),
        (replace(HERE, boot="", pid=2**22 + 1), False),  # cannot tell
        (replace(HERE, space="pid:[1]", pid=2**22 + 1), False),  # a number of another container
        (replace(HERE, host="other-host", pid=2**22 + 1), False),
        (ELSEWHERE, False),
    ],
)
def test_a_sender_is_dead_at_once_only_if_that_is_sure(house: House, gone: Process, dead: bool) -> None:
    mailing = frozen(house, Messages())
    take(house, mailing, gone)
    with reading(house.engine) as connection:
        assert (lease.holder(connection, mailing, HERE, NOON) is None) is dead


def test_a_zombie_is_dead(house: House) -> None:
    mailing = frozen(house, Messages())
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        born = lease._born(lease.PROC, child.pid)
        assert born is not None
        take(house, mailing, replace(HERE, pid=child.pid, born=born))
        with reading(house.engine) as connection:
            assert lease.holder(connection, mailing, HERE, NOON) is not None
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has asked for its code yet
        with reading(house.engine) as connection:
            assert lease.holder(connection, mailing, HERE, NOON) is None
    finally:
        child.communicate()


def gone(house: House) -> None:
    """Make the sender that is at work one of another machine, which nobody has heard of for long."""
    with writing(house.engine) as connection:
        connection.execute(update(sender).values(host=ELSEWHERE.host, pid=ELSEWHERE.pid, lease_until=NOON))


def take_over(house: House, provider: Provider) -> None:
    gone(house)
    later = NOON + LEASE
    with writing(house.engine) as connection:
        one = ledger.find(connection, "2016-04-22", "weekly", "issue")
        assert one is not None
        recovery.sweep(connection, one, provider, HERE, later)
        held = lease.take(connection, 1, HERE, later)
        lease.end(held)
        lease.release(connection, held, later)


@pytest.mark.parametrize(("boot", "counts"), [(HERE.boot, {"accepted": 59, "unknown": 1}), ("", None)])
def test_a_sender_that_was_taken_over_stops_before_its_next_message(
    house: House, boot: str, counts: dict[str, int] | None
) -> None:
    house.enrol(range(1, 61))

    def taken_over(reader: int) -> Receipt:
        if reader == 5:
            with writing(house.engine) as connection:
                connection.execute(update(sender).values(boot=boot))
            take_over(house, Messages())
            house.clock.forward(seconds=LEASE.total_seconds())  # so long was the message under way
        return ACCEPTED

    first = Messages(taken_over)
    with pytest.raises(LostLeaseError, match="another sender has taken this mailing over"):
        dispatch.send(house.order(first), clock=house.clock)
    assert first.readers == [1, 2, 3, 4, 5]
    second = Messages()
    dispatch.send(house.order(second), clock=house.clock)
    assert not set(first.readers) & set(second.readers)
    # Without a boot id nobody knows whether what the first wrote is all there: its chunk is held.
    assert house.counts() == (counts or {"accepted": 10, "unknown": 50})


@pytest.mark.parametrize("carrier", [Repeatable, Batches])
def test_a_chunk_that_was_taken_over_is_not_settled_by_the_first(
    house: House, carrier: type[Repeatable | Batches]
) -> None:
    house.enrol(range(1, 5))

    def taken_over(_: object) -> Receipt:
        take_over(house, carrier())
        return ACCEPTED

    with pytest.raises((LostLeaseError, TryLaterError)):
        dispatch.send(house.order(carrier(taken_over)), clock=house.clock)
    assert house.counts() == ({"pending": 4} if carrier is Repeatable else {"unknown": 4})


def test_a_claim_needs_the_lease(house: House) -> None:
    mailing = frozen(house, Messages())
    held = take(house, mailing)
    gone(house)
    take(house, mailing, ELSEWHERE, NOON + LEASE)
    with pytest.raises(LostLeaseError), writing(house.engine) as connection:
        lease.renew(connection, held, NOON)


def test_a_chunk_claimed_by_one_who_died_before_its_first_message_is_ready_again(house: House) -> None:
    mailing = frozen(house, Messages())
    held = take(house, mailing)
    with reading(house.engine) as connection:
        one = ledger.find(connection, "2016-04-22", "weekly", "issue")
        choices = audience.choices(connection, mailing)
    assert one is not None
    with flight_log(house.engine, held):
        claimed = claims.claim(Taker(house.engine, held, one, choices, Messages()), NOON)
    assert isinstance(claimed, Claim)
    lease.end(held)
    with writing(house.engine) as connection:
        recovery.sweep(connection, one, Messages(), HERE, NOON + LEASE)
        later = lease.take(connection, mailing, HERE, NOON + LEASE)
    assert house.counts() == {"pending": 60}
    for settle in (
        lambda: outcomes.settle(house.engine, claimed, outcomes.Result(1, {}, "accepted"), NOON),
        lambda: outcomes.record(house.engine, claimed, 1, {}, NOON),
        lambda: outcomes.split(house.engine, claimed, "too large", NOON),
        lambda: outcomes.hold_on(house.engine, claimed, later, NOON),
    ):
        with pytest.raises(LostLeaseError):
            settle()
    assert house.counts() == {"pending": 60}


def test_a_long_chunk_keeps_its_lease(house: House) -> None:
    house.enrol(range(1, 51))

    def slowly(_: int) -> Receipt:
        house.clock.forward(minutes=2)
        with reading(house.engine) as connection:
            until = [connection.execute(select(table.c.lease_until)).scalar_one() for table in (sender, chunk)]
        assert min(until) > house.clock.now
        return ACCEPTED

    dispatch.send(house.order(Messages(slowly)), clock=house.clock, sleep=house.clock.sleep, chance=house.clock.chance)
    assert house.counts() == {"accepted": 50}


def test_a_lost_lease_shows_when_it_is_to_be_renewed(house: House) -> None:
    house.enrol(range(1, 51))

    def slowly(reader: int) -> Receipt:
        house.clock.forward(minutes=2)
        if reader == 3:
            with writing(house.engine) as connection:
                connection.execute(sender.delete())
        return ACCEPTED

    with pytest.raises(LostLeaseError):
        dispatch.send(
            house.order(Messages(slowly)), clock=house.clock, sleep=house.clock.sleep, chance=house.clock.chance
        )


def test_a_chunk_that_could_not_be_settled_leaves_its_sender_known(house: House) -> None:
    house.enrol(range(1, 11))

    def full_disk(reader: int) -> Receipt:
        if reader == 4:
            _forbid(house, "settle", "UPDATE OF state ON chunk WHEN OLD.state = 'sending'")
            return UNKNOWN
        return ACCEPTED

    with pytest.raises(Exception, match="no more"):
        _send_with_trigger(house, full_disk)
    with writing(house.engine) as connection:
        connection.exec_driver_sql("DROP TRIGGER settle")
        connection.exec_driver_sql("DROP TRIGGER note")
    carrier = Messages()
    dispatch.send(house.order(carrier), clock=house.clock)
    assert carrier.readers == [5, 6, 7, 8, 9, 10]
    assert house.counts() == {"accepted": 9, "unknown": 1}


def _send_with_trigger(house: House, answer) -> None:  # type: ignore[no-untyped-def]
    _forbid(house, "note", "INSERT ON exception WHEN NEW.kind = 'unknown'")
    dispatch.send(house.order(Messages(answer)), clock=house.clock)


def _forbid(house: House, name: str, event: str) -> None:
    with writing(house.engine) as connection:
        connection.exec_driver_sql(f"CREATE TRIGGER {name} BEFORE {event} BEGIN SELECT RAISE(ABORT, 'no more'); END")


def test_the_flight_log_says_in_one_line_when_the_book_cannot_be_read(house: House) -> None:
    mailing = frozen(house, Messages())
    held = take(house, mailing)
    claim = Claim(mailing, 0, 0, 50, 0, "token", "key", (Letter(0, 1, "", "", frozenset()),), NOON)
    other = sqlite3.connect(house.root / "newsletter.db", isolation_level=None)
    with flight_log(house.engine, held) as flights:
        assert flights.take_off(claim, 0, claim.letters[0]) == 0
        other.execute("ALTER TABLE consent RENAME TO elsewhere")
        with pytest.raises(NewsletterError, match=r"newsletter\.db: the database refused: no such table: consent"):
            flights.take_off(claim, 0, claim.letters[0])
    other.execute("ALTER TABLE elsewhere RENAME TO consent")
    other.close()
    flight.tidy(house.engine)
    assert list(house.root.glob("newsletter.db-flight-*"))
    with writing(house.engine) as connection:
        lease.release(connection, held, NOON)
    flight.tidy(house.engine)
    assert not list(house.root.glob("newsletter.db-flight-*"))


def test_a_chunk_is_sending_exactly_with_token_owner_and_lease(house: House) -> None:
    mailing = frozen(house, Messages())
    for values in ({"state": "sending"}, {"token": "t"}, {"lease_until": NOON}, {"owner": "o"}, {"flight": 1}):
        with pytest.raises(Exception, match="chunk_sending_has_token_and_lease"), writing(house.engine) as connection:
            connection.execute(update(chunk).where(chunk.c.mailing == mailing).values(**values))
    row = {"mailing": mailing, "seq": 99, "first": 0, "n": 1, "idem_key": "2016-04-22-weekly/0"}
    with pytest.raises(Exception, match="UNIQUE"), writing(house.engine) as connection:
        connection.execute(insert(chunk).values(row))


def test_a_lease_is_kept_alive_while_a_carrier_takes_its_time(house: House) -> None:
    mailing = frozen(house, Messages())
    held = take(house, mailing)
    house.clock.forward(minutes=15)
    with beating(house.engine, held, house.clock, seconds=0.01):
        for _ in range(500):
            with reading(house.engine) as connection:
                until = connection.execute(select(sender.c.lease_until)).scalar_one()
            if until == house.clock.now + LEASE:
                break
            time.sleep(0.01)
    assert until == house.clock.now + LEASE
