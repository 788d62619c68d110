"""The ledger: its tables, its law, and what it tells."""

from __future__ import annotations

import contextlib
import datetime as dt

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from mailing_carriers import ACCEPTED, DEFERRED, REJECTED, UNKNOWN, Batches, BlindBatches, Messages, Repeatable
from mailing_house import NOON, House, edition
from sqlalchemy import delete, update

from newsletter.database.engine import writing
from newsletter.errors import NewsletterError
from newsletter.mailing import audience, dispatch, ledger, tables
from newsletter.mailing.audience import Frozen
from newsletter.mailing.tables import chunk, delivery, exception, mailing
from newsletter.providers.base import Batch, Outcome, Receipt

OUTCOMES = {
    Outcome.ACCEPTED: ACCEPTED,
    Outcome.REJECTED: REJECTED,
    Outcome.DEFERRED: DEFERRED,
    Outcome.UNKNOWN: UNKNOWN,
}


def test_the_migrations_make_the_tables_the_code_knows(house: House) -> None:
    with house.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), tables.metadata)
        ours = [one for one in differences if getattr(one[1], "name", "") in tables.metadata.tables]
        assert [one for one in ours if one[0] != "remove_table"] == []
        for table in tables.metadata.tables.values():
            query = "SELECT sql FROM sqlite_master WHERE name = ?"
            made = connection.exec_driver_sql(query, (table.name,)).scalar_one()
            for constraint in table.constraints:
                if constraint.name:
                    assert f"CONSTRAINT {constraint.name} " in made, (table.name, constraint.name)


def test_a_mailing_is_frozen_whole_or_not_at_all(house: House) -> None:
    house.enrol(range(1, 11))
    with contextlib.suppress(ZeroDivisionError), writing(house.engine) as connection:
        audience.freeze(connection, Frozen(edition(), "weekly", Messages()), NOON)
        raise ZeroDivisionError
    assert ledger.status(house.engine) == ()
    with house.engine.connect() as connection:
        assert connection.execute(delivery.select()).all() == []


def test_the_status_has_its_fields_in_order_and_the_newest_mailing_first(house: House) -> None:
    house.enrol(range(1, 4))
    for day, slug in enumerate(("2016-04-15", "2016-04-22")):
        house.clock.now = NOON + dt.timedelta(days=7 * day)
        dispatch.send(house.order(Messages(), edition(slug)), clock=house.clock)
    newest, older = ledger.status(house.engine)
    assert list(newest.__dataclass_fields__) == [
        *("mailing", "issue", "list", "provider", "audience", "accepted", "rejected", "left", "unknown", "pending"),
        *("complete", "started", "finished", "state", "reason"),
    ]
    assert newest == ledger.MailingStatus(
        mailing="2016-04-22-weekly",
        issue="2016-04-22",
        list="weekly",
        provider="messages",
        audience=3,
        accepted=3,
        rejected=0,
        left=0,
        unknown=0,
        pending=0,
        complete=True,
        started=house.clock.now,
        finished=house.clock.now,
        state="sending",
        reason="",
    )
    assert ledger.status(house.engine, "2016-04-15-weekly") == (older,)


def test_a_mailing_that_is_not_there_is_said_in_one_line(house: House) -> None:
    for ask in (ledger.status, ledger.verify):
        with pytest.raises(NewsletterError, match="there is no mailing called 'x'; 'newsletter status' lists them"):
            ask(house.engine, "x")
    assert ledger.unknown_readers(house.engine, "x") == ()


def test_verify_finds_a_ledger_that_was_tampered_with(house: House) -> None:
    house.enrol(range(1, 11))
    dispatch.send(house.order(Messages(lambda n: REJECTED if n == 3 else ACCEPTED)), clock=house.clock)
    name = "2016-04-22-weekly"
    assert ledger.verify(house.engine, name) == ()
    with writing(house.engine) as connection:
        connection.execute(delete(delivery).where(delivery.c.reader == 7))
    assert ledger.verify(house.engine, name) == (
        f"{name}: 9 accepted by the sums, 8 by the readers",
        f"{name}: an audience of 10 by the chunks, 9 were frozen, 9 have a fate",
    )
    with writing(house.engine) as connection:
        connection.execute(delivery.insert().values(mailing=1, seq=50, reader=99, variant=0))
    assert "10 were frozen, 9 have a fate" in ledger.verify(house.engine, name)[1]
    with writing(house.engine) as connection:
        connection.execute(update(exception).values(seq=99))
    assert any("accepted" in line for line in ledger.verify(house.engine, name))


