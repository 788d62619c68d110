from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from provider_contract import SECRET, BatchCarrierContract, batch
from resend_server import ResendServer
from web_servers import HANG_UP, RESET, Said

from newsletter.errors import NewsletterError, TryLaterError
from newsletter.providers.base import Batch, BatchCarrier, Outcome, ProviderStoppedError
from newsletter.providers.feedback import Feedback, ForgedFeedbackError, HookCall, Report
from newsletter.providers.registry import open_provider
from newsletter.providers.resend import Resend, ResendSettings

NOW = dt.datetime(2016, 4, 22, 12, 0, tzinfo=dt.UTC)
SIGNING_SECRET = "whsec_" + base64.b64encode(b"the-signing-secret-of-the-tests").decode()


def signed(identity: str, stamp: str, body: bytes, secret: str = SIGNING_SECRET) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{identity}.{stamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def hook(kind: str, *, age: int = 0, data: Mapping[str, object] | None = None, **headers: str) -> HookCall:
    """Write an event as in Resend's OpenAPI, signed as on Svix's page; `age` in seconds."""
    told = {
        "email_id": "4ef9a417-02e9-4d39-ad75-9611e0fcc33c",
        "to": ["reader41@example.org"],
        "tags": {"issue": "2016-04-22", "reader": "41", "chunk": "5e3c9a"},
        **(data or {}),
    }
    body = json.dumps({"type": kind, "created_at": "2016-04-22T12:00:00.250Z", "data": told}).encode()
    stamp = str(int(NOW.timestamp()) - age)
    given = {"svix-id": "msg_1", "svix-timestamp": stamp, "svix-signature": signed("msg_1", stamp, body), **headers}
    return HookCall(given, body, "https://news.example.org/hooks/resend", NOW)


@pytest.fixture
def server() -> Iterator[ResendServer]:
    with ResendServer(SECRET) as server:
        yield server


@pytest.fixture
def carrier(server: ResendServer) -> Iterator[Resend]:
    carrier = server.carrier(lambda: NOW)
    yield carrier
    carrier.close()


def messages_of(carrier: Resend, given: Batch) -> list[dict[str, Any]]:
    messages = json.loads(carrier.build(given).body)
    assert isinstance(messages, list)
    return messages


class TestResendAsACarrier(BatchCarrierContract):
    @pytest.fixture(autouse=True)
    def _server(self, server: ResendServer) -> None:
        self.server = server

    @pytest.fixture
    def carrier(self, carrier: Resend) -> BatchCarrier:
        return carrier

    def lock_out(self) -> bool:
        self.server.key = "another key"  # type: ignore[attr-defined]
        return True

    def true_calls(self) -> Iterable[tuple[HookCall, str]]:
        kinds = ("sent", "delivered", "delivery_delayed", "bounced", "complained", "failed", "suppressed", "opened")
        return [(hook(f"email.{kind}"), SIGNING_SECRET) for kind in kinds]

    def forged_calls(self) -> Iterable[tuple[HookCall, str]]:
        true = hook("email.bounced")
        changed = dataclasses.replace(true, body=true.body.replace(b"41", b"42"))
        unsigned = dataclasses.replace(true, headers={})
        other_id = dataclasses.replace(true, headers={**true.headers, "svix-id": "msg_2"})
        return [
            (changed, SIGNING_SECRET),
            (unsigned, SIGNING_SECRET),
            (other_id, SIGNING_SECRET),
            (hook("email.bounced", age=601), SIGNING_SECRET),
            (hook("email.bounced", age=-601), SIGNING_SECRET),
            (hook("email.bounced", **{"svix-timestamp": "soon"}), SIGNING_SECRET),
        ]


def test_a_request_is_as_resend_describes_it(shared: Path, carrier: Resend) -> None:
    described = json.loads((shared / "specs/resend.openapi.json").read_text())
    operation = described["paths"]["/emails/batch"]["post"]
    schema = {
        **operation["requestBody"]["content"]["application/json"]["schema"],
        "components": described["components"],
    }
    request = carrier.build(batch())
    assert (request.method, request.url.rpartition("/emails")[2]) == ("POST", "/batch")
    jsonschema.validate(json.loads(request.body), {**schema, "components": described["components"]})
    known = described["components"]["schemas"]["SendEmailRequest"]["properties"]
    assert all(set(message) <= set(known) for message in json.loads(request.body))
    (parameter,) = operation["parameters"]
    assert parameter["name"] in request.headers
    jsonschema.validate(request.headers["Idempotency-Key"], parameter["schema"])
    assert "get" in described["paths"]["/domains"]


def test_each_message_carries_the_reader_and_the_batch_in_tags_that_resend_takes(carrier: Resend) -> None:
    given = dataclasses.replace(batch([41], key="2016-04-22-press/7"), tag="2016/04/22 é")
    mark = hashlib.sha256(b"2016-04-22-press/7").hexdigest()[:24]
    (message,) = messages_of(carrier, given)
    assert message["tags"] == [
        {"name": "issue", "value": "2016-04-22--"},
        {"name": "reader", "value": "41"},
        {"name": "chunk", "value": mark},
    ]
    assert b"press" not in carrier.build(given).body


def test_headers_that_resend_writes_itself_are_left_to_it(carrier: Resend) -> None:
    (message,) = messages_of(carrier, batch([1]))
    assert set(message["headers"]) == {"List-Unsubscribe", "List-Unsubscribe-Post", "List-Id"}


def test_a_merge_without_an_address_for_answers_has_no_such_field(carrier: Resend) -> None:
    given = batch([1])
    without = dataclasses.replace(given, merge=dataclasses.replace(given.merge, reply_to=None))
    assert "reply_to" not in messages_of(carrier, without)[0]


def test_the_rate_is_what_resend_allows_unless_agreed_otherwise(server: ResendServer) -> None:
    assert server.carrier(lambda: NOW).rate == 2.0
    given = {"name": "resend", "key": "env:RESEND_KEY", "rate": 10}
    assert Resend(ResendSettings.model_validate(given), SECRET).rate == 10.0


def test_there_is_no_test_mode() -> None:
    with pytest.raises(NewsletterError, match="resend has no test mode"):
        open_provider({"name": "resend", "key": "env:RESEND_KEY", "test_mode": True}, Path())


def test_its_place_changes_with_the_account() -> None:
    given = ResendSettings.model_validate({"name": "resend", "key": "env:RESEND_KEY"})
    first, other = Resend(given, SECRET), Resend(given, "another key")
    assert first.place().startswith("api.resend.com, key ")
    assert first.place() != other.place()


def test_long_copies_make_smaller_requests(carrier: Resend) -> None:
    assert carrier.readers_per_request(1_000_000) == 31
    html, text = '<td class="text">é</td>\n' * 30_000, "A line of text, as long as they are.\n" * 5_000
    copy_bytes = len((html + text).encode())
    given = batch(range(carrier.readers_per_request(copy_bytes)), html=html, text=text)
    assert len(carrier.build(given).body) <= carrier.max_bytes


class TestTheKey:
    def test_a_repetition_is_answered_as_the_first_and_makes_no_second_copy(
        self, carrier: Resend, server: ResendServer
    ) -> None:
        first, again = carrier.deliver(batch()), carrier.deliver(batch())
        assert first == again
        assert set(server.got.values()) == {1}

    def test_a_lost_answer_is_resolved_by_a_repetition(self, carrier: Resend, server: ResendServer) -> None:
        server.answers = [HANG_UP]
        assert carrier.deliver(batch()).outcome is Outcome.UNKNOWN
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED
        assert set(server.got.values()) == {1}

    def test_it_holds_for_the_whole_window(self, carrier: Resend, server: ResendServer) -> None:
        carrier.deliver(batch())
        server.now += dt.timedelta(seconds=Resend.window)
        carrier.deliver(batch())
        assert set(server.got.values()) == {1}
        assert dt.timedelta(seconds=Resend.window) < server.window

    def test_it_is_one_for_each_batch_and_says_nothing_of_it(self, carrier: Resend) -> None:
        keys = [carrier.build(batch(key=f"2016-04-22-press/{n}")).headers["Idempotency-Key"] for n in range(3)]
        assert len(set(keys)) == 3
        assert not any("press" in key for key in keys)

    def test_a_key_used_for_other_bytes_leaves_open_what_became_of_the_readers(
        self, carrier: Resend, server: ResendServer
    ) -> None:
        carrier.deliver(batch([1, 2]))
        receipt = carrier.deliver(batch([1, 2], subject="Corrected"))
        assert receipt.outcome is Outcome.UNKNOWN
        assert "invalid_idempotent_request" in receipt.detail
        assert server.copies["reader1@example.org"]["subject"] != "Corrected"

    def test_a_key_whose_request_is_still_under_way_may_be_asked_for_again(
        self, carrier: Resend, server: ResendServer
    ) -> None:
        server.under_way = {carrier.build(batch()).headers["Idempotency-Key"]}
        assert carrier.deliver(batch()).outcome is Outcome.UNKNOWN
        server.under_way.clear()
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (Said(200, {}, b"<!DOCTYPE html>"), Outcome.UNKNOWN),
        (Said(200, {}, b"{}"), Outcome.UNKNOWN),
        (Said(200, {}, b"[]"), Outcome.UNKNOWN),
        (Said(200, {}, b'{"data": []}'), Outcome.UNKNOWN),
        (Said(200, {}, b'{"data": [{"id": "a"}, {"id": "b"}]}'), Outcome.UNKNOWN),
        (Said(200, {}, b'{"data": [{"id": "a"}, {"id": "b"}, {}]}'), Outcome.UNKNOWN),
        (Said(200, {}, b'{"data": [{"id": "a"}, {"id": "b"}, "c"]}'), Outcome.UNKNOWN),
        (Said(200, {}, b'{"data": [{"id": "a"}, {"id"', promised=400), Outcome.UNKNOWN),
        (Said(200, {}, b'{"data": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}'), Outcome.ACCEPTED),
        (Said(500, {}, b'{"name": "internal_server_error", "message": "x"}'), Outcome.UNKNOWN),
        (Said(409, {}, b"conflict"), Outcome.UNKNOWN),
        (HANG_UP, Outcome.UNKNOWN),
        (RESET, Outcome.UNKNOWN),
        (Said(429, {}, b'{"name": "rate_limit_exceeded", "message": "x"}'), Outcome.DEFERRED),
    ],
)
def test_an_answer_that_does_not_say_yes_to_everybody_is_no_yes(
    carrier: Resend, server: ResendServer, said: Said | str, outcome: Outcome
) -> None:
    server.answers = [said]
    receipt = carrier.deliver(batch())
    assert receipt.outcome is outcome
    assert not receipt.split
    assert len(server.seen) == 1


