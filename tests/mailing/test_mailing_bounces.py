"""What comes back is told by its mark and its machine-readable part, and by nothing else."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailing_carriers import ACCEPTED, UNKNOWN, Messages
from mailing_house import NOON, SECRET, House
from mailing_returned import (
    ABUSE,
    FULL,
    GONE,
    LATE,
    SHAPES,
    answer,
    complaint,
    copy,
    message,
    part,
    postfix,
    sendmail,
    words,
)
from sqlalchemy import insert

from newsletter.database.engine import writing
from newsletter.mailing import bounces, dispatch, ledger, marks, reports
from newsletter.mailing.bounces import Copy, Returned
from newsletter.providers.feedback import Feedback, Report
from newsletter.subscribers.book import Book
from newsletter.subscribers.tables import subscription

BOUNCE = "bounces@example.org"
MAILING = "2016-04-22-weekly"
KEY = SECRET.encode()
DAY = dt.timedelta(days=1)


def path_of(reader: int, mailing: str = MAILING, secret: bytes = KEY) -> str:
    return f"bounces+{marks.Marks(secret, mailing).both(reader)[1]}@example.org"


@pytest.fixture
def sent(house: House) -> House:
    """A house whose mailing went to the readers 1 to 3."""
    house.enrol(range(1, 4))
    dispatch.send(house.order(Messages()), clock=house.clock, sleep=house.clock.sleep)
    return house


def owner(house: House, data: bytes, now: dt.datetime = NOON) -> Copy | None:
    return bounces.whose(house.engine, KEY, bounces.marks_in(data, BOUNCE), now)


def told(house: House, data: bytes, now: dt.datetime = NOON) -> Feedback | None:
    whose = owner(house, data, now)
    return bounces.feedback(bounces.read(data), whose, now) if whose else None


def test_the_return_path_that_went_out_leads_back_to_its_reader(house: House) -> None:
    house.enrol(range(1, 4))
    carrier = Messages()
    dispatch.send(house.order(carrier), clock=house.clock, sleep=house.clock.sleep)
    for envelope in carrier.sent:
        assert owner(house, postfix(envelope.sender, GONE)) == Copy(MAILING, "2016-04-22", envelope.reader)


def test_a_bounce_settles_the_one_mailing_it_came_from(house: House) -> None:
    house.enrol(range(1, 4))
    on_press = {"list": "press", "status": "active", "follows": "", "joined_at": NOON, "changed_at": NOON}
    with writing(house.engine) as connection:
        connection.execute(insert(subscription), [{"reader": n, **on_press} for n in range(1, 4)])
    for name in ("weekly", "press"):
        carrier = Messages(lambda reader: UNKNOWN if reader == 2 else ACCEPTED)
        dispatch.send(house.order(carrier, list_name=name), clock=house.clock, sleep=house.clock.sleep)
    found = told(house, postfix(path_of(2), FULL))
    assert found is not None
    reports.apply(house.engine, Book(house.engine, house.clock, KEY), [found], NOON)
    unknown = {one.mailing: one.unknown for one in ledger.status(house.engine)}
    assert unknown == {"2016-04-22-weekly": 0, "2016-04-22-press": 1}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_a_bounce_is_read_in_every_shape(sent: House, shape: Callable[..., bytes]) -> None:
    found = told(sent, shape(path_of(2), GONE))
    assert found is not None
    assert (found.report, found.reader, found.issue) == (Report.BOUNCED, 2, "2016-04-22")
    assert (found.hard, found.status) == (True, "5.1.1")
    assert told(sent, shape(path_of(2), LATE)) is None


@pytest.mark.parametrize(
    ("status", "hard"),
    [
        ("5.1.1", True),
        ("5.1.2", True),
        ("5.1.10", True),
        ("5.1.10 (null MX)", True),
        ("5.1.7", False),  # the sender's address
        ("5.1.8", False),
        ("5.1.0", False),
        ("5.2.2", False),
        ("5.7.1", False),
        ("4.4.7", False),
        ("5.0.0", False),
        ("", False),
        ("550", False),
        ("15.1.1", False),
    ],
)
def test_only_an_address_that_does_not_exist_is_gone_for_good(status: str, hard: bool) -> None:
    said = bounces.read(postfix(path_of(2), GONE.replace("5.1.1", status)))
    assert (said.report, said.hard) == (Report.BOUNCED, hard)


@pytest.mark.parametrize(
    ("quoted", "hard"),
    [
        ("smtp; 550 5.1.1 no such user", True),
        ("smtp; 550 no such user, says 203.5.0.113", True),
        ("smtp; 550 5.7.1 your address is on a list", False),
        ("smtp; 552 5.2.2 over quota", False),
    ],
)
def test_a_status_is_not_believed_that_the_quoted_answer_denies(quoted: str, hard: bool) -> None:
    said = bounces.read(sendmail(path_of(2), f"{GONE}Diagnostic-Code: {quoted}\n"))
    assert (said.report, said.hard, said.status) == (Report.BOUNCED, hard, "5.1.1")


@pytest.mark.parametrize("action", ["delayed", "relayed", "expanded"])
def test_nothing_follows_from_what_is_on_its_way(action: str) -> None:
    said = bounces.read(postfix(path_of(2), LATE.replace("delayed", action)))
    assert (said.report, said.understood) == (None, True)


def test_a_delivery_is_told() -> None:
    said = bounces.read(postfix(path_of(2), LATE.replace("delayed", "delivered")))
    assert (said.report, said.hard) == (Report.DELIVERED, False)


def test_an_address_that_stands_for_several_is_gone_only_when_all_are() -> None:
    delivered = GONE.replace("failed", "delivered")
    for others, hard in (((GONE,), True), ((FULL,), False), ((delivered,), False), ((LATE,), False)):
        said = bounces.read(postfix(path_of(2), GONE, *others))
        assert (said.report, said.hard) == (Report.BOUNCED, hard), others


def test_a_complaint_is_told_by_the_return_path_it_quotes(sent: House) -> None:
    found = told(sent, complaint(path_of(3)))
    assert found is not None
    assert (found.report, found.reader, found.issue) == (Report.COMPLAINED, 3, "2016-04-22")


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "virus", "abusive", ""])
def test_other_feedback_is_no_complaint(kind: str) -> None:
    said = bounces.read(complaint(path_of(3), ABUSE.replace("abuse", kind)))
    assert (said.report, said.understood) == (None, False)


@pytest.mark.parametrize("shape", [answer, words])
def test_nothing_follows_from_what_no_machine_can_read(shape: Callable[[str], bytes]) -> None:
    said = bounces.read(shape(path_of(2)))
    assert (said.report, said.understood) == (None, False)


def test_a_report_that_is_only_attached_is_nobodys_word() -> None:
    inside = postfix(path_of(2), GONE).decode().replace("=_b", "=_inner")
    forwarded = message(f"To: {path_of(2)}\n", part("message/rfc822", inside), kind="mixed")
    assert bounces.read(forwarded).report is None
    assert bounces.read(inside.encode()).report is Report.BOUNCED


@pytest.mark.parametrize(
    "forged",
    [
        f"bounces+{'0' * 32}@example.org",
        path_of(2, secret=b"another secret"),
        path_of(2, mailing="2016-04-15-weekly"),
        path_of(4),  # ours, but not in the audience
        path_of(2).replace("bounces+", "x-bounces+"),
        path_of(2).replace("example.org", "example.org.example.net"),
        path_of(2).replace("+", "+0"),
        "bounces@example.org",
    ],
)
def test_a_forged_or_foreign_mark_changes_nothing(sent: House, forged: str) -> None:
    for data in (postfix(forged, GONE), complaint(forged)):
        assert told(sent, data) is None
    assert told(sent, postfix(path_of(2), GONE)) is not None


def test_a_mark_of_ours_is_found_behind_forged_ones(sent: House) -> None:
    data = postfix(path_of(2), GONE)
    before = "".join(f"Delivered-To: bounces+{n:032x}@example.org\n" for n in range(9))
    found = told(sent, before.encode() + data)
    assert found is not None
    assert found.reader == 2
    many = "".join(f"Delivered-To: bounces+{n:032x}@example.org\n" for n in range(1000))
    assert len(bounces.marks_in(many.encode() + data, BOUNCE)) == 10


def test_a_mailing_that_began_more_than_30_days_ago_counts_no_more(sent: House) -> None:
    assert told(sent, postfix(path_of(2), GONE), NOON + 30 * DAY) is not None
    assert told(sent, postfix(path_of(2), GONE), NOON + 31 * DAY) is None


def test_a_report_has_a_name_of_its_own_and_the_same_when_it_comes_twice(sent: House) -> None:
    unnamed = sendmail(path_of(1), GONE)
    names = [
        found.id
        for data in (
            postfix(path_of(1), GONE),
            postfix(path_of(2), GONE),
            postfix(path_of(1), FULL),
            postfix(path_of(1), GONE, name="<two@mx.example.org>"),
            unnamed,
            unnamed.replace(b"permanent", b"fatal"),
        )
        if (found := told(sent, data))
    ]
    assert len(set(names)) == 6
    again = told(sent, b"Received: by another.example.org\n" + postfix(path_of(1), GONE))
    assert again is not None
    assert again.id == names[0]
    repeated = told(sent, unnamed)
    assert repeated is not None
    assert repeated.id == names[4]


def test_what_a_server_said_is_kept_without_the_address() -> None:
    group = f"{GONE}Diagnostic-Code: smtp; 550 5.1.1 <ann@example.com>:\n no such\tuser \x07\n"
    said = bounces.read(postfix(path_of(2), group))
    assert said.detail == "smtp; 550 5.1.1 <(address)>: no such user"


def test_of_a_large_message_the_beginning_is_read() -> None:
    data = postfix(path_of(2), GONE).replace(b"Subject: The week", b"Subject: " + b"x" * bounces.MAX_BYTES)
    said = bounces.read(data)
    assert (said.report, said.hard) == (Report.BOUNCED, True)
    far = b"X: " + b"x" * bounces.MAX_BYTES + b"\n" + data
    assert bounces.marks_in(far, BOUNCE) == ()
    assert bounces.read(far).report is None


@given(st.binary(max_size=400), st.integers(0, 2000), st.integers(0, 400))
def test_no_message_is_too_broken_to_be_read(junk: bytes, start: int, length: int) -> None:
    data = postfix(path_of(2), GONE)
    assert isinstance(bounces.read(data[:start] + junk + data[start + length :]), Returned)


def test_multiparts_without_end_say_nothing() -> None:
    nested = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(3000))
    assert bounces.read(nested).report is None


def test_a_field_without_end_takes_no_time() -> None:
    said = bounces.read(postfix(path_of(2), f"{GONE}Diagnostic-Code: smtp; {'a' * 1_000_000}\n"))
    assert (said.report, len(said.detail)) == (Report.BOUNCED, 200)


def test_real_bounces_of_others_are_read_and_none_is_taken_for_ours(sent: House, shared: Path) -> None:
    folder = shared / "data" / "bounces"
    labels = json.loads((folder / "expected.json").read_text("utf-8"))
    messages = [(folder / "messages" / name).read_bytes() for name in labels]
    assert len(messages) == 380
    assert [owner(sent, data) for data in messages] == [None] * 380
    said = [bounces.read(data) for data in messages]
    assert all(one.name for one in said)  # nothing was too much for the parser
    assert {one.report for one in said} >= {Report.BOUNCED, Report.COMPLAINED, None}


def test_real_bounces_are_ours_once_they_quote_a_return_path_of_ours(sent: House, shared: Path) -> None:
    to = path_of(2)
    for path in sorted((shared / "data" / "bounces" / "messages").glob("lhost-postfix-*.eml")):
        assert owner(sent, f"Delivered-To: {to}\n".encode() + path.read_bytes()) == Copy(MAILING, "2016-04-22", 2)


def test_the_copy_that_is_returned_says_whose_it_is_and_no_more(sent: House) -> None:
    report = message("To: abuse@example.org\n", part("message/delivery-status", f"X: y\n\n{GONE}"), kind="report")
    assert told(sent, report) is None
    returned = part("message/rfc822", copy(path_of(1)) + "\nLead\n")
    found = told(sent, report.replace(b"--=_b--", returned.encode() + b"--=_b--"))
    assert found is not None
    assert found.reader == 1
