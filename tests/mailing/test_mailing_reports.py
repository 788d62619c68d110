"""What carriers report of messages, taken into the book and the ledger."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from mailing_carriers import ACCEPTED, UNKNOWN, BlindBatches, Messages
from mailing_house import NOON, SECRET, House, edition
from sqlalchemy import select

from newsletter.mailing import dispatch, ledger, reports
from newsletter.mailing.reports import Applied, apply
from newsletter.mailing.tables import act, chunk
from newsletter.providers.base import opaque
from newsletter.providers.feedback import Feedback, Report
from newsletter.subscribers.book import Book
from newsletter.subscribers.model import Status

ISSUE = edition().slug
LEFT_US = [Report.TAKEN, Report.DELIVERED, Report.BOUNCED, Report.COMPLAINED, Report.LEFT]


@pytest.fixture
def book(house: House) -> Book:
    return Book(house.engine, house.clock, SECRET.encode())


def send(house: House, carrier: Messages | BlindBatches, list_name: str = "weekly") -> None:
    dispatch.send(house.order(carrier, list_name=list_name), clock=house.clock, sleep=house.clock.sleep)


def sent(house: House, readers: int = 6, unknown: int | None = 3) -> None:
    """Send to readers of whom one is unknown afterwards."""
    house.enrol(range(1, readers + 1))
    send(house, Messages(lambda reader: UNKNOWN if reader == unknown else ACCEPTED))


def report(what: Report, reader: int | None = 3, **more: object) -> Feedback:
    return replace(Feedback(what, reader, issue=ISSUE), **more)  # type: ignore[arg-type]


def fate(house: House, reader: int) -> str:
    return {one: kind for one, kind, _ in ledger.fates(house.engine, f"{ISSUE}-weekly")}[reader]


def status(book: Book, reader: int, list_name: str = "weekly") -> Status:
    return book.show(reader).status(list_name)


@pytest.mark.parametrize("what", LEFT_US)
def test_an_unknown_reader_of_whom_something_is_reported_has_it(house: House, book: Book, what: Report) -> None:
    sent(house)
    applied = apply(house.engine, book, [report(what)], NOON)
    assert (applied.believed, applied.settled) == (1, 1)
    assert house.counts() == {"accepted": 6}
    assert house.status().complete


def test_an_unknown_reader_whose_copy_was_not_sent_is_rejected(house: House, book: Book) -> None:
    sent(house)
    apply(house.engine, book, [report(Report.REFUSED)], NOON)
    assert house.counts() == {"accepted": 5, "rejected": 1}


def test_what_a_report_settles_is_recorded_without_an_address(house: House, book: Book) -> None:
    sent(house)
    apply(house.engine, book, [report(Report.DELIVERED, address="reader3@example.org", detail="to reader3@")], NOON)
    with house.engine.connect() as connection:
        rows = connection.execute(select(act.c.what, act.c.by, act.c.detail)).all()
    assert [tuple(row) for row in rows] == [("report", "a report of messages", "reader 3: delivered")]


@pytest.mark.parametrize("what", LEFT_US)
def test_that_it_left_outweighs_that_it_did_not_in_either_order(house: House, book: Book, what: Report) -> None:
    sent(house)
    apply(house.engine, book, [report(Report.REFUSED), report(what), report(Report.REFUSED)], NOON)
    assert house.counts() == {"accepted": 6}


def test_a_refusal_by_the_carriers_own_answer_is_not_taken_back_by_a_report(house: House, book: Book) -> None:
    house.enrol(range(1, 4))
    send(house, Messages(lambda reader: replace(ACCEPTED, outcome="rejected") if reader == 3 else ACCEPTED))  # type: ignore[arg-type]
    assert apply(house.engine, book, [report(Report.DELIVERED)], NOON).settled == 0
    assert house.counts() == {"accepted": 2, "rejected": 1}


def test_of_a_batch_in_doubt_only_the_reported_readers_are_settled(house: House, book: Book) -> None:
    house.enrol(range(1, 5))
    send(house, BlindBatches(lambda _: UNKNOWN))
    assert house.counts() == {"unknown": 4}
    with house.engine.connect() as connection:
        mark = opaque(connection.scalars(select(chunk.c.idem_key)).one())
    told = [report(Report.DELIVERED, 2, chunk=mark), report(Report.REFUSED, 4, chunk=mark)]
    assert apply(house.engine, book, told, NOON) == Applied(believed=2, settled=2)
    assert house.counts() == {"accepted": 1, "rejected": 1, "unknown": 2}
    apply(house.engine, book, [report(Report.TAKEN, reader, chunk=mark) for reader in (1, 3)], NOON)
    assert house.status().complete


def test_a_hard_bounce_ends_all_mail_and_a_soft_one_nothing(house: House, book: Book) -> None:
    sent(house, unknown=None)
    apply(house.engine, book, [report(Report.BOUNCED, 1, hard=True), report(Report.BOUNCED, 2)], NOON)
    assert status(book, 1) is Status.BOUNCED
    assert status(book, 2) is Status.ACTIVE


def test_who_complains_is_never_mailed_again(house: House, book: Book) -> None:
    sent(house, unknown=None)
    assert apply(house.engine, book, [report(Report.COMPLAINED, 1)] * 2, NOON) == Applied(believed=2, ended=1)
    assert status(book, 1) is Status.COMPLAINED


def test_who_leaves_by_the_carriers_way_leaves_the_list_of_that_mailing_and_no_other(house: House, book: Book) -> None:
    house.enrol(range(1, 3), list_name="press")
    with house.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO subscription SELECT reader, 'weekly', status, follows, joined_at, changed_at FROM subscription"
        )
    send(house, Messages(), "press")
    send(house, Messages(), "weekly")
    with house.engine.connect() as connection:
        keys = connection.scalars(select(chunk.c.idem_key)).all()
    press = next(opaque(key) for key in keys if "press" in key)
    apply(house.engine, book, [report(Report.LEFT, 1, chunk=press)], NOON)
    assert status(book, 1, "press") is Status.LEFT
    assert status(book, 1) is Status.ACTIVE
    apply(house.engine, book, [report(Report.LEFT, 2)], NOON)  # it does not say which: both had it
    assert status(book, 2, "press") is Status.LEFT
    assert status(book, 2) is Status.LEFT


@pytest.mark.parametrize(
    "strange",
    [
        report(Report.BOUNCED, 7, hard=True),  # not in the audience
        report(Report.BOUNCED, 99, hard=True),
        report(Report.BOUNCED, 1, hard=True, issue="2016-04-15"),
        report(Report.BOUNCED, 1, hard=True, chunk=opaque("2016-04-22-press/0")),
        report(Report.BOUNCED, None, hard=True),
        report(Report.BOUNCED, None, hard=True, address="nobody@example.org"),
        report(Report.BOUNCED, None, hard=True, address="no address"),
    ],
)
def test_a_report_of_another_mailing_or_reader_is_not_believed(house: House, book: Book, strange: Feedback) -> None:
    sent(house)
    house.enrol(range(7, 8))
    assert apply(house.engine, book, [strange], NOON) == Applied(strange=1)
    assert {entry.status("weekly") for entry in book.entries()} == {Status.ACTIVE}
    assert fate(house, 3) == "unknown"


def test_a_report_is_believed_for_thirty_days_after_the_mailing_began(house: House, book: Book) -> None:
    sent(house)
    late = NOON + reports.BELIEVED_FOR
    assert apply(house.engine, book, [report(Report.TAKEN)], late + dt.timedelta(seconds=1)) == Applied(strange=1)
    assert apply(house.engine, book, [report(Report.TAKEN)], late) == Applied(believed=1, settled=1)


def test_an_address_counts_only_where_there_is_no_id(house: House, book: Book) -> None:
    added = book.add("ann@example.org", list_name="weekly", consent_note="at the fair").entry.reader.id
    house.enrol(range(added + 1, added + 3))
    send(house, Messages())
    apply(house.engine, book, [report(Report.BOUNCED, added + 1, hard=True, address="ann@example.org")], NOON)
    assert status(book, added) is Status.ACTIVE
    assert status(book, added + 1) is Status.BOUNCED
    apply(house.engine, book, [report(Report.BOUNCED, None, hard=True, address="Ann@Example.org")], NOON)
    assert status(book, added) is Status.BOUNCED


def test_of_an_erased_reader_the_ledger_still_learns(house: House, book: Book) -> None:
    sent(house)
    book.remove(3)
    assert apply(house.engine, book, [report(Report.COMPLAINED)], NOON) == Applied(believed=1, settled=1)
    assert fate(house, 3) == "accepted"


def test_a_report_from_before_a_reader_came_back_says_nothing_of_now(house: House, book: Book) -> None:
    sent(house, unknown=None)
    bounced = report(Report.LEFT, 1, at=NOON + dt.timedelta(hours=1))
    apply(house.engine, book, [bounced], NOON)
    house.change(1, status="active", changed_at=NOON + dt.timedelta(hours=2))
    assert apply(house.engine, book, [bounced], NOON) == Applied(believed=1)
    assert status(book, 1) is Status.ACTIVE
    apply(house.engine, book, [replace(bounced, at=NOON + dt.timedelta(hours=3))], NOON)
    assert status(book, 1) is Status.LEFT