def test_forgetting_a_mailing_leaves_nothing_of_it(house: House) -> None:
    house.enrol(range(1, 11))
    dispatch.send(house.order(Messages(lambda n: REJECTED if n == 3 else ACCEPTED)), clock=house.clock)
    with writing(house.engine) as connection:
        ledger.forget(connection, 1)
        for table in tables.metadata.tables.values():
            assert connection.execute(table.select()).all() == [], table.name


def test_a_finished_mailing_keeps_its_moment(house: House) -> None:
    house.enrol(range(1, 3))
    dispatch.send(house.order(Messages()), clock=house.clock)
    house.clock.forward(days=1)
    dispatch.send(house.order(Messages()), clock=house.clock)
    assert house.status().finished == NOON


fates = st.lists(st.sampled_from(list(Outcome)), min_size=1, max_size=8)


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.sampled_from([Messages, Repeatable, Batches, BlindBatches]),
    st.dictionaries(st.integers(1, 13), fates, max_size=13),
    st.sets(st.integers(1, 13), max_size=3),
)
def test_whatever_happens_to_whom_the_law_holds_and_nobody_gets_two(
    house: House, kind: type[Messages | Batches], script: dict[int, list[Outcome]], leavers: set[int]
) -> None:
    """Every run ends somehow; after each the sums agree, and nobody accepted or lost is handed over again."""
    _start_anew(house)
    left_us: list[int] = []
    turns = {reader: list(outcomes) for reader, outcomes in script.items()}

    def outcome(reader: int) -> Outcome:
        assert reader not in left_us
        found = turns[reader].pop(0) if turns.get(reader) else Outcome.ACCEPTED
        safe = kind is Repeatable and found is Outcome.UNKNOWN
        if found in (Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.REJECTED) and not safe:
            left_us.append(reader)
        return found

    def one(reader: int) -> Receipt:
        return OUTCOMES[outcome(reader)]

    def many(batch: Batch) -> Receipt:
        exceptions = {recipient.reader: (outcome(recipient.reader), "so") for recipient in batch.recipients}
        return Receipt(Outcome.ACCEPTED, exceptions=exceptions)

    for run in range(12):
        carrier = kind(many if issubclass(kind, Batches) else one)  # type: ignore[arg-type]
        try:
            dispatch.send(house.order(carrier), clock=house.clock, sleep=house.clock.sleep, chance=house.clock.chance)
        except NewsletterError:
            house.clock.forward(minutes=10)
        if run == 0:
            for reader in leavers:
                house.change(reader, status="left")
        house.status()
    counted = house.status()
    assert counted.pending == 0
    assert counted.accepted + counted.rejected + counted.unknown == len(left_us)
    assert counted.left == 13 - len(left_us)


def _start_anew(house: House) -> None:
    with writing(house.engine) as connection:
        connection.execute(delete(mailing))
        for name in ("subscription", "reader"):
            connection.exec_driver_sql(f"DELETE FROM {name}")  # noqa: S608 - two fixed names
    house.clock.now = NOON
    house.enrol(range(1, 14))


def test_chunks_and_exceptions_say_no_more_than_they_may(house: House) -> None:
    house.enrol(range(1, 3))
    dispatch.send(house.order(Messages()), clock=house.clock)
    for values, name in (({"done": 9}, "chunk_done"), ({"state": "gone"}, "chunk_state"), ({"done": 1}, "chunk_done")):
        with pytest.raises(Exception, match=name), writing(house.engine) as connection:
            connection.execute(update(chunk).values(**values))
