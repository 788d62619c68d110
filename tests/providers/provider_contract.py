"""What every carrier has to keep: its tests inherit one of the two classes, and say how to look at what arrived."""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import pytest
from provider_server import ProviderServer
from web_servers import Said

from newsletter.providers.base import (
    Batch,
    BatchCarrier,
    Envelope,
    Guard,
    Merge,
    MessageCarrier,
    Outcome,
    Provider,
    ProviderStoppedError,
    Receipt,
    Recipient,
)
from newsletter.providers.feedback import ForgedFeedbackError, HookCall, Hooks
from newsletter.providers.registry import PROVIDERS

SECRET = "the-secret-of-the-tests"
BODY = b"Content-Type: text/plain; charset=utf-8\r\n\r\nSaid =\r\n=E2=80=93 and a dot . in between\r\nThe end.\r\n"


def envelope(reader: int, mailing: str = "2016-04-22-weekly", data: bytes | None = None) -> Envelope:
    address = f"reader{reader}@example.org"
    head = f"From: weekly@example.org\r\nTo: {address}\r\nMessage-ID: <{mailing}.{reader}@example.org>\r\n".encode()
    return Envelope(reader, f"{mailing}/{reader}", f"bounces+{reader}@example.org", address, data or head + BODY)


def batch(
    readers: Iterable[int] = (1, 2, 3),
    *,
    html: str = '<p>Dear __NL_NAME__, <a href="__NL_UNSUBSCRIBE__">leave</a></p>',
    text: str = "Dear __NL_NAME__, leave: __NL_UNSUBSCRIBE__\n",
    subject: str = "The week in Cote d'Ivoire – 18–22 April",
    names: str = "Reader {}",
    key: str = "2016-04-22-weekly/0",
) -> Batch:
    headers = (
        ("List-Unsubscribe", "<__NL_UNSUBSCRIBE__>, <mailto:editors@example.org?subject=unsubscribe%20leave>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("Message-ID", "<__NL_MESSAGE__@example.org>"),
        ("List-Id", "The Weekly <weekly.news.example.org>"),
        ("Date", "Fri, 22 Apr 2016 12:00:00 +0000"),
    )
    merge = Merge(subject, "The Weekly <weekly@example.org>", "editors@example.org", html, text, headers)
    recipients = tuple(
        Recipient(
            number,
            f"reader{number}@example.org",
            names.format(number),
            {
                "__NL_UNSUBSCRIBE__": f"https://news.example.org/leave/{number}?a=1&b=2",
                "__NL_PREFERENCES__": f"https://news.example.org/preferences/{number}",
                "__NL_NAME__": names.format(number),
                "__NL_MESSAGE__": f"message{number}",
            },
        )
        for number in readers
    )
    return Batch(key, "2016-04-22", merge, recipients)


def at_once(*calls: Callable[[], object]) -> None:
    """Make calls in a thread each, all started together, and wait for them. Raises what the first of them raised."""
    gate = threading.Barrier(len(calls))
    raised: list[BaseException] = []

    def call_one(call: Callable[[], object]) -> None:
        gate.wait(10)
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - it is raised again below, in the thread of the test
            raised.append(error)

    threads = [threading.Thread(target=call_one, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if raised:
        raise raised[0]


class ProviderContract:
    """What holds for both kinds."""

    def lock_out(self) -> bool:
        """Let the server take another key than the carrier's from now on; False for a carrier that has no key."""
        return False

    def true_calls(self) -> Iterable[tuple[HookCall, str]]:
        """Return reports as the vendor sends them, one or more of each kind, each with the secret to verify it."""
        return ()

    def forged_calls(self) -> Iterable[tuple[HookCall, str]]:
        """Return reports that are to be refused: changed, unsigned, too old; each with the secret to verify it."""
        return ()

    def test_its_hooks_say_whether_it_reports(self, carrier: Provider) -> None:
        reports = type(carrier).feedback.__func__ is not Provider.feedback.__func__  # type: ignore[attr-defined]
        assert isinstance(carrier.hooks, Hooks)
        assert reports is (carrier.hooks is not Hooks.NONE)

    def test_a_true_report_is_read(self, carrier: Provider) -> None:
        if carrier.hooks is Hooks.NONE:
            with pytest.raises(TypeError, match="reports nothing"):
                carrier.feedback(HookCall({}, b"{}", "", dt.datetime.now(dt.UTC)), SECRET)
            return
        calls = list(self.true_calls())
        assert calls, "give one call at least in true_calls"
        for call, secret in calls:
            for report in carrier.feedback(call, secret):
                assert report.at is None or report.at.tzinfo is not None
                assert report.reader is not None or report.address

    def test_a_forged_report_is_refused(self, carrier: Provider) -> None:
        if carrier.hooks is Hooks.NONE:
            assert not list(self.forged_calls())
            return
        wrong = [(call, "another secret") for call, _ in self.true_calls()]
        forged = list(self.forged_calls())
        assert forged, "give one call at least in forged_calls"
        for call, secret in [*wrong, *forged]:
            with pytest.raises(ForgedFeedbackError) as refused:
                carrier.feedback(call, secret)
            assert not secret or secret not in str(refused.value)

    def test_a_wrong_key_is_told_by_the_probe(self, carrier: Provider) -> None:
        if not self.lock_out():
            assert "key" not in carrier.settings.model_fields
            return
        with pytest.raises(ProviderStoppedError) as stopped:
            carrier.probe()
        assert SECRET not in str(stopped.value)

    def check_what_it_says_of_itself(self, carrier: Provider) -> None:
        assert PROVIDERS[carrier.name] is type(carrier)
        assert carrier.chunk_size > 0
        assert isinstance(carrier.guard, Guard)
        assert set(carrier.settings.model_fields) >= {"name"}
        assert carrier.describe().startswith(carrier.name)
        assert "\n" not in carrier.describe()
        assert (carrier.place() == "") is (carrier.guard is Guard.NONE)
        assert SECRET not in carrier.describe() + carrier.place() + repr(vars(carrier))


class MessageCarrierContract(ProviderContract):
    """Inherited by the tests of a MessageCarrier, which bring a `carrier` fixture and `arrived`."""

    def arrived(self, carrier: MessageCarrier) -> list[bytes]:
        """Return every message that arrived, with CRLF line ends."""
        raise NotImplementedError

    def test_it_says_what_it_is_without_its_secret(self, carrier: MessageCarrier) -> None:
        self.check_what_it_says_of_itself(carrier)

    def test_a_message_arrives_byte_for_byte(self, carrier: MessageCarrier) -> None:
        sent = envelope(7)
        assert carrier.deliver(sent).outcome is Outcome.ACCEPTED
        carrier.close()
        assert self.arrived(carrier) == [sent.data]

    def test_a_message_without_a_last_line_end_arrives_with_one_at_most(self, carrier: MessageCarrier) -> None:
        sent = envelope(8, data=b"Subject: short\r\n\r\nno end of line")
        assert carrier.deliver(sent).outcome is Outcome.ACCEPTED
        carrier.close()
        assert [data.rstrip(b"\r\n") for data in self.arrived(carrier)] == [sent.data]

    def test_two_hundred_readers_get_one_message_each(self, carrier: MessageCarrier) -> None:
        for reader in range(1, 201):
            assert carrier.deliver(envelope(reader)).outcome is Outcome.ACCEPTED
        carrier.close()
        addresses = [re.search(rb"To: (\S+)", data)[1] for data in self.arrived(carrier)]
        assert sorted(addresses) == sorted(b"reader%d@example.org" % reader for reader in range(1, 201))

    def test_a_large_message_arrives_whole(self, carrier: MessageCarrier) -> None:
        sent = envelope(9, data=b"Subject: large\r\n\r\n" + (b"x" * 74 + b"\r\n") * 20_000)
        assert carrier.deliver(sent).outcome is Outcome.ACCEPTED
        carrier.close()
        assert self.arrived(carrier) == [sent.data]

    def test_sending_again_after_closing_opens_it_anew_and_closing_twice_does_no_harm(
        self, carrier: MessageCarrier
    ) -> None:
        assert carrier.deliver(envelope(1)).outcome is Outcome.ACCEPTED
        carrier.close()
        carrier.close()
        assert carrier.deliver(envelope(2)).outcome is Outcome.ACCEPTED
        carrier.close()
        assert len(self.arrived(carrier)) == 2

    def test_two_threads_deliver_at_once(self, carrier: MessageCarrier) -> None:
        receipts: list[Receipt] = []

        def send(readers: Iterable[int]) -> None:
            receipts.extend(carrier.deliver(envelope(reader)) for reader in readers)

        at_once(lambda: send(range(1, 21)), lambda: send(range(21, 41)))
        carrier.close()
        assert [receipt.outcome for receipt in receipts] == [Outcome.ACCEPTED] * 40
        addresses = [re.search(rb"To: (\S+)", data)[1] for data in self.arrived(carrier)]
        assert sorted(addresses) == sorted(b"reader%d@example.org" % reader for reader in range(1, 41))

    def test_messages_that_are_named_ahead_arrive_once_each(self, carrier: MessageCarrier) -> None:
        sent = [envelope(reader) for reader in range(1, 41)]
        for one, following in zip(sent, [*sent[1:], None], strict=True):
            assert carrier.deliver(one, following).outcome is Outcome.ACCEPTED
        carrier.close()
        assert Counter(self.arrived(carrier)) == Counter(one.data for one in sent)

    def test_a_message_that_was_named_ahead_and_does_not_come_never_arrives(self, carrier: MessageCarrier) -> None:
        for reader, retracted in ((1, 2), (3, 4)):
            assert carrier.deliver(envelope(reader), envelope(retracted)).outcome is Outcome.ACCEPTED
            carrier.retract(envelope(retracted))
        carrier.retract(envelope(99))
        assert carrier.deliver(envelope(5), envelope(6)).outcome is Outcome.ACCEPTED  # and that is the end
        carrier.close()
        assert Counter(self.arrived(carrier)) == Counter(envelope(reader).data for reader in (1, 3, 5))

    def test_what_it_knows_and_what_a_repetition_does_agree_with_its_guard(self, carrier: MessageCarrier) -> None:
        sent = envelope(5)
        assert carrier.knows(sent) in (False, None)
        carrier.deliver(sent)
        assert carrier.knows(sent) in (True, None)
        if carrier.guard is Guard.REPEATABLE:
            assert carrier.deliver(sent).outcome is Outcome.ACCEPTED
            carrier.close()
            assert self.arrived(carrier) == [sent.data]


class BatchCarrierContract(ProviderContract):
    """Inherited by the tests of a BatchCarrier, which bring a `carrier` fixture, and set `server`."""

    server: ProviderServer

    def copies(self) -> Mapping[str, Mapping[str, str]]:
        """Return what each address got: subject, html, text, and headers by name in lower case."""
        return self.server.copies

    def got(self) -> Counter[str]:
        """Return how many copies each address got."""
        return self.server.got

    def answer_next(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Let the server answer the next request so, without doing it."""
        self.server.answers.append(Said(status, headers, body))

    def lock_out(self) -> bool:
        """Answer as to a wrong key. A server that knows its key does better: override this with `server.key = ...`."""
        self.answer_next(401, {}, b'{"message": "this key is not known"}')
        return True

    def test_it_says_what_it_is_without_its_secret(self, carrier: BatchCarrier) -> None:
        self.check_what_it_says_of_itself(carrier)

    def test_every_reader_gets_a_copy_of_their_own(self, carrier: BatchCarrier) -> None:
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED
        copies = self.copies()
        assert sorted(copies) == [f"reader{number}@example.org" for number in (1, 2, 3)]
        for number in (1, 2, 3):
            copy = copies[f"reader{number}@example.org"]
            assert copy["subject"] == "The week in Cote d'Ivoire – 18–22 April"
            assert copy["text"] == f"Dear Reader {number}, leave: https://news.example.org/leave/{number}?a=1&b=2\n"
            assert f'href="https://news.example.org/leave/{number}?a=1&amp;b=2"' in copy["html"]
            assert copy["list-unsubscribe"].startswith(f"<https://news.example.org/leave/{number}?a=1&b=2>, <mailto:")
            assert copy["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
            assert copy["reply-to"] == "editors@example.org"
            others = {f"reader{other}@" for other in (1, 2, 3) if other != number}
            assert not any(other in repr(copy) for other in others)

    def test_a_name_that_is_markup_shows_as_written(self, carrier: BatchCarrier) -> None:
        carrier.deliver(batch([1], names="<b>R & D</b>"))
        copy = self.copies()["reader1@example.org"]
        assert "Dear <b>R & D</b>," in copy["text"]
        assert "Dear &lt;b&gt;R &amp; D&lt;/b&gt;," in copy["html"]

    def test_content_that_looks_like_a_merge_tag_reaches_the_reader_as_written(self, carrier: BatchCarrier) -> None:
        strange = (
            "100 %recipient.name% %recipient% %unsubscribe_url% {{name}} {% if %} *|FNAME|* [[x]] ${a} %recipient."
            "nl_unsubscribe% %20%C3%A9 %recipient_email% %s %% __NL_NOT_OURS__"
        )
        carrier.deliver(batch([1], html=f"<p>{strange}</p>", text=f"{strange}\n", subject=f"Re {strange}"))
        copy = self.copies()["reader1@example.org"]
        assert copy["html"] == f"<p>{strange}</p>"
        assert copy["text"] == f"{strange}\n"
        assert copy["subject"] == f"Re {strange}"

    def test_no_name_leaves_the_house_unless_the_body_shows_it(self, carrier: BatchCarrier) -> None:
        request = carrier.build(batch([1], html="<p>x</p>", text="x\n", names="Aung Win"))  # type: ignore[attr-defined]
        assert b"Aung" not in request.body

    def test_the_request_of_a_batch_is_the_same_byte_for_byte(self, carrier: BatchCarrier) -> None:
        first, again = carrier.build(batch()), carrier.build(batch())  # type: ignore[attr-defined]
        assert first == again
        assert SECRET not in repr(first)

    def test_a_batch_as_large_as_allowed_leaves_in_one_request(self, carrier: BatchCarrier) -> None:
        receipt = carrier.deliver(batch(range(1, carrier.chunk_size + 1)))
        assert receipt.outcome is Outcome.ACCEPTED
        assert len(self.copies()) == carrier.chunk_size

    @pytest.mark.parametrize("beyond", [-1, 1])
    def test_more_readers_than_allowed_and_none_at_all_are_the_callers_mistake(
        self, carrier: BatchCarrier, beyond: int
    ) -> None:
        readers = range(1, carrier.chunk_size + 2) if beyond > 0 else ()
        with pytest.raises(ValueError, match=str(carrier.chunk_size)):
            carrier.deliver(batch(readers))
        assert not self.copies()

    def test_two_threads_deliver_at_once_and_each_reader_gets_one_copy(self, carrier: BatchCarrier) -> None:
        receipts: list[Receipt] = []

        def send(chunk: int) -> None:
            readers = range(100 * chunk, 100 * chunk + 5)
            receipts.append(carrier.deliver(batch(readers, key=f"2016-04-22-weekly/{chunk}")))

        at_once(*(lambda chunk=chunk: send(chunk) for chunk in (1, 2, 3, 4)))  # type: ignore[misc]
        assert [receipt.outcome for receipt in receipts] == [Outcome.ACCEPTED] * 4
        assert self.got() == {f"reader{100 * c + n}@example.org": 1 for c in (1, 2, 3, 4) for n in range(5)}

    def test_the_probe_says_that_the_key_works_and_sends_nothing(self, carrier: BatchCarrier) -> None:
        said = carrier.probe()
        assert said
        assert "\n" not in said
        assert SECRET not in said
        assert not self.copies()

    def test_a_look_up_before_anything_was_sent_names_nobody(self, carrier: BatchCarrier) -> None:
        assert not carrier.lookup(batch())

    def test_a_request_holds_no_more_readers_than_allowed_however_long_their_copies(
        self, carrier: BatchCarrier
    ) -> None:
        for copy_bytes in (1, 60_000, 10**9):
            assert 1 <= carrier.readers_per_request(copy_bytes) <= carrier.chunk_size

    def test_a_request_with_more_bytes_than_allowed_is_not_sent_but_to_be_split(self, carrier: BatchCarrier) -> None:
        if carrier.max_bytes is None:
            assert carrier.deliver(batch([1], html="x" * 200_000)).outcome is Outcome.ACCEPTED
            return
        receipt = carrier.deliver(batch([1], html="x" * (carrier.max_bytes + 1)))
        assert (receipt.outcome, receipt.split) == (Outcome.REJECTED, True)
        assert self.server.seen == []
