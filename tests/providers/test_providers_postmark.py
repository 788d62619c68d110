from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from postmark_server import PostmarkServer
from provider_contract import SECRET, BatchCarrierContract, batch
from provider_server import FAULTS, NOON
from smtp_servers import free_port
from web_servers import HANG_UP, Said

from newsletter.errors import TryLaterError
from newsletter.providers.base import Outcome, ProviderStoppedError, Recipient
from newsletter.providers.feedback import Feedback, ForgedFeedbackError, HookCall, Report
from newsletter.providers.http import Request
from newsletter.providers.postmark import Postmark, PostmarkSettings

HOOK = "a-secret-in-the-address"
URL = f"https://news.example.org/reports/postmark/{HOOK}"


@pytest.fixture
def server() -> Iterator[PostmarkServer]:
    with PostmarkServer(SECRET) as server:
        yield server


@pytest.fixture
def carrier(server: PostmarkServer) -> Iterator[Postmark]:
    carrier = server.carrier(lambda: server.now, timeout=10)
    yield carrier
    carrier.close()


def carrier_for(base_url: str, key: str = SECRET, **settings: object) -> Postmark:
    given = {"name": "postmark", "key": "env:KEY", "base_url": base_url, **settings}
    return Postmark(PostmarkSettings.model_validate(given), key, lambda: NOON)


def report(record: str, url: str = URL, headers: dict[str, str] | None = None, **said: object) -> HookCall:
    body = {"RecordType": record, "MessageStream": "broadcast", "MessageID": "m-1", "Tag": "2016-04-22"}
    about = {"Email": "reader7@example.org", "Metadata": {"reader": "7", "chunk": "c" * 24}}
    return HookCall(headers or {}, json.dumps({**body, **about, **said}).encode(), url, NOON)


