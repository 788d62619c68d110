from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import hashlib
import html
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from mailjet_server import API_KEY, FORBIDDEN, MailjetServer
from provider_contract import SECRET, BatchCarrierContract, batch
from web_servers import HANG_UP, RESET, Said

from newsletter.errors import NewsletterError, TryLaterError
from newsletter.providers.base import Batch, BatchCarrier, Guard, Outcome, ProviderStoppedError
from newsletter.providers.feedback import Feedback, HookCall, Report
from newsletter.providers.mailjet import Mailjet, MailjetSettings
from newsletter.providers.registry import open_provider

NOW = dt.datetime(2016, 4, 22, 12, 0, tzinfo=dt.UTC)
HOOK_SECRET = "the-hook-secret-of-the-tests"
MARK = hashlib.sha256(b"2016-04-22-weekly/0").hexdigest()[:24]


def hook(*events: dict[str, object], secret: str = HOOK_SECRET, password: str | None = None) -> HookCall:
    """Write a report as in Mailjet's guide on events: one event, or those of a second in a list."""
    body = json.dumps(events[0] if len(events) == 1 else list(events)).encode()
    basic = base64.b64encode(f"any:{password}".encode()).decode()
    headers = {} if password is None else {"authorization": f"Basic {basic}"}
    return HookCall(headers, body, f"https://news.example.org/hooks/mailjet/{secret}", NOW)


def event(kind: str, **more: object) -> dict[str, object]:
    return {
        "event": kind,
        "time": 1461326400,
        "MessageID": 19421777835146490,
        "email": "reader41@example.org",
        "customcampaign": "x",
        "CustomID": f"41-{MARK}",
        "Payload": "2016-04-22",
        **more,
    }


def carrier_for(**settings: object) -> Mailjet:
    given = {"name": "mailjet", "api_key": API_KEY, "key": "env:MAILJET_KEY", **settings}
    return Mailjet(MailjetSettings.model_validate(given), SECRET, lambda: NOW)


def messages_of(carrier: Mailjet, given: Batch) -> list[dict[str, Any]]:
    messages = json.loads(carrier.build(given).body)["Messages"]
    assert isinstance(messages, list)
    return messages


def results(*given: object, status: int = 400) -> Said:
    return Said(status, {}, json.dumps({"Messages": given}).encode())


def error(code: str, *related: str, status: int = 400) -> dict[str, object]:
    return {
        "Status": "error",
        "Errors": [{"ErrorCode": code, "StatusCode": status, "ErrorMessage": "no", "ErrorRelatedTo": related}],
    }


SUCCESS = {"Status": "success", "CustomID": "", "To": [{"Email": "x", "MessageID": 7}]}
BAD_ADDRESS = error("mj-0013", "To[0].Email")


@pytest.fixture
def server() -> Iterator[MailjetServer]:
    with MailjetServer(SECRET) as server:
        yield server


@pytest.fixture
def carrier(server: MailjetServer) -> Iterator[Mailjet]:
    carrier = server.carrier(lambda: NOW)
    yield carrier
    carrier.close()


class TestMailjetAsACarrier(BatchCarrierContract):
    @pytest.fixture(autouse=True)
    def _server(self, server: MailjetServer) -> None:
        self.server = server

    @pytest.fixture
    def carrier(self, carrier: Mailjet) -> BatchCarrier:
        return carrier

    def lock_out(self) -> bool:
        self.server.key = "another key"  # type: ignore[attr-defined]
        return True

    def true_calls(self) -> Iterable[tuple[HookCall, str]]:
        return [(hook(event(kind)), HOOK_SECRET) for kind in ("sent", "bounce", "blocked", "spam", "unsub", "open")]

    def forged_calls(self) -> Iterable[tuple[HookCall, str]]:
        return [
            (hook(event("bounce"), secret=""), HOOK_SECRET),
            (hook(event("bounce"), secret="guessed"), HOOK_SECRET),
            (hook(event("bounce"), secret="", password="guessed"), HOOK_SECRET),
        ]