def test_one_bad_address_asks_for_the_batch_to_be_split_and_nobody_got_it(
    carrier: Resend, server: ResendServer
) -> None:
    server.bad = {"reader2@example.org"}
    receipt = carrier.deliver(batch())
    assert (receipt.outcome, receipt.split) == (Outcome.REJECTED, True)
    assert server.copies == {}
    assert server.seen[0].headers["x-batch-validation"] == "strict"
    assert carrier.deliver(batch([1, 3], key="2016-04-22-weekly/0a")).outcome is Outcome.ACCEPTED


def test_too_large_a_body_asks_for_the_batch_to_be_split(carrier: Resend, server: ResendServer) -> None:
    server.answers = [Said(413, {}, b"Payload Too Large")]
    receipt = carrier.deliver(batch())
    assert (receipt.outcome, receipt.split) == (Outcome.REJECTED, True)


@pytest.mark.parametrize(
    ("status", "name", "message"),
    [
        (422, "invalid_from_address", "Invalid `from` field."),
        (422, "missing_required_field", "The request body is missing `subject`."),
        (400, "invalid_idempotency_key", "The key must be between 1-256 chars."),
        (403, "validation_error", "The example.org domain is not verified."),
        (401, "missing_api_key", "Missing API key"),
        (429, "monthly_quota_exceeded", "You have reached your monthly email sending quota."),
    ],
)
def test_a_refusal_that_is_the_same_for_all_stops_the_run(
    carrier: Resend, server: ResendServer, status: int, name: str, message: str
) -> None:
    server.answers = [Said(status, {}, json.dumps({"statusCode": status, "name": name, "message": message}).encode())]
    with pytest.raises(ProviderStoppedError, match=message.rpartition(" ")[2]) as stopped:
        carrier.deliver(batch())
    assert SECRET not in str(stopped.value)