def basic(pair: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


class TestPostmarkAsACarrier(BatchCarrierContract):
    @pytest.fixture(autouse=True)
    def _server(self, server: PostmarkServer) -> None:
        self.server: PostmarkServer = server

    def lock_out(self) -> bool:
        self.server.key = "another key"
        return True

    def true_calls(self) -> Iterable[tuple[HookCall, str]]:
        plain = "https://news.example.org/reports/postmark"
        yield report("Delivery", DeliveredAt="2016-04-22T12:00:00Z"), HOOK
        yield report("Bounce", plain, basic(f"postmark:{HOOK}"), ID=1, Type="HardBounce"), HOOK
        yield report("SpamComplaint", ID=2, Metadata={}), HOOK

    def forged_calls(self) -> Iterable[tuple[HookCall, str]]:
        plain = "https://news.example.org/reports/postmark"
        yield report("Delivery", plain), HOOK
        yield report("Delivery", f"{plain}?{HOOK}"), HOOK
        yield report("Delivery", f"{plain}/{HOOK}/more"), HOOK
        yield report("Delivery", plain, basic(f"{HOOK}:")), HOOK
        yield report("Delivery", plain, {"authorization": f"Bearer {HOOK}"}), HOOK
        yield report("Delivery", plain, {"authorization": "Basic ***"}), HOOK


def messages(request: Request) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = json.loads(request.body)
    return said


def test_a_request_is_of_the_shape_that_postmark_describes(shared: Path) -> None:
    schema = json.loads((shared / "specs/postmark_email_batch.schema.json").read_text())
    request = carrier_for("https://api.postmarkapp.com").build(batch(range(1, 501)))
    assert (request.method, request.url) == ("POST", "https://api.postmarkapp.com/email/batch")
    said = messages(request)
    jsonschema.validate(said, schema)
    assert [message["To"] for message in said] == [f"reader{number}@example.org" for number in range(1, 501)]


def test_tracking_is_off_and_tag_stream_and_marks_are_set(carrier: Postmark) -> None:
    for reader, message in enumerate(messages(carrier.build(batch())), 1):
        assert message["TrackOpens"] is False
        assert message["TrackLinks"] == "None"
        assert message["MessageStream"] == "broadcast"
        assert message["Tag"] == "2016-04-22"
        assert message["Metadata"]["reader"] == str(reader)
        assert len(message["Metadata"]["chunk"]) == 24
    assert b"weekly/0" not in carrier.build(batch()).body


def test_our_message_id_and_list_headers_stay_and_postmarks_own_are_not_sent(
    carrier: Postmark, server: PostmarkServer
) -> None:
    carrier.deliver(batch([7]))
    copy = server.copies["reader7@example.org"]
    assert copy["message-id"] == "<message7@example.org>"
    assert copy["list-id"] == "The Weekly <weekly.news.example.org>"
    assert "date" not in copy


def test_a_sender_in_encoded_words_is_sent_as_it_reads(carrier: Postmark) -> None:
    given = batch([1])
    sender = "=?utf-8?q?N=C3=A4chste=2C_=22?=\r\n =?utf-8?q?Woche=22?= <weekly@example.org>"
    merge = dataclasses.replace(given.merge, sender=sender, reply_to=None)
    said = messages(carrier.build(dataclasses.replace(given, merge=merge)))[0]
    assert said["From"] == '"Nächste, \\"Woche\\"" <weekly@example.org>'
    assert "ReplyTo" not in said
    merge = dataclasses.replace(given.merge, sender="weekly@example.org")
    assert messages(carrier.build(dataclasses.replace(given, merge=merge)))[0]["From"] == "weekly@example.org"


def test_postmarks_own_placeholder_is_not_replaced_in_text_html_or_a_name(
    carrier: Postmark, server: PostmarkServer
) -> None:
    strange = "{{{ pm:unsubscribe }}}"
    given = batch(
        [1],
        html=f"<p>{strange}__NL_NAME__</p>",
        text=f"{strange}__NL_NAME__\n",
        names="{" * 6 + " pm:unsubscribe " + "}" * 6,
    )
    carrier.deliver(given)
    copy = server.copies["reader1@example.org"]
    assert copy["text"].replace("\u2060", "") == f"{strange}{strange}\n"
    assert copy["html"].replace("&#123;", "{") == f"<p>{strange}{strange}</p>"


def test_values_are_not_read_as_tokens_and_need_no_luck_with_json(carrier: Postmark, server: PostmarkServer) -> None:
    given = batch([1], text="__NL_NAME__\n", names='__NL_UNSUBSCRIBE__ "\\" \u2028 é')
    carrier.deliver(given)
    assert server.copies["reader1@example.org"]["text"] == '__NL_UNSUBSCRIBE__ "\\" \u2028 é\n'


def test_a_batch_without_values_is_sent_as_it_is(carrier: Postmark, server: PostmarkServer) -> None:
    given = batch([1], html="<p>x</p>", text="x\n")
    merge = dataclasses.replace(given.merge, headers=())
    carrier.deliver(dataclasses.replace(given, merge=merge, recipients=(Recipient(1, "r@example.org", "", {}),)))
    assert server.copies["r@example.org"]["text"] == "x\n"


class TestAnswers:
    def test_one_inactive_and_one_invalid_address_are_refused_alone(
        self, carrier: Postmark, server: PostmarkServer
    ) -> None:
        server.bad, server.suppressed = {"reader2@example.org"}, {"reader4@example.org"}
        receipt = carrier.deliver(batch(range(1, 6)))
        assert receipt.outcome is Outcome.ACCEPTED
        assert {reader: fate for reader, (fate, _) in receipt.exceptions.items()} == {
            2: Outcome.REJECTED,
            4: Outcome.REJECTED,
        }
        assert receipt.exceptions[4][1].startswith("406 ")
        assert receipt.reference.endswith("000000000000")
        assert sorted(server.copies) == [f"reader{number}@example.org" for number in (1, 3, 5)]

    def test_a_batch_of_bad_addresses_only_is_no_success(self, carrier: Postmark, server: PostmarkServer) -> None:
        server.bad = {"reader1@example.org", "reader2@example.org"}
        receipt = carrier.deliver(batch([1, 2]))
        assert receipt.outcome is Outcome.REJECTED
        assert set(receipt.exceptions) == {1, 2}
        assert receipt.reference == ""

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            (10, "Bad or missing Server API token."),
            (300, "Invalid 'From' address: 'weekly@example.org' is not a verified sender signature."),
            (400, "Sender signature not found"),
            (401, "Sender signature not confirmed"),
            (405, "You ran out of credits."),
            (412, "The account is pending approval."),
            (413, "The account may not send."),
            (1235, "The MessageStream does not exist on this server."),
        ],
    )
    def test_a_refusal_that_is_about_us_stops_the_run_and_rejects_nobody(
        self, carrier: Postmark, server: PostmarkServer, code: int, message: str
    ) -> None:
        said = {"ErrorCode": code, "Message": message}
        server.answers = [_json(200, [said, said]), _json(422, said)]
        for _ in range(2):
            with pytest.raises(ProviderStoppedError, match="the same for every reader"):
                carrier.deliver(batch([1, 2]))

    def test_a_refusal_about_us_in_the_middle_of_a_batch_does_not_lose_who_was_accepted(
        self, carrier: Postmark, server: PostmarkServer
    ) -> None:
        spent = {"ErrorCode": 405, "Message": "You ran out of credits."}
        server.answers = [_json(200, [_ok(1), spent, spent])]
        receipt = carrier.deliver(batch())
        assert receipt.outcome is Outcome.ACCEPTED
        assert {reader: fate for reader, (fate, _) in receipt.exceptions.items()} == {
            2: Outcome.DEFERRED,
            3: Outcome.DEFERRED,
        }

    @pytest.mark.parametrize("code", [100, 429])
    def test_maintenance_and_too_many_requests_put_off(
        self, carrier: Postmark, server: PostmarkServer, code: int
    ) -> None:
        said = {"ErrorCode": code, "Message": "Later."}
        server.answers = [_json(200, [_ok(1), said]), _json(422, said), _json(200, [said, said])]
        assert carrier.deliver(batch([1, 2])).exceptions[2][0] is Outcome.DEFERRED
        assert carrier.deliver(batch([1, 2])).outcome is Outcome.DEFERRED
        assert carrier.deliver(batch([1, 2])).outcome is Outcome.DEFERRED

    @pytest.mark.parametrize(
        "second",
        [
            {},
            {"ErrorCode": None, "Message": "OK"},
            {"ErrorCode": True, "Message": "OK"},
            {"ErrorCode": 0, "Message": "OK"},
            "OK",
            {"ErrorCode": 0, "Message": "OK", "MessageID": "x", "To": "reader9@example.org"},
        ],
    )
    def test_a_result_that_does_not_say_yes_is_no_yes(
        self, carrier: Postmark, server: PostmarkServer, second: object
    ) -> None:
        server.answers = [_json(200, [_ok(1), second])]
        receipt = carrier.deliver(batch([1, 2]))
        assert receipt.outcome is Outcome.ACCEPTED
        assert {reader: fate for reader, (fate, _) in receipt.exceptions.items()} == {2: Outcome.UNKNOWN}

    @pytest.mark.parametrize("said", [[], [{}], [{}] * 4, {}, None, "OK"])
    def test_another_number_of_results_leaves_everybody_in_doubt(
        self, carrier: Postmark, server: PostmarkServer, said: object
    ) -> None:
        server.answers = [_json(200, said)]
        receipt = carrier.deliver(batch())
        assert (receipt.outcome, receipt.exceptions) == (Outcome.UNKNOWN, {})

    @pytest.mark.parametrize(
        ("fault", "outcome", "wait"),
        [
            ("429", Outcome.DEFERRED, None),
            ("429 with seconds", Outcome.DEFERRED, 7.0),
            ("429 with a date", Outcome.DEFERRED, 30.0),
            ("429 with an absurd wait", Outcome.DEFERRED, 3600.0),
            ("429 with nonsense", Outcome.DEFERRED, None),
            ("503", Outcome.UNKNOWN, 5.0),
            ("500 before", Outcome.UNKNOWN, None),
            ("500 after", Outcome.UNKNOWN, None),
            ("dropped before", Outcome.UNKNOWN, None),
            ("dropped after", Outcome.UNKNOWN, None),
            ("cut in half", Outcome.UNKNOWN, None),
            ("200 with html before", Outcome.UNKNOWN, None),
            ("200 with html after", Outcome.UNKNOWN, None),
        ],
    )
    def test_every_fault_has_its_outcome(
        self, carrier: Postmark, server: PostmarkServer, fault: str, outcome: Outcome, wait: float | None
    ) -> None:
        server.faults = [FAULTS[fault]]
        receipt = carrier.deliver(batch())
        assert (receipt.outcome, receipt.retry_after, receipt.split) == (outcome, wait, False)
        assert len(server.seen) == 1

    @pytest.mark.parametrize(
        "said", [Said(413), Said(422, {}, b"no json"), Said(422, {}, b'{"ErrorCode": 406, "Message": "x"}')]
    )
    def test_too_large_or_refused_as_a_whole_asks_for_a_split(
        self, carrier: Postmark, server: PostmarkServer, said: Said
    ) -> None:
        server.answers = [said]
        receipt = carrier.deliver(batch())
        assert (receipt.outcome, receipt.split) == (Outcome.REJECTED, True)

    def test_an_answer_that_does_not_come_in_time_leaves_everybody_in_doubt(self, server: PostmarkServer) -> None:
        carrier = server.carrier(lambda: NOON)
        server.faults = [FAULTS["too slow"]]
        receipt = carrier.deliver(batch())
        carrier.close()
        assert (receipt.outcome, len(server.got)) == (Outcome.UNKNOWN, 3)

    def test_a_refused_connection_defers(self) -> None:
        carrier = carrier_for(f"http://127.0.0.1:{free_port()}")
        assert carrier.deliver(batch()).outcome is Outcome.DEFERRED
        assert carrier.lookup(batch()) is None
        with pytest.raises(TryLaterError):
            carrier.probe()

    def test_a_wrong_token_stops_the_run_without_naming_it(self, carrier: Postmark, server: PostmarkServer) -> None:
        server.key = "another"
        with pytest.raises(ProviderStoppedError, match="postmark answered 401") as stopped:
            carrier.deliver(batch())
        assert SECRET not in str(stopped.value)


