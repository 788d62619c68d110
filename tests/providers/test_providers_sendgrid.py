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
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from provider_contract import SECRET, BatchCarrierContract, batch
from provider_server import FAULTS, NOON
from sendgrid_server import SendgridServer, expand_in_one_pass, expand_one_after_the_other
from smtp_servers import free_port
from web_servers import Said

from newsletter.errors import TryLaterError
from newsletter.providers.base import Outcome, ProviderStoppedError, opaque
from newsletter.providers.feedback import Feedback, ForgedFeedbackError, HookCall, Report
from newsletter.providers.http import Request
from newsletter.providers.sendgrid import Sendgrid, SendgridSettings

KEY = ec.generate_private_key(ec.SECP256R1())
URL = "https://news.example.org/reports/sendgrid"
SIGNATURE, STAMP = "x-twilio-email-event-webhook-signature", "x-twilio-email-event-webhook-timestamp"


def public(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(key.public_key().public_bytes(serialization.Encoding.DER, form)).decode()


PUBLIC = public(KEY)


def event(kind: str, **said: object) -> dict[str, object]:
    ours = {"reader": "7", "chunk": "c" * 24, "category": ["2016-04-22"]}
    theirs = {"email": "reader7@example.org", "timestamp": 1461326400, "sg_event_id": "e-1", "sg_message_id": "m-1"}
    return {**theirs, "event": kind, **ours, **said}


def signed(
    *events: object, at: dt.datetime = NOON, received: dt.datetime = NOON, body: bytes | None = None
) -> HookCall:
    raw = json.dumps(events).encode() + b"\r\n" if body is None else body
    stamp = str(int(at.timestamp()))
    signature = base64.b64encode(KEY.sign(stamp.encode() + raw, ec.ECDSA(hashes.SHA256()))).decode()
    return HookCall({SIGNATURE: signature, STAMP: stamp}, raw, URL, received)


@pytest.fixture(params=[expand_in_one_pass, expand_one_after_the_other])
def server(request: pytest.FixtureRequest) -> Iterator[SendgridServer]:
    with SendgridServer(SECRET, request.param) as server:
        yield server


@pytest.fixture
def carrier(server: SendgridServer) -> Iterator[Sendgrid]:
    carrier = server.carrier(lambda: server.now, timeout=10)
    yield carrier
    carrier.close()


def carrier_for(base_url: str, **settings: object) -> Sendgrid:
    given = {"name": "sendgrid", "key": "env:KEY", "base_url": base_url, **settings}
    return Sendgrid(SendgridSettings.model_validate(given), SECRET, lambda: NOON)


class TestSendgridAsACarrier(BatchCarrierContract):
    @pytest.fixture(autouse=True)
    def _server(self, server: SendgridServer) -> None:
        self.server: SendgridServer = server

    def lock_out(self) -> bool:
        self.server.key = "another key"
        return True

    def true_calls(self) -> Iterable[tuple[HookCall, str]]:
        yield signed(event("processed"), event("delivered"), event("bounce", type="bounce")), PUBLIC
        yield signed({"event": "dropped", "email": "reader1@example.org"}), PUBLIC

    def forged_calls(self) -> Iterable[tuple[HookCall, str]]:
        true = signed(event("delivered"))
        other = public(ec.generate_private_key(ec.SECP256R1()))
        yield true, other
        yield true, public(ed25519.Ed25519PrivateKey.generate())
        yield true, base64.b64encode(b"no key").decode()
        yield dataclasses.replace(true, headers={}), PUBLIC
        yield dataclasses.replace(true, headers={**true.headers, SIGNATURE: "***"}), PUBLIC
        yield dataclasses.replace(true, headers={**true.headers, STAMP: "1461326401"}), PUBLIC
        yield dataclasses.replace(true, body=true.body.replace(b"reader7", b"reader8")), PUBLIC
        yield dataclasses.replace(true, body=true.body.rstrip()), PUBLIC
        yield signed(event("delivered"), at=NOON - dt.timedelta(minutes=11)), PUBLIC
        yield signed(event("delivered"), at=NOON + dt.timedelta(minutes=11)), PUBLIC


def body_of(request: Request) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(request.body)
    return said


def test_a_request_is_of_the_shape_that_sendgrid_describes(shared: Path) -> None:
    described = json.loads((shared / "specs/sendgrid_mail.json").read_text())
    media = described["components"]["requestBodies"]["PostMailSend"]["content"]["application/json"]
    whole = {**media["schema"], "components": described["components"], "additionalProperties": False}
    whole["properties"]["personalizations"]["items"]["additionalProperties"] = False
    request = carrier_for("https://api.sendgrid.com").build(batch(range(1, 1001)))
    assert (request.method, request.url) == ("POST", "https://api.sendgrid.com/v3/mail/send")
    assert "post" in described["paths"]["/v3/mail/send"]
    said = body_of(request)
    jsonschema.Draft202012Validator(whole).validate(said)
    assert [len(one["to"]) for one in said["personalizations"]] == [1] * 1000
    for kind in ("tracking_settings", "mail_settings"):
        assert set(said[kind]) <= set(whole["properties"][kind]["properties"])


def test_everything_sendgrid_would_add_is_off_and_the_issue_is_the_category(carrier: Sendgrid) -> None:
    said = body_of(carrier.build(batch()))
    assert said["tracking_settings"] == {
        "click_tracking": {"enable": False, "enable_text": False},
        "open_tracking": {"enable": False},
        "subscription_tracking": {"enable": False},
        "ganalytics": {"enable": False},
    }
    assert said["mail_settings"] == {"footer": {"enable": False}, "sandbox_mode": {"enable": False}}
    assert "asm" not in said
    assert said["categories"] == ["2016-04-22"]
    assert b"weekly/0" not in carrier.build(batch()).body


def test_reader_and_chunk_come_back_as_strings(carrier: Sendgrid, server: SendgridServer) -> None:
    carrier.deliver(batch([7]))
    marks = server.marks["reader7@example.org"]
    assert marks == {"reader": "7", "chunk": opaque("2016-04-22-weekly/0"), "category": ["2016-04-22"]}


def test_text_stands_before_html(carrier: Sendgrid) -> None:
    kinds = [part["type"] for part in body_of(carrier.build(batch()))["content"]]
    assert kinds == ["text/plain", "text/html"]


def test_our_message_id_and_list_headers_are_sent_and_forbidden_ones_are_not(
    carrier: Sendgrid, server: SendgridServer
) -> None:
    given = batch([7])
    headers = (*given.merge.headers, ("X-SMTPAPI", "{}"), ("Content-Language", "en"), ("DKIM-Signature", "v=1"))
    carrier.deliver(dataclasses.replace(given, merge=dataclasses.replace(given.merge, headers=headers)))
    copy = server.copies["reader7@example.org"]
    assert copy["message-id"] == "<message7@example.org>"
    assert copy["list-id"] == "The Weekly <weekly.news.example.org>"
    assert not {"date", "x-smtpapi", "content-language", "dkim-signature"} & set(copy)


def test_a_sender_in_encoded_words_is_sent_as_it_reads(carrier: Sendgrid) -> None:
    given = batch([1])
    sender = "=?utf-8?q?N=C3=A4chste=2C?=\r\n =?utf-8?q?_Woche?= <weekly@example.org>"
    merge = dataclasses.replace(given.merge, sender=sender, reply_to=None)
    said = body_of(carrier.build(dataclasses.replace(given, merge=merge)))
    assert said["from"] == {"email": "weekly@example.org", "name": "Nächste, Woche"}
    assert "reply_to" not in said
    merge = dataclasses.replace(given.merge, sender="weekly@example.org")
    said = body_of(carrier.build(dataclasses.replace(given, merge=merge)))
    assert said["from"] == {"email": "weekly@example.org"}


def test_tags_keep_out_of_the_way_of_the_content_and_of_names(carrier: Sendgrid, server: SendgridServer) -> None:
    text = "-nl_0- -nlnl_html0- [unsubscribe] <%asm_global_unsubscribe_url%> __NL_NAME__ __NL_UNSUBSCRIBE__\n"
    carrier.deliver(batch([1], text=text, html="<p>__NL_NAME__</p>", names="-nlnlnl_0-__NL_UNSUBSCRIBE__"))
    copy = server.copies["reader1@example.org"]
    assert copy["text"] == (
        "-nl_0- -nlnl_html0- [unsubscribe] <%asm_global_unsubscribe_url%> -nlnlnl_0-__NL_UNSUBSCRIBE__"
        " https://news.example.org/leave/1?a=1&b=2\n"
    )
    assert copy["html"] == "<p>-nlnlnl_0-__NL_UNSUBSCRIBE__</p>"


def test_a_value_in_the_subject_is_each_readers_own(carrier: Sendgrid, server: SendgridServer) -> None:
    carrier.deliver(batch([1, 2], subject="For __NL_NAME__"))
    assert [server.copies[f"reader{number}@example.org"]["subject"] for number in (1, 2)] == [
        "For Reader 1",
        "For Reader 2",
    ]


def test_a_reader_with_values_beyond_the_limit_is_found_by_splitting_and_nothing_is_sent(
    carrier: Sendgrid, server: SendgridServer
) -> None:
    receipt = carrier.deliver(batch([1], names="x" * 9_000 + "{}"))
    assert (receipt.outcome, receipt.split) == (Outcome.REJECTED, True)
    assert "10000 are allowed" in receipt.detail
    assert server.seen == []


class TestAnswers:
    def test_an_accepted_request_is_known_by_its_message_id(self, carrier: Sendgrid) -> None:
        receipt = carrier.deliver(batch())
        assert (receipt.outcome, receipt.reference) == (Outcome.ACCEPTED, "one.filter.example.net")

    @pytest.mark.parametrize(
        "said",
        [
            Said(200),
            Said(201),
            Said(204),
            Said(202, {}, b"<!DOCTYPE html>"),
            Said(202, {}, b'{"errors": []}'),
            Said(202, {}, b"", promised=100),
            Said(500),
        ],
    )
    def test_an_answer_that_does_not_say_yes_is_no_yes(
        self, carrier: Sendgrid, server: SendgridServer, said: Said
    ) -> None:
        server.answers = [said]
        receipt = carrier.deliver(batch())
        assert (receipt.outcome, receipt.split) == (Outcome.UNKNOWN, False)

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
            ("200 with html before", Outcome.UNKNOWN, None),
            ("200 with html after", Outcome.UNKNOWN, None),
        ],
    )
    def test_every_fault_has_its_outcome(
        self, carrier: Sendgrid, server: SendgridServer, fault: str, outcome: Outcome, wait: float | None
    ) -> None:
        server.faults = [FAULTS[fault]]
        receipt = carrier.deliver(batch())
        assert (receipt.outcome, receipt.retry_after, receipt.split) == (outcome, wait, False)
        assert len(server.seen) == 1

    def test_the_moment_the_limit_is_lifted_is_the_wait(self, carrier: Sendgrid, server: SendgridServer) -> None:
        now = int(NOON.timestamp())
        for reset, wait in ((now + 20, 20.0), (now - 5, 0.0), (now + 10**6, 3600.0), ("soon", None)):
            server.answers = [Said(429, {"X-RateLimit-Reset": str(reset)})]
            assert carrier.deliver(batch()).retry_after == wait
        server.answers = [Said(429, {"X-RateLimit-Reset": str(now + 20), "Retry-After": "3"})]
        assert carrier.deliver(batch()).retry_after == 3.0

    def test_one_bad_address_asks_for_the_batch_to_be_split_and_nobody_got_it(
        self, carrier: Sendgrid, server: SendgridServer
    ) -> None:
        server.bad = {"reader2@example.org"}
        receipt = carrier.deliver(batch())
        assert (receipt.outcome, receipt.split) == (Outcome.REJECTED, True)
        assert "personalizations.1.to.0.email" in receipt.detail
        assert server.got == {}

    @pytest.mark.parametrize("said", [Said(413), Said(400, {}, b"Bad Request"), Said(400, {}, b'{"errors": {}}')])
    def test_too_large_or_refused_without_a_reason_asks_for_a_split(
        self, carrier: Sendgrid, server: SendgridServer, said: Said
    ) -> None:
        server.answers = [said]
        receipt = carrier.deliver(batch())
        assert (receipt.outcome, receipt.split) == (Outcome.REJECTED, True)

    @pytest.mark.parametrize(
        ("status", "field", "message"),
        [
            (400, "from.email", "The from email does not contain a valid address."),
            (400, "content.1.value", "The content value must be a string at least one character in length."),
            (400, None, "Bad Request"),
            (401, None, "Maximum credits exceeded"),
            (403, "from", "The from address does not match a verified Sender Identity."),
        ],
    )
    def test_a_refusal_that_is_the_same_for_all_stops_the_run_instead_of_rejecting_everybody(
        self, carrier: Sendgrid, server: SendgridServer, status: int, field: str | None, message: str
    ) -> None:
        said = {"errors": [{"message": message, "field": field}]}
        server.answers = [Said(status, {}, json.dumps(said).encode())]
        with pytest.raises(ProviderStoppedError, match=message[:20]):
            carrier.deliver(batch())

    def test_a_wrong_key_stops_the_run_without_naming_it(self, carrier: Sendgrid, server: SendgridServer) -> None:
        server.key = "another"
        with pytest.raises(ProviderStoppedError, match="sendgrid answered 401") as stopped:
            carrier.deliver(batch())
        assert SECRET not in str(stopped.value)

    def test_an_answer_that_does_not_come_in_time_leaves_everybody_in_doubt(self, server: SendgridServer) -> None:
        carrier = server.carrier(lambda: NOON)
        server.faults = [FAULTS["too slow"]]
        receipt = carrier.deliver(batch())
        carrier.close()
        assert (receipt.outcome, len(server.got)) == (Outcome.UNKNOWN, 3)

    def test_a_refused_connection_defers(self) -> None:
        carrier = carrier_for(f"http://127.0.0.1:{free_port()}")
        assert carrier.deliver(batch()).outcome is Outcome.DEFERRED
        with pytest.raises(TryLaterError):
            carrier.probe()

    def test_it_cannot_be_asked_what_it_took(self, carrier: Sendgrid) -> None:
        carrier.deliver(batch())
        assert carrier.lookup(batch()) is None
        assert carrier.place() == ""


