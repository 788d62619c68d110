"""Sending: who gets it, who does not, and that a second run never sends twice."""

from __future__ import annotations

import struct

import pytest
from mailing_carriers import (
    ACCEPTED,
    REJECTED,
    UNKNOWN,
    Asked,
    Batches,
    BlindBatches,
    Messages,
    Repeatable,
    RepeatableBatches,
    always,
)
from mailing_house import House, edition, settings
from sqlalchemy import select

from newsletter.errors import NewsletterError, StoppedError, TryLaterError
from newsletter.mailing import dispatch, ledger
from newsletter.mailing.tables import attempt, chunk, exception
from newsletter.providers.base import Batch, Outcome, Provider, ProviderStoppedError, Receipt


def send(house: House, provider: Provider, **more: object) -> dispatch.Summary:
    return dispatch.send(
        house.order(provider, **more), clock=house.clock, sleep=house.clock.sleep, chance=house.clock.chance
    )  # type: ignore[arg-type]


def test_everybody_on_the_list_gets_one_copy_and_a_second_run_sends_nothing(house: House) -> None:
    house.enrol(range(1, 131))
    carrier = Messages()
    summary = send(house, carrier)
    assert carrier.readers == list(range(1, 131))
    assert summary.status.complete
    assert not summary.nothing_to_do
    assert house.counts() == {"accepted": 130}
    again = send(house, carrier)
    assert again.nothing_to_do
    assert len(carrier.sent) == 130
    assert again.status == summary.status


def test_the_plan_counts_who_is_left_out_and_why(house: House) -> None:
    house.enrol(range(1, 6))
    for status, ids in (("pending", range(6, 8)), ("left", range(8, 11)), ("bounced", range(11, 12))):
        house.enrol(ids, status)
    house.enrol(range(12, 14), "complained")
    house.suppress(5)
    house.suppress(8)
    house.enrol(range(20, 30), list_name="press")
    made = dispatch.plan(house.order(Messages()), clock=house.clock)
    assert (made.state, made.to_send, made.requests, made.provider) == ("new", 4, 4, "a scripted carrier")
    assert made.audience.excluded == {"pending": 2, "left": 3, "bounced": 1, "complained": 2, "suppressed": 1}
    assert ledger.status(house.engine) == ()
    send(house, Messages())
    assert dispatch.plan(house.order(Messages()), clock=house.clock).state == "finished"
    assert house.counts() == {"accepted": 4}


def test_readers_who_follow_the_same_subjects_share_batches_and_get_only_those(house: House) -> None:
    house.enrol(range(1, 6))
    house.enrol(range(6, 9), follows="SYR")
    house.enrol(range(9, 12), follows="SYR ZZZ")  # nothing of ZZZ in this issue: the same copy as the three before
    house.enrol(range(12, 13), follows="ZZZ")
    carrier = Batches()
    made = dispatch.plan(house.order(carrier), clock=house.clock)
    assert (len(made.audience.variants), made.requests) == (3, 5)
    send(house, carrier)
    assert carrier.groups == [[1, 2, 3, 4], [5], [6, 7, 8, 9], [10, 11], [12]]
    assert [("SYR" in batch.merge.text, "BDI" in batch.merge.text) for batch in carrier.sent] == [
        (True, True),
        (True, True),
        (True, False),
        (True, False),
        (False, False),
    ]
    assert len({batch.key for batch in carrier.sent}) == 5
    assert {batch.tag for batch in carrier.sent} == {"2016-04-22"}
    assert house.counts() == {"accepted": 12}


def test_new_readers_after_the_freeze_do_not_get_it_and_changed_follows_wait_for_the_next_issue(house: House) -> None:
    house.enrol(range(1, 4), follows="BDI")
    with pytest.raises(ProviderStoppedError):
        send(house, Messages(_refuse_us))
    house.enrol(range(4, 6))
    house.change(2, follows="SYR")
    carrier = Messages()
    send(house, carrier)
    assert carrier.readers == [1, 2, 3]
    assert all(b"BDI" in envelope.data and b"SYR" not in envelope.data for envelope in carrier.sent)