def _ok(reader: int) -> dict[str, Any]:
    return {"ErrorCode": 0, "Message": "OK", "MessageID": f"m-{reader}", "To": f"Reader{reader}@example.org"}


def _json(status: int, said: object) -> Said:
    return Said(status, {}, json.dumps(said).encode())


class TestLookingUp:
    def test_a_lost_answer_is_resolved_by_the_messages_once_they_show(
        self, carrier: Postmark, server: PostmarkServer
    ) -> None:
        server.faults, server.page_size = [FAULTS["dropped after"]], 2
        assert carrier.deliver(batch(range(1, 8))).outcome is Outcome.UNKNOWN
        assert carrier.lookup(batch(range(1, 10))) == {}
        server.now += dt.timedelta(seconds=carrier.lag)
        assert carrier.lookup(batch(range(1, 10))) == dict.fromkeys(range(1, 8), Outcome.ACCEPTED)

    def test_what_is_forgotten_after_the_memory_is_not_named(self, carrier: Postmark, server: PostmarkServer) -> None:
        carrier.deliver(batch())
        server.now += dt.timedelta(seconds=carrier.memory)
        assert carrier.lookup(batch()) == {}

    def test_another_chunk_of_the_same_issue_is_not_taken_for_this_one(
        self, carrier: Postmark, server: PostmarkServer
    ) -> None:
        carrier.deliver(batch(key="2016-04-22-press/0"))
        server.now += dt.timedelta(seconds=carrier.lag)
        assert carrier.lookup(batch()) == {}

    def test_messages_without_our_metadata_count_by_their_address(
        self, carrier: Postmark, server: PostmarkServer
    ) -> None:
        shown: list[object] = [
            {"Recipients": ["Reader2@example.org"]},
            {"Recipients": ["stranger@example.org"]},
            {"Recipients": [], "Metadata": None},
            {"Recipients": ["reader1@example.org"], "Metadata": {"reader": "1e3"}},
            {"Recipients": "reader3@example.org", "Metadata": {"reader": "99"}},
            "no message",
        ]
        server.answers = [_json(200, {"TotalCount": len(shown), "Messages": shown})]
        assert carrier.lookup(batch()) == {2: Outcome.ACCEPTED}

    @pytest.mark.parametrize(
        "said",
        [
            HANG_UP,
            Said(500),
            Said(401),
            Said(200, {}, b"<html>"),
            Said(200, {}, b"[]"),
            Said(200, {}, b'{"TotalCount": "1", "Messages": []}'),
            Said(200, {}, b'{"TotalCount": 1, "Messages": []}'),
            Said(200, {}, b'{"TotalCount": 1, "Messages": {}}'),
            Said(200, {}, b'{"TotalCount": 0, "Messages": [], "x', promised=100),
        ],
    )
    def test_what_cannot_be_asked_is_not_taken_for_absence(
        self, carrier: Postmark, server: PostmarkServer, said: Said | str
    ) -> None:
        server.answers = [said]
        assert carrier.lookup(batch()) is None

    def test_a_page_that_fails_in_the_middle_makes_the_whole_unknown(
        self, carrier: Postmark, server: PostmarkServer
    ) -> None:
        server.answers = [_json(200, {"TotalCount": 2, "Messages": [{}]}), Said(500)]
        assert carrier.lookup(batch()) is None

    def test_more_messages_than_postmark_shows_make_the_whole_unknown(
        self, carrier: Postmark, server: PostmarkServer
    ) -> None:
        server.answers = [_json(200, {"TotalCount": 20_000, "Messages": [{}] * 5_000})] * 3
        assert carrier.lookup(batch()) is None
        assert len(server.seen) == 2