@pytest.mark.parametrize("test_mode", ["true", "false"])
def test_a_request_is_as_mailjet_describes_it(shared: Path, test_mode: str) -> None:
    schema = json.loads((shared / "specs/mailjet_v3.1_send.schema.json").read_text())
    request = carrier_for(test_mode=test_mode).build(batch())
    assert (request.method, request.url) == ("POST", "https://api.mailjet.com/v3.1/send")
    body = json.loads(request.body)
    jsonschema.validate(body, schema)
    # The first form of the two alone: the second would let From be a string.
    strict = {**schema, "$ref": "#/definitions/SendEmailV3_1.Body/anyOf/0"}
    jsonschema.validate(body, strict)
    assert body.get("SandboxMode", False) is (test_mode == "true")


def test_every_kind_of_tracking_is_off_and_nothing_is_a_template(carrier: Mailjet) -> None:
    for message in messages_of(carrier, batch()):
        assert (message["TrackOpens"], message["TrackClicks"]) == ("disabled", "disabled")
        assert message["TemplateLanguage"] is False


def test_reader_batch_and_issue_ride_where_they_come_back(carrier: Mailjet) -> None:
    given = dataclasses.replace(batch([41], key="2016-04-22-press/7"), mailing="2016-04-22-press")
    (message,) = messages_of(carrier, given)
    assert message["CustomID"] == "41-" + hashlib.sha256(b"2016-04-22-press/7").hexdigest()[:24]
    assert message["CustomCampaign"] == hashlib.sha256(b"2016-04-22-press").hexdigest()[:24]
    assert message["EventPayload"] == "2016-04-22"
    assert b"press" not in carrier.build(given).body


def test_headers_that_mailjet_forbids_are_left_out(carrier: Mailjet) -> None:
    given = batch([1])
    forbidden = tuple((name, "x") for name in FORBIDDEN.split())
    more = (*given.merge.headers, *forbidden, ("Precedence", "list"))
    (message,) = messages_of(carrier, dataclasses.replace(given, merge=dataclasses.replace(given.merge, headers=more)))
    assert set(message["Headers"]) == {"List-Unsubscribe", "List-Unsubscribe-Post", "Precedence"}


def test_the_senders_name_arrives_decoded(carrier: Mailjet) -> None:
    given = batch([1])
    for sender, name in (("=?utf-8?q?L=27hebdo_=C3=A9crit?= <weekly@example.org>", "L'hebdo écrit"), ("a@b.org", None)):
        merge = dataclasses.replace(given.merge, sender=sender, reply_to=None)
        (message,) = messages_of(carrier, dataclasses.replace(given, merge=merge))
        assert message["From"].get("Name") == name
        assert "ReplyTo" not in message


def test_what_mailjet_would_personalise_reaches_the_reader(carrier: Mailjet, server: MailjetServer) -> None:
    strange = "[[var:name]] [[data:first:x]] [[x]] [[UNSUB_LINK]] [a] [[ [["
    carrier.deliver(
        batch([1], html=f"<p>{strange} __NL_NAME__</p>", text=f"{strange} __NL_NAME__\n", names="[[var:x]]")
    )
    copy = server.copies["reader1@example.org"]
    assert html.unescape(copy["html"]).replace("\u2060", "") == f"<p>{strange} [[var:x]]</p>"
    assert copy["text"].replace("\u2060", "") == f"{strange} [[var:x]]\n"