def test_the_quota_of_a_day_puts_off_for_an_hour_unless_told_how_long(carrier: Resend, server: ResendServer) -> None:
    body = b'{"name": "daily_quota_exceeded", "message": "You have reached your daily quota."}'
    server.answers = [Said(429, {}, body), Said(429, {"Retry-After": "30"}, body)]
    receipts = [carrier.deliver(batch()) for _ in range(2)]
    assert [(one.outcome, one.retry_after) for one in receipts] == [
        (Outcome.DEFERRED, 3600.0),
        (Outcome.DEFERRED, 30.0),
    ]


class TestReports:
    def test_a_bounce_names_the_reader_the_issue_and_the_batch(self) -> None:
        bounce = {
            "message": "The recipient's mail server said no.",
            "type": "Permanent",
            "subType": "NoEmail",
            "diagnosticCode": ["smtp; 550 5.1.1 user unknown"],
        }
        assert Resend.feedback(hook("email.bounced", data={"bounce": bounce}), SIGNING_SECRET) == (
            Feedback(
                Report.BOUNCED,
                41,
                issue="2016-04-22",
                chunk="5e3c9a",
                at=dt.datetime(2016, 4, 22, 12, 0, 0, 250_000, tzinfo=dt.UTC),
                hard=True,
                status="5.1.1",
                detail="The recipient's mail server said no.",
                id="msg_1",
            ),
        )

    @pytest.mark.parametrize("kind", ["Transient", "Undetermined"])
    def test_a_bounce_that_may_pass_is_not_hard(self, kind: str) -> None:
        (report,) = Resend.feedback(hook("email.bounced", data={"bounce": {"type": kind}}), SIGNING_SECRET)
        assert (report.report, report.hard) == (Report.BOUNCED, False)

    @pytest.mark.parametrize(
        ("kind", "report"),
        [
            ("sent", Report.TAKEN),
            ("delivery_delayed", Report.TAKEN),
            ("delivered", Report.DELIVERED),
            ("complained", Report.COMPLAINED),
            ("failed", Report.REFUSED),
            ("suppressed", Report.REFUSED),
        ],
    )
    def test_each_kind_has_its_meaning(self, kind: str, report: Report) -> None:
        assert [told.report for told in Resend.feedback(hook(f"email.{kind}"), SIGNING_SECRET)] == [report]

    @pytest.mark.parametrize("kind", ["email.opened", "email.clicked", "email.scheduled", "contact.created", ""])
    def test_kinds_that_tell_nothing_of_the_mail_give_nothing(self, kind: str) -> None:
        assert Resend.feedback(hook(kind), SIGNING_SECRET) == ()

    def test_a_report_without_our_tags_names_the_address(self) -> None:
        (report,) = Resend.feedback(hook("email.bounced", data={"tags": None}), SIGNING_SECRET)
        assert (report.reader, report.address) == (None, "reader41@example.org")
        assert Resend.feedback(hook("email.bounced", data={"tags": None, "to": None}), SIGNING_SECRET) == ()

    def test_one_of_several_signatures_is_enough_while_the_secret_is_changed(self) -> None:
        true = hook("email.bounced")
        other = signed("msg_1", true.headers["svix-timestamp"], true.body, "whsec_" + "b2xk")
        both = {**true.headers, "svix-signature": f"{other} {true.headers['svix-signature']}"}
        assert Resend.feedback(dataclasses.replace(true, headers=both), SIGNING_SECRET)

    def test_the_example_of_svix_is_signed_as_its_page_says(self) -> None:
        headers = {
            "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "svix-timestamp": "1614265330",
            "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        }
        at = dt.datetime.fromtimestamp(1614265330, dt.UTC)
        call = HookCall(headers, b'{"test": 2432232314}', "https://news.example.org/hooks/resend", at)
        assert Resend.feedback(call, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") == ()
        with pytest.raises(ForgedFeedbackError):
            Resend.feedback(call, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx")

    @pytest.mark.parametrize("secret", ["", "whsec_", "whsec_é", "whsec_=="])
    def test_a_secret_that_is_none_verifies_nothing(self, secret: str) -> None:
        with pytest.raises(ForgedFeedbackError, match="check the signing secret"):
            Resend.feedback(hook("email.bounced"), secret)
        true = hook("email.bounced")
        by_nobody = signed("msg_1", true.headers["svix-timestamp"], true.body, "whsec_")
        with pytest.raises(ForgedFeedbackError, match="check the signing secret"):
            Resend.feedback(dataclasses.replace(true, headers={**true.headers, "svix-signature": by_nobody}), secret)

    def test_what_is_signed_and_no_json_gives_nothing(self) -> None:
        true = hook("email.bounced")
        for body in (b"", b"[1]", b'{"data": 1, "type": "email.bounced"}'):
            signature = signed("msg_1", true.headers["svix-timestamp"], body)
            call = dataclasses.replace(true, body=body, headers={**true.headers, "svix-signature": signature})
            assert Resend.feedback(call, SIGNING_SECRET) == ()


class TestAskingWhetherTheKeyWorks:
    def test_the_domains_and_their_state_are_told(self, carrier: Resend, server: ResendServer) -> None:
        assert carrier.probe() == "resend knows example.org (verified)"
        assert [(seen.method, seen.path) for seen in server.seen] == [("GET", "/domains")]

    def test_tracking_that_is_on_is_told(self, carrier: Resend, server: ResendServer) -> None:
        server.domains[0] |= {"open_tracking": True, "click_tracking": True}
        assert "open and click tracking is ON" in carrier.probe()

    def test_a_key_that_may_only_send_is_no_wrong_key(self, carrier: Resend, server: ResendServer) -> None:
        server.answers = [Said(401, {}, b'{"name": "restricted_api_key", "message": "only send"}')]
        assert "may only send" in carrier.probe()

    def test_nobody_there_is_no_wrong_key(self, carrier: Resend, server: ResendServer) -> None:
        for said in (Said(503), Said(429), HANG_UP):
            server.answers = [said]
            with pytest.raises(TryLaterError):
                carrier.probe()

    def test_another_server_at_this_address_is_told(self, carrier: Resend, server: ResendServer) -> None:
        server.answers = [Said(200, {}, b"welcome")]
        with pytest.raises(ProviderStoppedError, match="check base_url"):
            carrier.probe()
