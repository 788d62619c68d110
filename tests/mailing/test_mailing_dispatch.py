"""Sending: who gets it, who does not, and that a second run never sends twice."""

from __future__ import annotations

import pytest
from mailing_carriers import (
    ACCEPTED,
    DEFERRED,
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
from newsletter.mailing.tables import attempt, chunk
from newsletter.providers.base import Batch, Outcome, Provider, ProviderStoppedError, Receipt


def send(house: House, provider: Provider, **more: object) -> dispatch.Summary:
    return dispatch.send(house.order(provider, **more), clock=house.clock, sleep=house.clock.sleep)  # type: ignore[arg-type]


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
    assert {batch.tag for batch in carrier.sent} == {"2016-04-22-weekly"}
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
    dispatch.send(house.order(carrier), seen.append, clock=house.clock, sleep=house.clock.sleep)
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
    house.enrol(range(1, 2))
    send(house, Messages(always(Receipt(Outcome.UNKNOWN, "lost <reader1@example.org>"))))
    assert [one.detail for one in ledger.unknown_readers(house.engine, "2016-04-22-weekly")] == ["lost <the reader>"]


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


def test_three_lost_answers_in_a_row_stop_the_run(house: House) -> None:
    house.enrol(range(1, 61))
    with pytest.raises(StoppedError, match="3 times in a row no clear answer"):
        send(house, Messages(always(UNKNOWN)))
    assert house.counts() == {"unknown": 3, "pending": 57}


def test_ten_refusals_in_a_row_stop_the_run(house: House) -> None:
    house.enrol(range(1, 61))
    with pytest.raises(StoppedError, match="refused 10 readers one after another, last: 550 no such user"):
        send(house, Messages(always(REJECTED)))
    assert house.counts() == {"rejected": 10, "pending": 50}


def test_a_reader_put_off_once_gets_it_in_the_same_run(house: House) -> None:
    house.enrol(range(1, 61))
    tries: dict[int, int] = {}

    def greylist(reader: int) -> Receipt:
        tries[reader] = tries.get(reader, 0) + 1
        return DEFERRED if reader in (5, 50, 51) and tries[reader] == 1 else ACCEPTED

    for carrier in (Messages(greylist), Repeatable(greylist)):
        tries.clear()
        send(house, carrier, issue=edition(f"by-{carrier.name}"))
        assert sorted(carrier.readers) == list(range(1, 61))
        assert house.counts() == {"accepted": 60}
    assert house.clock.waits


def test_a_carrier_that_is_away_is_tried_five_times_and_nobody_is_marked_as_failed(house: House) -> None:
    house.enrol(range(1, 201))
    for carrier in (Messages(always(DEFERRED)), Repeatable(always(DEFERRED)), Batches(lambda _: DEFERRED)):
        house.clock.waits.clear()
        with pytest.raises(TryLaterError, match="5 times in a row, last: 450 later"):
            send(house, carrier, issue=edition(f"by-{carrier.name}"))
        assert sum(house.clock.waits) == 5 + 10 + 20 + 40
        assert house.counts() == {"pending": 200}
        house.clock.forward(minutes=5)
        send(house, type(carrier)(), issue=edition(f"by-{carrier.name}"))
        assert house.counts() == {"accepted": 200}


def test_a_wait_the_carrier_asks_for_is_kept_and_a_long_one_left_to_a_later_run(house: House) -> None:
    house.enrol(range(1, 11))
    answers = [Receipt(Outcome.DEFERRED, "slow down", retry_after=42.0)]
    carrier = Messages(lambda _: answers.pop() if answers else ACCEPTED)
    send(house, carrier)
    assert sum(house.clock.waits) == 42
    assert carrier.readers == [*range(2, 11), 1]
    far = Receipt(Outcome.DEFERRED, "tomorrow", retry_after=1e9)
    with pytest.raises(TryLaterError, match="wait until 2016-04-23 12:00 UTC, its words: tomorrow"):
        send(house, Messages(always(far)), issue=edition("other"))
    with pytest.raises(TryLaterError, match="wait until 2016-04-23 12:00 UTC"):
        send(house, Messages(), issue=edition("other"))
    assert house.counts() == {"pending": 10}
    house.clock.forward(days=1)
    send(house, Messages(), issue=edition("other"))
    assert house.counts() == {"accepted": 10}


def test_an_interrupted_message_is_unknown_only_where_a_second_copy_could_come_of_it(house: House) -> None:
    house.enrol(range(1, 11))

    def cut(reader: int) -> Receipt:
        if reader == 4:
            raise KeyboardInterrupt
        return ACCEPTED

    with pytest.raises(KeyboardInterrupt):
        send(house, Messages(cut))
    assert house.counts() == {"accepted": 3, "unknown": 1, "pending": 6}
    send(house, Messages())
    assert house.counts() == {"accepted": 9, "unknown": 1}
    with pytest.raises(KeyboardInterrupt):
        send(house, Repeatable(cut), issue=edition("other"))
    assert house.counts() == {"accepted": 3, "pending": 7}
    send(house, Repeatable(), issue=edition("other"))
    assert house.counts() == {"accepted": 10}


def test_a_changed_issue_stops_a_mailing_that_is_under_way(house: House) -> None:
    house.enrol(range(1, 61))
    with pytest.raises(StoppedError):
        send(house, Messages(lambda reader: REJECTED if reader > 20 else ACCEPTED))
    changed = edition(digest="cd" * 32)
    for call in (dispatch.plan, dispatch.send):
        with pytest.raises(StoppedError, match=r"2016-04-22-weekly: the issue, .* frozen on 2016-04-22 12:00 UTC"):
            call(house.order(Messages(), changed), clock=house.clock)
    with pytest.raises(StoppedError, match=r"the carrier in newsletter\.yaml has changed"):
        send(house, Repeatable())
    send(house, Messages())
    assert house.counts() == {"accepted": 50, "rejected": 10}
    carrier = Messages()
    assert send(house, carrier, issue=changed).nothing_to_do  # it is finished: a correction needs an issue of its own
    assert carrier.sent == []


def test_a_mailing_of_which_nothing_left_is_frozen_anew_when_the_settings_are_mended(house: House) -> None:
    house.enrol(range(1, 6))
    with pytest.raises(TryLaterError):
        send(house, Messages(always(DEFERRED)))
    house.enrol(range(6, 8))
    mended = edition(digest="cd" * 32)
    made = dispatch.plan(house.order(Repeatable(), mended), clock=house.clock)
    assert (made.state, made.to_send) == ("new", 7)
    send(house, Repeatable(), issue=mended)
    assert house.counts() == {"accepted": 7}
    assert len(ledger.status(house.engine)) == 1


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
            state, flight = other.execute(select(chunk.c.state, chunk.c.flight)).one()
            assert other.execute(select(attempt.c.outcome)).scalars().all() == [""]
        seen.append((state, flight, synchronous))
        return ACCEPTED

    send(house, Messages(look))
    assert seen == [("sending", 0, 2), ("sending", 1, 2), ("sending", 2, 2)]  # 2 is FULL


class TestBatches:
    def test_a_lost_answer_is_resolved_by_asking_after_the_lag(self, house: House) -> None:
        house.enrol(range(1, 9))
        lost = Batches(lambda batch: UNKNOWN if batch.recipients[0].reader == 1 else ACCEPTED)
        send(house, lost)
        assert house.counts() == {"accepted": 4, "unknown": 4}
        assert house.status().finished is None
        early = Batches(known={1: Outcome.ACCEPTED})
        send(house, early)
        assert early.sent == []
        assert house.counts() == {"accepted": 5, "unknown": 3}
        house.clock.forward(minutes=31)
        late = Batches(known={2: Outcome.REJECTED})
        send(house, late)
        assert [one.reader for one in late.asked[0].recipients] == [2, 3, 4]
        assert late.asked[0].key == lost.sent[0].key
        assert late.groups == [[3, 4]]
        assert house.counts() == {"accepted": 7, "rejected": 1}
        assert house.status().complete

    def test_a_whole_batch_the_carrier_does_not_have_is_sent_again_but_not_after_it_may_have_forgotten(
        self, house: House
    ) -> None:
        house.enrol(range(1, 5))
        send(house, Batches(lambda _: UNKNOWN))
        house.clock.forward(days=4)
        late = Batches(known={})
        send(house, late)
        assert late.sent == []
        assert house.counts() == {"unknown": 4}
        house.clock.now -= house.clock.now - dispatch.dt.datetime(2016, 4, 22, 13, tzinfo=dispatch.dt.UTC)
        send(house, late)
        assert late.groups == [[1, 2, 3, 4]]
        assert house.counts() == {"accepted": 4}

    def test_a_carrier_that_cannot_say_leaves_them_unknown(self, house: House) -> None:
        house.enrol(range(1, 5))
        send(house, Batches(lambda _: UNKNOWN))
        house.clock.forward(hours=1)
        mute = Batches(known=None)
        assert send(house, mute).nothing_to_do
        assert (len(mute.asked), mute.sent) == (1, [])
        assert house.counts() == {"unknown": 4}

    def test_an_erased_reader_cannot_be_asked_about(self, house: House) -> None:
        house.enrol(range(1, 3))
        send(house, Batches(lambda _: UNKNOWN))
        house.erase(1)
        house.erase(2)
        house.clock.forward(hours=1)
        carrier = Batches(known={})
        send(house, carrier)
        assert carrier.asked == []
        assert house.counts() == {"unknown": 2}

    def test_without_a_look_up_a_lost_answer_is_held(self, house: House) -> None:
        house.enrol(range(1, 9))
        send(house, BlindBatches(lambda batch: UNKNOWN if batch.recipients[0].reader == 5 else ACCEPTED))
        assert house.counts() == {"accepted": 4, "unknown": 4}
        assert house.status().finished is not None
        assert [one.reader for one in ledger.unknown_readers(house.engine, "2016-04-22-weekly")] == [5, 6, 7, 8]
        again = BlindBatches()
        assert send(house, again).nothing_to_do
        assert again.sent == []

    def test_with_a_key_against_copies_a_lost_answer_is_repeated_with_the_same_key(self, house: House) -> None:
        house.enrol(range(1, 5))
        answers = [UNKNOWN]
        carrier = RepeatableBatches(lambda _: answers.pop() if answers else ACCEPTED)
        send(house, carrier)
        assert carrier.groups == [[1, 2, 3, 4]] * 2
        assert carrier.sent[0] == carrier.sent[1]
        assert house.counts() == {"accepted": 4}

    def test_outcomes_may_differ_within_one_batch(self, house: House) -> None:
        house.enrol(range(1, 5))
        first = Receipt(
            Outcome.ACCEPTED,
            exceptions={
                2: (Outcome.REJECTED, "bad address"),
                3: (Outcome.DEFERRED, "later"),
                4: (Outcome.UNKNOWN, "no word of it"),
            },
        )
        answers = [first]
        carrier = Batches(lambda _: answers.pop() if answers else ACCEPTED)
        send(house, carrier)
        assert carrier.groups == [[1, 2, 3, 4], [3]]
        assert carrier.sent[0].key != carrier.sent[1].key  # other readers: the old key would be refused
        assert house.counts() == {"accepted": 2, "rejected": 1, "unknown": 1}
        house.clock.forward(hours=1)
        later = Batches(known={})
        send(house, later)
        assert later.groups == [[4]]
        assert house.counts() == {"accepted": 3, "rejected": 1}

    def test_an_interrupted_retry_of_a_put_off_reader_is_unknown(self, house: House) -> None:
        house.enrol(range(1, 5))
        answers = [Receipt(Outcome.ACCEPTED, exceptions={3: (Outcome.DEFERRED, "later")})]

        def answer(_: Batch) -> Receipt:
            if answers:
                return answers.pop()
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            send(house, Batches(answer))
        assert house.counts() == {"accepted": 3, "unknown": 1}
        with pytest.raises(KeyboardInterrupt):
            send(house, RepeatableBatches(answer), issue=edition("other"))
        assert house.counts() == {"pending": 4}

    def test_a_batch_spoiled_by_one_reader_is_halved_down_to_that_one(self, house: House) -> None:
        house.enrol(range(1, 9))

        def picky(batch: Batch) -> Receipt:
            bad = any(recipient.reader == 7 for recipient in batch.recipients)
            return Receipt(Outcome.REJECTED, "to: not a valid address", split=True) if bad else ACCEPTED

        carrier = Batches(picky)
        send(house, carrier)
        assert carrier.groups == [[1, 2, 3, 4], [5, 6, 7, 8], [5, 6], [7, 8], [7], [8]]
        assert len({batch.key for batch in carrier.sent}) == 6
        assert house.counts() == {"accepted": 7, "rejected": 1}

    def test_halving_keeps_what_was_recorded_before(self, house: House) -> None:
        house.enrol(range(1, 5))
        later = (Outcome.DEFERRED, "later")
        answers = [
            Receipt(Outcome.REJECTED, "one is bad", split=True),
            Receipt(Outcome.ACCEPTED, exceptions={1: (Outcome.REJECTED, "gone"), 2: later, 4: later}),
        ]
        carrier = Batches(lambda _: answers.pop() if answers else ACCEPTED)
        send(house, carrier)
        assert carrier.groups == [[1, 2, 3, 4], [2, 4], [2], [4]]
        assert house.counts() == {"accepted": 3, "rejected": 1}

    def test_a_batch_refused_as_a_whole_says_nothing_of_its_readers(self, house: House) -> None:
        house.enrol(range(1, 9))
        with pytest.raises(StoppedError, match="refused 4 readers in one answer: 550 no such user"):
            send(house, Batches(lambda _: REJECTED))
        assert house.counts() == {"pending": 8}


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