def test_who_leaves_or_is_suppressed_or_erased_after_the_freeze_is_left_out_at_the_claim(house: House) -> None:
    house.enrol(range(1, 7))
    with pytest.raises(ProviderStoppedError):
        send(house, Messages(_refuse_us))
    house.change(1, status="left")
    house.change(2, status="complained")
    house.suppress(3)
    house.erase(4)
    carrier = Messages()
    send(house, carrier)
    assert carrier.readers == [5, 6]
    assert house.counts() == {"accepted": 2, "left": 4}
    assert house.status().complete


def test_a_chunk_of_which_everybody_left_is_settled_without_a_request(house: House) -> None:
    house.enrol(range(1, 9))
    with pytest.raises(ProviderStoppedError):
        send(house, Batches(_refuse_us))
    for number in range(1, 5):
        house.change(number, status="left")
    carrier = Batches()
    seen: list[dispatch.Progress] = []
    dispatch.send(
        house.order(carrier), seen.append, clock=house.clock, sleep=house.clock.sleep, chance=house.clock.chance
    )
    assert carrier.groups == [[5, 6, 7, 8]]
    assert (seen[0], seen[-1]) == (dispatch.Progress(0, 8), dispatch.Progress(8, 8))
    assert house.counts() == {"accepted": 4, "left": 4}


def test_an_address_no_carrier_reaches_is_rejected_before_anything_leaves(house: House) -> None:
    house.enrol(range(1, 4))
    house.change(2, address="жанна@example.org")
    house.change(3, address="reader@bücher.example.org")
    carrier = Messages()
    send(house, carrier)
    assert [envelope.recipient for envelope in carrier.sent] == [
        "reader1@example.org",
        "reader@xn--bcher-kva.example.org",
    ]
    assert house.counts() == {"accepted": 2, "rejected": 1}


def _refuse_us(_: object) -> Receipt:
    raise ProviderStoppedError("535 wrong password")


@pytest.mark.parametrize("carrier", [Messages, Repeatable, Batches, BlindBatches, RepeatableBatches])
def test_a_carrier_that_refuses_us_stops_the_run_with_nobody_marked(
    house: House, carrier: type[Messages | Batches]
) -> None:
    house.enrol(range(1, 10))
    with pytest.raises(ProviderStoppedError, match="wrong password"):
        send(house, carrier(_refuse_us))
    assert house.counts() == {"pending": 9}
    made = dispatch.plan(house.order(carrier()), clock=house.clock)
    assert (made.state, made.to_send) == ("resume", 9)
    send(house, carrier())
    assert house.counts() == {"accepted": 9}


def test_a_rejected_reader_is_recorded_and_the_others_get_theirs(house: House) -> None:
    house.enrol(range(1, 8))
    answers = {3: Receipt(Outcome.REJECTED, "550 <reader3@example.org> no such user"), 5: REJECTED}
    for carrier in (Messages, Repeatable):
        made = carrier(lambda reader: answers.get(reader, ACCEPTED))
        send(house, made, issue=edition(f"by-{carrier.name}"))
        assert made.readers == [1, 2, 4, 6, 7]
        assert house.counts() == {"accepted": 5, "rejected": 2}
        assert house.status().complete


def test_the_ledger_holds_no_address_not_even_in_what_a_carrier_said(house: House) -> None:
    house.enrol(range(1, 9))
    said = "<Reader1@EXAMPLE.org>: lost, write to postmaster@example.com"
    answers = {
        1: Receipt(Outcome.UNKNOWN, said),
        2: Receipt(Outcome.REJECTED, said),
        3: Receipt(Outcome.DEFERRED, said),
    }
    with pytest.raises(TryLaterError):
        send(house, Messages(lambda reader: answers.get(reader, ACCEPTED)))
    with pytest.raises(TryLaterError):
        send(house, Batches(lambda _: answers[3]), issue=edition("other"))
    with house.engine.connect() as connection:
        for table in (exception, chunk, attempt):
            rows = connection.execute(table.select()).all()
            assert rows
            assert "@" not in str(rows), table.name
    unknown = ledger.unknown_readers(house.engine, "2016-04-22-weekly")
    assert [one.detail for one in unknown] == ["<(address)>: lost, write to (address)"]