class TestReports:
    def read(self, **said: object) -> Feedback:
        (one,) = Sendgrid.feedback(signed(event(**said)), PUBLIC)  # type: ignore[arg-type]
        return one

    def test_a_bounce_names_reader_issue_chunk_and_status(self) -> None:
        one = self.read(kind="bounce", type="bounce", status="5.1.1", reason="550 unknown\r\nuser")
        assert one == Feedback(
            Report.BOUNCED,
            7,
            issue="2016-04-22",
            chunk="c" * 24,
            at=NOON,
            hard=True,
            status="5.1.1",
            detail="550 unknown user",
            id="e-1",
        )

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("processed", Report.TAKEN),
            ("deferred", Report.TAKEN),
            ("delivered", Report.DELIVERED),
            ("bounce", Report.BOUNCED),
            ("dropped", Report.REFUSED),
            ("spamreport", Report.COMPLAINED),
            ("unsubscribe", Report.LEFT),
            ("group_unsubscribe", Report.LEFT),
        ],
    )
    def test_each_event_has_its_meaning(self, kind: str, expected: Report) -> None:
        one = self.read(kind=kind)
        assert (one.report, one.hard) == (expected, False)

    def test_a_block_is_no_hard_bounce_and_its_status_is_read_from_the_reason(self) -> None:
        one = self.read(kind="bounce", type="blocked", reason="550 5.7.1 listed")
        assert (one.hard, one.status) == (False, "5.7.1")

    def test_what_sendgrid_made_of_the_marks_that_were_sent_names_the_reader(
        self, carrier: Sendgrid, server: SendgridServer
    ) -> None:
        carrier.deliver(batch([42]))
        told = {"event": "delivered", "email": "reader42@example.org", **server.marks["reader42@example.org"]}
        (one,) = Sendgrid.feedback(signed(told), PUBLIC)
        assert (one.reader, one.chunk, one.issue) == (42, opaque("2016-04-22-weekly/0"), "2016-04-22")

    def test_events_that_say_nothing_of_a_message_give_nothing(self) -> None:
        events = [event(kind) for kind in ("open", "click", "group_resubscribe", "tomorrow")]
        assert Sendgrid.feedback(signed(*events, {"email": "x"}, "no event", {"event": ["bounce"]}), PUBLIC) == ()

    @pytest.mark.parametrize("body", [b"", b"{", b"{}", b"7", b"[" * 100_000])
    def test_a_signed_body_that_is_no_report_gives_nothing(self, body: bytes) -> None:
        assert Sendgrid.feedback(signed(body=body), PUBLIC) == ()

    def test_without_our_marks_the_address_is_named_instead(self) -> None:
        for reader in ("", "x", "-1", "9" * 30):
            one = self.read(kind="dropped", reader=reader, category="2016-04-22", chunk=None, timestamp="late")
            assert (one.reader, one.address, one.chunk) == (None, "reader7@example.org", "")
            assert (one.issue, one.at) == ("2016-04-22", None)

    def test_a_report_may_be_some_minutes_old(self) -> None:
        late = NOON + dt.timedelta(minutes=9)
        assert Sendgrid.feedback(signed(event("delivered"), received=late), PUBLIC)

    def test_a_stamp_that_is_no_time_is_refused_though_it_is_signed(self) -> None:
        raw = b"[]\r\n"
        for stamp in ("", "soon", "1e9", "9" * 13):
            signature = base64.b64encode(KEY.sign(stamp.encode() + raw, ec.ECDSA(hashes.SHA256()))).decode()
            with pytest.raises(ForgedFeedbackError, match="another time"):
                Sendgrid.feedback(HookCall({SIGNATURE: signature, STAMP: stamp}, raw, URL, NOON), PUBLIC)


class TestWhatItSays:
    def test_a_key_that_may_not_send_is_told_by_the_probe(self, carrier: Sendgrid, server: SendgridServer) -> None:
        assert carrier.probe() == "the key may send"
        server.scopes = ["user.profile.read"]
        with pytest.raises(ProviderStoppedError, match="Mail Send"):
            carrier.probe()

    @pytest.mark.parametrize("said", [Said(200, {}, b"<html>"), Said(200, {}, b"{}"), Said(500)])
    def test_a_probe_without_a_clear_answer_is_no_verdict(
        self, carrier: Sendgrid, server: SendgridServer, said: Said
    ) -> None:
        server.answers = [said]
        with pytest.raises(TryLaterError):
            carrier.probe()

    def test_in_test_mode_requests_stay_in_the_sandbox(self, server: SendgridServer) -> None:
        carrier = server.carrier(lambda: NOON, test_mode="true", timeout=10)
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED
        carrier.close()
        assert server.got == {}
        assert carrier_for("https://api.eu.sendgrid.com", test_mode="true").describe() == (
            "sendgrid (api.eu.sendgrid.com, test mode: nothing is delivered)"
        )