class TestTheCampaign:
    def test_nobody_gets_a_second_copy_whoever_else_is_in_the_request(
        self, carrier: Mailjet, server: MailjetServer
    ) -> None:
        def part(*readers: int, key: str) -> Batch:
            return dataclasses.replace(batch(readers, key=key), mailing="2016-04-22-weekly")

        assert carrier.guard is Guard.REPEATABLE
        for given in (part(1, 2, key="a/0"), part(2, 3, key="a/1"), part(1, 2, key="a/0")):
            assert carrier.deliver(given).outcome is Outcome.ACCEPTED
        assert server.got == {"reader1@example.org": 1, "reader2@example.org": 1, "reader3@example.org": 1}
        assert len(server.blocked) == 3

    def test_another_mailing_is_another_campaign(self, carrier: Mailjet, server: MailjetServer) -> None:
        for mailing in ("2016-04-22-weekly", "2016-04-22-press"):
            carrier.deliver(dataclasses.replace(batch([1]), mailing=mailing))
        assert server.got == {"reader1@example.org": 2}

    def test_a_batch_without_a_mailing_is_a_campaign_of_its_own(self, carrier: Mailjet, server: MailjetServer) -> None:
        carrier.deliver(batch([1], key="a/0"))
        carrier.deliver(batch([1], key="b/0"))
        assert server.got == {"reader1@example.org": 2}


class TestResults:
    def test_one_bad_address_is_refused_alone_though_the_whole_answer_is_a_400(
        self, carrier: Mailjet, server: MailjetServer
    ) -> None:
        server.bad = {"reader2@example.org"}
        receipt = carrier.deliver(batch())
        assert (receipt.outcome, receipt.split) == (Outcome.ACCEPTED, False)
        assert receipt.exceptions == {2: (Outcome.REJECTED, "mj-0013 is an invalid email address.")}
        assert sorted(server.copies) == ["reader1@example.org", "reader3@example.org"]
        assert receipt.reference == "70650219165027411"

    def test_bad_addresses_alone_are_all_refused(self, carrier: Mailjet, server: MailjetServer) -> None:
        server.bad = {"reader1@example.org", "reader2@example.org"}
        receipt = carrier.deliver(batch([1, 2]))
        assert receipt.outcome is Outcome.REJECTED
        assert {outcome for outcome, _ in receipt.exceptions.values()} == {Outcome.REJECTED}

    @pytest.mark.parametrize(
        ("code", "related", "status"),
        [
            ("send-0008", ("From",), 403),
            ("send-0011", ('Headers["List-Id"]',), 400),
            ("mj-0006", ("Subject",), 400),
            ("mj-0013", ("From.Email",), 400),
            ("mj-0003", (), 400),
        ],
    )
    def test_a_refusal_that_is_the_same_for_all_stops_the_run(
        self, carrier: Mailjet, server: MailjetServer, code: str, related: tuple[str, ...], status: int
    ) -> None:
        refused = error(code, *related, status=status)
        server.answers = [results(refused, refused, BAD_ADDRESS, status=status)]
        with pytest.raises(ProviderStoppedError, match=f"the same for every reader: {code}"):
            carrier.deliver(batch())

    def test_such_a_refusal_puts_off_whom_it_names_when_others_have_their_copies(
        self, carrier: Mailjet, server: MailjetServer
    ) -> None:
        server.answers = [results(SUCCESS, error("send-0008", "From"), BAD_ADDRESS)]
        receipt = carrier.deliver(batch())
        assert receipt.outcome is Outcome.ACCEPTED
        assert {reader: fate[0] for reader, fate in receipt.exceptions.items()} == {
            2: Outcome.DEFERRED,
            3: Outcome.REJECTED,
        }

    @pytest.mark.parametrize(
        "strange",
        [
            {},
            "success",
            {"Status": "maybe"},
            {"Status": "error"},
            {"Status": "error", "Errors": ["x"]},
            {"Status": "error", "Errors": "x"},
            error("mj-0001", "To", status=500),
            {**SUCCESS, "CustomID": "42-of-another-batch"},
        ],
    )
    def test_a_result_that_does_not_say_what_became_of_its_message_leaves_it_unknown(
        self, carrier: Mailjet, server: MailjetServer, strange: object
    ) -> None:
        server.answers = [results(SUCCESS, strange, SUCCESS, status=200)]
        receipt = carrier.deliver(batch())
        assert receipt.outcome is Outcome.ACCEPTED
        assert {reader: fate[0] for reader, fate in receipt.exceptions.items()} == {2: Outcome.UNKNOWN}

    @pytest.mark.parametrize("status", [200, 400])
    def test_a_count_of_results_that_is_off_leaves_everybody_unknown(
        self, carrier: Mailjet, server: MailjetServer, status: int
    ) -> None:
        for given in ((), (SUCCESS, SUCCESS), (SUCCESS,) * 4):
            server.answers = [results(*given, status=status)]
            receipt = carrier.deliver(batch())
            assert (receipt.outcome, receipt.exceptions) == (Outcome.UNKNOWN, {})


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (Said(200, {}, b"<!DOCTYPE html>"), Outcome.UNKNOWN),
        (Said(200, {}, b"{}"), Outcome.UNKNOWN),
        (Said(200, {}, b'{"Messages": {}}'), Outcome.UNKNOWN),
        (Said(200, {}, b'{"Messages": [{"Status": "suc', promised=400), Outcome.UNKNOWN),
        (Said(400, {}, b'{"Messages": [{"Status": "suc', promised=400), Outcome.UNKNOWN),
        (Said(403, {}, b'{"Messages": [{"Status": "suc', promised=400), Outcome.UNKNOWN),
        (Said(500, {}, b'{"ErrorIdentifier": "x", "StatusCode": 500}'), Outcome.UNKNOWN),
        (results(SUCCESS, SUCCESS, SUCCESS, status=500), Outcome.UNKNOWN),
        (HANG_UP, Outcome.UNKNOWN),
        (RESET, Outcome.UNKNOWN),
        (Said(429, {"Retry-After": "30"}, b'{"Messages": []}'), Outcome.DEFERRED),
    ],
)
def test_an_answer_that_does_not_say_yes_is_no_yes(
    carrier: Mailjet, server: MailjetServer, said: Said | str, outcome: Outcome
) -> None:
    server.answers = [said]
    receipt = carrier.deliver(batch())
    assert receipt.outcome is outcome
    assert not receipt.split
    assert len(server.seen) == 1