def test_an_unknown_message_is_listed_and_never_sent_again(house: House) -> None:
    house.enrol(range(1, 61))
    carrier = Messages(lambda reader: UNKNOWN if reader in (7, 60) else ACCEPTED)
    send(house, carrier)
    assert house.counts() == {"accepted": 58, "unknown": 2}
    assert [one.reader for one in ledger.unknown_readers(house.engine, "2016-04-22-weekly")] == [7, 60]
    status = house.status()
    assert not status.complete
    assert status.finished is not None
    again = Messages()
    assert send(house, again).nothing_to_do
    assert again.readers == []
    assert house.counts() == {"accepted": 58, "unknown": 2}


def test_nobody_to_send_to_is_said_in_one_line(house: House) -> None:
    with pytest.raises(NewsletterError, match="nobody is subscribed to 'weekly'"):
        send(house, Messages())
    with pytest.raises(NewsletterError, match="there is no list 'monthly'; the lists are: weekly, press"):
        send(house, Messages(), list_name="monthly")
    assert ledger.status(house.engine) == ()


def test_two_mailings_never_share_a_name(house: House) -> None:
    house.settings = settings(lists={"b-c": {"title": "One"}, "c": {"title": "Other"}})
    house.enrol(range(1, 3), list_name="b-c")
    house.enrol(range(3, 5), list_name="c")
    send(house, Messages(), issue=edition("a"), list_name="b-c")
    with pytest.raises(NewsletterError, match="there is another mailing called a-b-c"):
        send(house, Messages(), issue=edition("a-b"), list_name="c")


def test_the_intent_is_on_the_disk_and_visible_to_others_before_a_message_leaves(house: House) -> None:
    house.enrol(range(1, 4))
    seen: list[tuple[str, int, int]] = []

    def look(_: int) -> Receipt:
        with house.engine.connect() as other:
            synchronous = other.exec_driver_sql("PRAGMA synchronous").scalar()
            state = other.execute(select(chunk.c.state)).scalar_one()
            assert other.execute(select(attempt.c.outcome)).scalars().all() == [""]
        notes = b"".join(path.read_bytes() for path in house.root.glob("newsletter.db-flight-*"))
        seen.append((state, struct.unpack_from("<32sqq", notes)[2], synchronous))
        return ACCEPTED

    send(house, Messages(look))
    assert seen == [("sending", 0, 2), ("sending", 1, 2), ("sending", 2, 2)]  # 2 is FULL


def test_a_carrier_of_messages_that_can_be_asked_resolves_its_unknown_ones(house: House) -> None:
    house.enrol(range(1, 11))
    send(house, Asked(lambda reader: UNKNOWN if reader in (3, 6) else ACCEPTED))
    assert house.counts() == {"accepted": 8, "unknown": 2}
    carrier = Asked(has=frozenset({3}))
    send(house, carrier)
    assert carrier.readers == [6]
    assert house.counts() == {"accepted": 10}


def test_a_carrier_that_is_neither_kind_is_refused(house: House) -> None:
    class Neither(Provider):
        name = "neither"
        chunk_size = 5

        def describe(self) -> str:
            return "neither"

    house.enrol(range(1, 3))
    with pytest.raises(TypeError, match="Neither"):
        send(house, Neither())
    with pytest.raises(TypeError, match="Neither"):
        dispatch.test_message(house.project, edition(), Neither(), "me@example.org", "weekly", house.clock())


@pytest.mark.parametrize("carrier", [Messages, Batches])
def test_a_test_message_is_marked_and_leaves_the_ledger_alone(house: House, carrier: type[Messages | Batches]) -> None:
    made = carrier()
    receipt = dispatch.test_message(house.project, edition(), made, "me@example.org", "weekly", house.clock())
    assert receipt.outcome is Outcome.ACCEPTED
    sent = made.sent[0]
    subject = sent.merge.subject if isinstance(sent, Batch) else sent.data.decode()
    assert "[Test] The week" in subject
    assert ledger.status(house.engine) == ()


def test_a_test_message_that_is_not_taken_says_why(house: House) -> None:
    with pytest.raises(StoppedError, match=r"me@example\.org: the test message is rejected: 550 no such user"):
        dispatch.test_message(
            house.project, edition(), Messages(always(REJECTED)), "me@example.org", "weekly", house.clock()
        )
    with pytest.raises(NewsletterError, match="not reachable"):
        dispatch.test_message(house.project, edition(), Messages(), "mé@example.org", "weekly", house.clock())
