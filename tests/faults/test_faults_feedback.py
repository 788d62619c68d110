"""Reports of carriers that come twice and in any order: book and ledger end as with each once, and in order."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, multiple, rule
from mailing_carriers import ACCEPTED, UNKNOWN, BlindBatches, Messages
from mailing_house import NOON, SECRET, House, edition
from sqlalchemy import select

from newsletter.mailing import dispatch, ledger
from newsletter.mailing.reports import apply
from newsletter.mailing.tables import chunk
from newsletter.providers.base import Outcome, opaque
from newsletter.providers.feedback import Feedback, Report
from newsletter.subscribers.book import Book
from newsletter.subscribers.tables import subscription, suppression

READERS = 6
MARKS = [opaque(f"{edition().slug}-{name}") for name in ("weekly/0", "press/0", "press/1")]
STAGES: list[Stages] = []
LOST, REFUSED = 2, 5  # of the messages: one answer was lost, one reader refused


class Stages:
    """Two copies of a newsletter after two mailings: one by messages, one by batches whose answers were all lost."""

    def __init__(self, root: Path) -> None:
        self.root = root
        house = House(self.root / "prepared")
        for list_name in ("weekly", "press"):
            self._enrol(house, list_name)
        self._send(house)
        with house.engine.connect() as connection:
            assert {opaque(key) for key in connection.scalars(select(chunk.c.idem_key))} == set(MARKS)
        house.engine.dispose()
        self.as_it_comes, self.in_order = self._copied("as it comes"), self._copied("in order")

    def _copied(self, name: str) -> House:
        shutil.copytree(self.root / "prepared", self.root / name)
        return House(self.root / name)

    def _enrol(self, house: House, list_name: str) -> None:
        if list_name == "weekly":
            house.enrol(range(1, READERS + 1))
            return
        with house.engine.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO subscription (reader, list, status, follows, joined_at, changed_at)"
                " SELECT reader, 'press', status, follows, joined_at, changed_at FROM subscription"
            )

    def _send(self, house: House) -> None:

        def answer(reader: int) -> Any:
            return {LOST: UNKNOWN, REFUSED: type(ACCEPTED)(Outcome.REJECTED, "550 no")}.get(reader, ACCEPTED)

        for list_name, carrier in (("weekly", Messages(answer)), ("press", BlindBatches(lambda _: UNKNOWN))):
            order = house.order(carrier, list_name=list_name)
            dispatch.send(order, clock=house.clock, sleep=house.clock.sleep)

    def again(self) -> None:
        """Let both be as they were before any report."""
        for house in (self.as_it_comes, self.in_order):
            house.engine.dispose()
            shutil.rmtree(house.root)
            shutil.copytree(self.root / "prepared", house.root)


@pytest.fixture(scope="module", autouse=True)
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set up what all examples use; a state machine gets no arguments."""
    STAGES.append(Stages(tmp_path_factory.mktemp("feedback")))
    yield
    STAGES.clear()


def take(house: House, reports: Iterable[Feedback]) -> None:
    apply(house.engine, Book(house.engine, house.clock, SECRET.encode()), reports, NOON)


def state(house: House) -> dict[str, Any]:
    """Return all that mails are decided by: who may be mailed, and who has what."""
    with house.engine.connect() as connection:
        who = select(subscription.c.reader, subscription.c.list, subscription.c.status)
        told: dict[str, Any] = {"subscriptions": set(connection.execute(who))}
        told["suppressions"] = set(connection.execute(select(suppression.c.address_hash, suppression.c.reason)))
    for one in ledger.status(house.engine):
        assert ledger.verify(house.engine, one.mailing) == ()
        assert one.audience == one.accepted + one.rejected + one.left + one.unknown + one.pending
        told[one.mailing] = set(ledger.fates(house.engine, one.mailing)), one.complete
    return told


REPORTS = st.builds(
    Feedback,
    report=st.sampled_from(Report),
    reader=st.integers(1, READERS + 1),
    issue=st.sampled_from([edition().slug, edition().slug, ""]),
    chunk=st.sampled_from([*MARKS, "", "of-nothing"]),
    hard=st.booleans(),
    at=st.one_of(st.none(), st.integers(0, 72).map(lambda hours: NOON + dt.timedelta(hours=hours))),
)


class Webhook(RuleBasedStateMachine):
    """Reports come in; some come again, at any later time."""

    came = Bundle("came")

    def __init__(self) -> None:
        super().__init__()
        self.stages = STAGES[0]
        self.stages.again()
        self.reports: list[Feedback] = []

    @rule(target=came, reports=st.lists(REPORTS, min_size=1, max_size=3))
    def some_come(self, reports: list[Feedback]) -> Any:
        take(self.stages.as_it_comes, reports)
        self.reports += reports
        return multiple(*reports)

    @rule(report=came)
    def one_comes_again(self, report: Feedback) -> None:
        before = state(self.stages.as_it_comes)
        take(self.stages.as_it_comes, [report])
        assert state(self.stages.as_it_comes) == before

    def teardown(self) -> None:
        orderly = sorted(set(self.reports), key=lambda one: (one.at or NOON, list(Report).index(one.report), repr(one)))
        take(self.stages.in_order, orderly)
        assert state(self.stages.in_order) == state(self.stages.as_it_comes)


Webhook.TestCase.settings = settings(max_examples=40, stateful_step_count=10, deadline=None)
TestWebhook = Webhook.TestCase