def test_too_large_a_body_asks_for_the_batch_to_be_split(carrier: Mailjet, server: MailjetServer) -> None:
    too_large = {"ErrorCode": "mj-0011", "StatusCode": 400, "ErrorMessage": "Payload size is over the limit."}
    server.answers = [Said(400, {}, json.dumps(too_large).encode()), Said(413, {}, b""), Said(400, {}, b"Bad Request")]
    receipts = [carrier.deliver(batch()) for _ in range(3)]
    assert [(receipt.outcome, receipt.split) for receipt in receipts] == [(Outcome.REJECTED, True)] * 3


@pytest.mark.parametrize("status", [400, 401, 403])
def test_an_error_of_the_request_itself_stops_the_run(carrier: Mailjet, server: MailjetServer, status: int) -> None:
    said = {"ErrorCode": "mj-0002", "StatusCode": status, "ErrorMessage": "Malformed JSON"}
    server.answers = [Said(status, {}, json.dumps(said).encode())]
    with pytest.raises(ProviderStoppedError, match="Malformed JSON") as stopped:
        carrier.deliver(batch())
    assert SECRET not in str(stopped.value)


def test_long_copies_make_smaller_requests(carrier: Mailjet) -> None:
    assert carrier.readers_per_request(60_000) == 50
    html_part, text = '<td class="text">é</td>\n' * 30_000, "A line of text, as long as they are.\n" * 5_000
    copy_bytes = len((html_part + text).encode())
    given = batch(range(carrier.readers_per_request(copy_bytes)), html=html_part, text=text)
    assert len(carrier.build(given).body) <= carrier.max_bytes