class TestReports:
    def read(self, call: HookCall) -> Feedback:
        (one,) = Postmark.feedback(call, HOOK)
        return one

    def test_a_hard_bounce_names_reader_issue_chunk_and_status(self) -> None:
        call = report(
            "Bounce",
            ID=4323372036854775807,
            Type="HardBounce",
            Details="smtp;550 5.1.1 The email\naccount does not exist",
            BouncedAt="2016-04-22T08:00:30.4160710-04:00",
        )
        assert self.read(call) == Feedback(
            Report.BOUNCED,
            7,
            issue="2016-04-22",
            chunk="c" * 24,
            at=dt.datetime(2016, 4, 22, 12, 0, 30, 416071, tzinfo=dt.UTC),
            hard=True,
            status="5.1.1",
            detail="smtp;550 5.1.1 The email account does not exist",
            id="Bounce/4323372036854775807",
        )

    @pytest.mark.parametrize(
        ("kind", "expected", "hard"),
        [
            ("HardBounce", Report.BOUNCED, True),
            ("BadEmailAddress", Report.BOUNCED, True),
            ("SoftBounce", Report.BOUNCED, False),
            ("Blocked", Report.BOUNCED, False),
            ("NewKindOfBounce", Report.BOUNCED, False),
            ("Transient", Report.TAKEN, False),
            ("AutoResponder", Report.TAKEN, False),
            ("Unsubscribe", Report.LEFT, False),
            ("SMTPApiError", Report.REFUSED, False),
        ],
    )
    def test_each_type_of_bounce_has_its_meaning(self, kind: str, expected: Report, hard: bool) -> None:
        one = self.read(report("Bounce", ID=1, Type=kind))
        assert (one.report, one.hard) == (expected, hard)

    def test_a_delivery_and_a_complaint_are_read(self) -> None:
        delivered = self.read(report("Delivery", DeliveredAt="2016-04-22T12:00:00"))
        assert (delivered.report, delivered.at, delivered.id) == (
            Report.DELIVERED,
            NOON,
            "Delivery/m-1/2016-04-22T12:00:00",
        )
        assert self.read(report("SpamComplaint", ID=3)).report is Report.COMPLAINED

    def test_a_reader_who_left_by_postmarks_link_has_left(self) -> None:
        said = {"SuppressSending": True, "Origin": "Recipient", "SuppressionReason": "ManualSuppression"}
        one = self.read(report("SubscriptionChange", **said, ChangedAt="2016-04-22T12:00:00Z"))
        assert (one.report, one.at) == (Report.LEFT, NOON)

    @pytest.mark.parametrize(
        "changed",
        [
            {"SuppressSending": False},
            {"Origin": "Customer"},
            {"SuppressionReason": "HardBounce"},
            {"RecordType": "Open"},
            {"RecordType": "Click"},
            {"RecordType": "Tomorrow"},
        ],
    )
    def test_what_says_nothing_of_a_message_gives_nothing(self, changed: dict[str, object]) -> None:
        said = {"SuppressSending": True, "Origin": "Recipient", "SuppressionReason": "ManualSuppression"}
        record = str({"RecordType": "SubscriptionChange", **changed}["RecordType"])
        rest = {name: value for name, value in changed.items() if name != "RecordType"}
        assert Postmark.feedback(report(record, **{**said, **rest}), HOOK) == ()

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"[" * 100_000])
    def test_a_body_that_is_no_report_gives_nothing(self, body: bytes) -> None:
        assert Postmark.feedback(HookCall({}, body, URL, NOON), HOOK) == ()

    def test_without_our_metadata_the_address_is_named_instead(self) -> None:
        for metadata in ({}, None, {"reader": "x"}, {"reader": "9" * 30}):
            one = self.read(report("Bounce", ID=1, Type="HardBounce", Metadata=metadata, BouncedAt="yesterday"))
            assert (one.reader, one.address, one.at) == (None, "reader7@example.org", None)

    def test_the_same_report_has_the_same_id_when_it_is_sent_twice(self) -> None:
        assert self.read(report("Bounce", ID=5)).id == self.read(report("Bounce", ID=5)).id
        assert self.read(report("Bounce", ID=5)).id != self.read(report("Bounce", ID=6)).id

    def test_an_empty_secret_lets_nobody_in(self) -> None:
        with pytest.raises(ForgedFeedbackError):
            Postmark.feedback(report("Delivery", "https://news.example.org/reports/"), "")