class TestReports:
    def test_a_bounce_names_the_reader_the_issue_and_the_batch(self) -> None:
        bounce = event("bounce", hard_bounce=True, blocked=True, error="user unknown", comment="550 5.1.1 unknown")
        assert Mailjet.feedback(hook(bounce), HOOK_SECRET) == (
            Feedback(
                Report.BOUNCED,
                41,
                issue="2016-04-22",
                chunk=MARK,
                at=NOW,
                hard=True,
                status="5.1.1",
                detail="user unknown",
                id="bounce/19421777835146490/1461326400",
            ),
        )

    @pytest.mark.parametrize(
        ("kind", "report"),
        [
            ("sent", Report.DELIVERED),
            ("bounce", Report.BOUNCED),
            ("blocked", Report.REFUSED),
            ("spam", Report.COMPLAINED),
            ("unsub", Report.LEFT),
        ],
    )
    def test_each_kind_has_its_meaning(self, kind: str, report: Report) -> None:
        told = Mailjet.feedback(hook(event(kind)), HOOK_SECRET)
        assert [(one.report, one.hard) for one in told] == [(report, False)]

    @pytest.mark.parametrize("kind", ["open", "click", "typofix", ""])
    def test_kinds_that_tell_nothing_of_the_mail_give_nothing(self, kind: str) -> None:
        assert Mailjet.feedback(hook(event(kind)), HOOK_SECRET) == ()

    def test_a_second_copy_that_was_blocked_says_nothing_of_the_first(self) -> None:
        blocked = event("blocked", error_related_to="mailjet", error="duplicate in campaign")
        assert Mailjet.feedback(hook(blocked, event("sent")), HOOK_SECRET)[0].report is Report.DELIVERED

    def test_the_secret_may_be_the_password_of_the_address(self) -> None:
        assert Mailjet.feedback(hook(event("sent"), secret="", password=HOOK_SECRET), HOOK_SECRET)

    def test_a_report_without_our_marks_names_the_address(self) -> None:
        for mark in (None, "", "helloworld", "x-" + MARK, "41-short"):
            (report,) = Mailjet.feedback(hook(event("spam", CustomID=mark, Payload=None)), HOOK_SECRET)
            assert (report.reader, report.address, report.issue) == (None, "reader41@example.org", "")
        assert Mailjet.feedback(hook(event("spam", CustomID=None, email=None)), HOOK_SECRET) == ()

    def test_a_stamp_that_is_none_is_left_out(self) -> None:
        for stamp in ("soon", True, -1, 10**20, None):
            (report,) = Mailjet.feedback(hook(event("sent", time=stamp)), HOOK_SECRET)
            assert report.at is None

    def test_what_is_no_report_gives_nothing(self) -> None:
        for body in (b"", b"7", b'["x"]', b"{}"):
            assert Mailjet.feedback(dataclasses.replace(hook(event("spam")), body=body), HOOK_SECRET) == ()


class TestAskingWhetherTheKeyWorks:
    def test_the_senders_are_told(self, carrier: Mailjet, server: MailjetServer) -> None:
        assert carrier.probe() == "mailjet knows weekly@example.org (Active)"
        assert [(seen.method, seen.path) for seen in server.seen] == [("GET", "/v3/REST/sender?Limit=10")]

    def test_nobody_there_is_no_wrong_key(self, carrier: Mailjet, server: MailjetServer) -> None:
        for said in (Said(503), Said(429), HANG_UP):
            server.answers = [said]
            with pytest.raises(TryLaterError):
                carrier.probe()

    def test_another_server_at_this_address_is_told(self, carrier: Mailjet, server: MailjetServer) -> None:
        server.answers = [Said(200, {}, b"welcome")]
        with pytest.raises(ProviderStoppedError, match="check base_url"):
            carrier.probe()


def test_in_test_mode_nothing_is_delivered_and_it_says_so(server: MailjetServer) -> None:
    carrier = carrier_for(test_mode="true", base_url=server.url)
    assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED
    carrier.close()
    assert server.copies == {}
    assert "test mode: nothing is delivered" in carrier.describe()


def test_its_place_is_the_host_and_the_name_of_the_key() -> None:
    assert carrier_for().place() == f"api.mailjet.com, key {API_KEY}"


def test_the_name_of_the_key_has_to_be_there() -> None:
    with pytest.raises(NewsletterError, match="'api_key' is missing"):
        open_provider({"name": "mailjet", "key": "env:MAILJET_KEY"}, Path())