class TestWhatItSays:
    def test_the_probe_names_the_stream_and_warns_of_a_second_way_to_leave(
        self, carrier: Postmark, server: PostmarkServer
    ) -> None:
        assert carrier.probe() == "stream broadcast (Broadcasts)"
        server.handling = "Postmark"
        assert "adds its own unsubscribe link" in carrier.probe()

    def test_a_stream_that_is_not_there_is_told_by_the_probe(self, server: PostmarkServer) -> None:
        other = server.carrier(lambda: NOON, stream="news", timeout=10)
        with pytest.raises(ProviderStoppedError, match="404"):
            other.probe()
        server.answers = [Said(422, {}, b'{"ErrorCode": 1226, "Message": "not found"}'), Said(200, {}, b"<html>")]
        with pytest.raises(ProviderStoppedError, match="1226"):
            other.probe()
        with pytest.raises(TryLaterError, match="did not describe"):
            other.probe()
        other.close()

    def test_in_test_mode_mail_goes_with_the_token_that_delivers_nothing(self, server: PostmarkServer) -> None:
        carrier = server.carrier(lambda: NOON, test_mode="true", timeout=10)
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED
        assert carrier.probe()
        carrier.close()
        assert server.seen[0].headers["X-Postmark-Server-Token"] == "POSTMARK_API_TEST"
        assert server.got == {}
        assert carrier_for("https://api.postmarkapp.com", test_mode="true").describe() == (
            "postmark broadcast (api.postmarkapp.com, test mode: nothing is delivered)"
        )

    def test_its_place_differs_by_host_stream_and_server_and_tells_no_token(self) -> None:
        url = "https://api.postmarkapp.com"
        places = {
            carrier_for(url).place(),
            carrier_for(url, stream="news").place(),
            carrier_for(url, key="another").place(),
            carrier_for("https://postmark.example.org/x").place(),
        }
        assert len(places) == 4
        assert not any(SECRET in place for place in places)
        assert carrier_for(url).place() == carrier_for("https://API.postmarkapp.com/").place()

    def test_long_copies_leave_in_smaller_requests(self) -> None:
        carrier = carrier_for("https://api.postmarkapp.com")
        assert carrier.readers_per_request(60_000) == 500
        assert carrier.readers_per_request(400_000) == 99
        given = batch(range(1, 100), html='<p class="x">text</p>\n' * (300_000 // 22), text="text\n" * 20_000)
        assert len(carrier.build(given).body) <= carrier.max_bytes
