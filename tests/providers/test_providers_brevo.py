from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import hashlib
import html
import json
import urllib.parse
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from brevo_server import BrevoServer
from provider_contract import SECRET, BatchCarrierContract, batch
from web_servers import HANG_UP, RESET, Said

from newsletter.errors import TryLaterError
from newsletter.providers.base import Batch, BatchCarrier, Outcome, ProviderStoppedError
from newsletter.providers.brevo import Brevo, BrevoSettings
from newsletter.providers.feedback import Feedback, HookCall, Report

NOW = dt.datetime(2016, 4, 22, 12, 0, tzinfo=dt.UTC)
HOOK_SECRET = "the-hook-secret-of-the-tests"
STRANGE = "{{name}} {% if %} {#id{a:b} {{{x}}} { { {"


def hook(*events: dict[str, object], secret: str = HOOK_SECRET, password: str | None = None) -> HookCall:
    """Write a webhook as on Brevo's page about transactional webhooks: one event, or a list of them."""
    body = json.dumps(events[0] if len(events) == 1 else list(events)).encode()
    basic = base64.b64encode(f"any:{password}".encode()).decode()
    headers = {} if password is None else {"authorization": f"Basic {basic}"}
    return HookCall(headers, body, f"https://news.example.org/hooks/brevo/{secret}", NOW)


def event(kind: str, **more: object) -> dict[str, object]:
    return {
        "event": kind,
        "email": "reader41@example.org",
        "id": 26224,
        "message-id": "<201604221200.1@smtp-relay.mailin.fr>",
        "ts_epoch": 1461326400250,
        "X-Mailin-custom": '{"reader": "41", "chunk": "5e3c9a"}',
        "tags": ["5e3c9a", "2016-04-22"],
        **more,
    }


def carrier_for(**settings: object) -> Brevo:
    return Brevo(BrevoSettings.model_validate({"name": "brevo", "key": "env:BREVO_KEY", **settings}), SECRET)


def body_of(carrier: Brevo, given: Batch) -> dict[str, Any]:
    body = json.loads(carrier.build(given).body)
    assert isinstance(body, dict)
    return body


@pytest.fixture(params=[False, True], ids=["renders the bodies", "renders the values, too"])
def server(request: pytest.FixtureRequest) -> Iterator[BrevoServer]:
    with BrevoServer(SECRET, values_too=request.param) as server:
        yield server


@pytest.fixture
def carrier(server: BrevoServer) -> Iterator[Brevo]:
    carrier = server.carrier(lambda: server.now)
    yield carrier
    carrier.close()


class TestBrevoAsACarrier(BatchCarrierContract):
    @pytest.fixture(autouse=True)
    def _server(self, server: BrevoServer) -> None:
        self.server = server

    @pytest.fixture
    def carrier(self, carrier: Brevo) -> BatchCarrier:
        return carrier

    def lock_out(self) -> bool:
        self.server.key = "another key"  # type: ignore[attr-defined]
        return True

    def true_calls(self) -> Iterable[tuple[HookCall, str]]:
        kinds = ("request", "delivered", "hard_bounce", "soft_bounce", "spam", "unsubscribed", "blocked", "opened")
        return [(hook(event(kind)), HOOK_SECRET) for kind in kinds]

    def forged_calls(self) -> Iterable[tuple[HookCall, str]]:
        return [
            (hook(event("hard_bounce"), secret=""), HOOK_SECRET),
            (hook(event("hard_bounce"), secret="guessed"), HOOK_SECRET),
            (hook(event("hard_bounce"), secret="", password="guessed"), HOOK_SECRET),
        ]

    def test_content_that_looks_like_a_merge_tag_reaches_the_reader_as_written(self, carrier: BatchCarrier) -> None:
        """In html a brace is a character reference, which a browser shows alike, however often Brevo renders it."""
        strange = "100 %recipient.name% {{name}} {% if %} *|FNAME|* [[x]] ${a} %20%C3%A9 __NL_NOT_OURS__ {{{params.x}}}"
        carrier.deliver(batch([1], html=f"<p>{strange}</p>", text=f"{strange}\n", subject=f"Re {strange}"))
        copy = self.copies()["reader1@example.org"]
        assert html.unescape(copy["html"]) == f"<p>{strange}</p>"
        assert copy["text"] == f"{strange}\n"
        assert copy["subject"] == f"Re {strange}"


def test_a_request_is_as_brevo_describes_it_but_for_the_headers_of_each_reader(shared: Path) -> None:
    schema = json.loads((shared / "specs/brevo_smtp_email.schema.json").read_text())
    request = carrier_for(test_mode="true").build(batch())
    assert (request.method, request.url) == ("POST", "https://api.brevo.com/v3/smtp/email")
    body = json.loads(request.body)
    for version in body["messageVersions"]:
        assert version.pop("headers")  # of the SDK before, and sent by others; see brevo_message.write
    jsonschema.validate(body, schema)


def test_it_is_never_text_alone_for_that_is_refused(carrier: Brevo) -> None:
    body = body_of(carrier, batch())
    assert body["htmlContent"]
    assert body["textContent"]
    assert "to" not in body


def test_each_reader_is_asked_not_to_be_tracked(carrier: Brevo) -> None:
    versions = body_of(carrier, batch())["messageVersions"]
    assert [version["to"] for version in versions] == [
        [{"email": f"reader{number}@example.org", "contactPixelTrackingConsent": False}] for number in (1, 2, 3)
    ]


def test_reader_and_batch_ride_in_the_one_header_that_comes_back(carrier: Brevo) -> None:
    mark = hashlib.sha256(b"2016-04-22-press/7").hexdigest()[:24]
    given = batch([41], key="2016-04-22-press/7")
    body = body_of(carrier, given)
    assert json.loads(body["messageVersions"][0]["headers"]["X-Mailin-custom"]) == {"reader": "41", "chunk": mark}
    assert body["tags"] == [mark, "2016-04-22"]
    assert b"press" not in carrier.build(given).body


def test_headers_that_brevo_writes_itself_or_would_spoil_are_left_out(carrier: Brevo, server: BrevoServer) -> None:
    given = batch([1])
    spoilt = (("List-Owner", "<mailto:é@example.org>"), ("X-Word", "=?utf-8?q?=C3=A9?="), ("Precedence", "list"))
    merge = dataclasses.replace(given.merge, headers=(*given.merge.headers, *spoilt))
    carrier.deliver(dataclasses.replace(given, merge=merge))
    copy = server.copies["reader1@example.org"]
    assert {"list-unsubscribe", "list-unsubscribe-post", "list-id", "precedence"} <= set(copy)
    assert not {"message-id", "date", "list-owner", "x-word"} & set(copy)
    assert all(copy[name].isascii() for name in copy if name not in ("subject", "html", "text"))


@pytest.mark.parametrize(
    ("sender", "name"),
    [
        ("The Weekly <weekly@example.org>", "The Weekly"),
        ("=?utf-8?q?L=27hebdo_=C3=A9crit?= <weekly@example.org>", "L'hebdo écrit"),
        ("=?utf-8?q?Hebdo=2C_=C3=A9crit?= <weekly@example.org>", "=?utf-8?q?Hebdo=2C_=C3=A9crit?="),
        ("weekly@example.org", None),
    ],
)
def test_the_senders_name_arrives_whole(carrier: Brevo, sender: str, name: str | None) -> None:
    given = batch([1])
    body = body_of(carrier, dataclasses.replace(given, merge=dataclasses.replace(given.merge, sender=sender)))
    assert body["sender"] == {"email": "weekly@example.org", **({"name": name} if name else {})}


def test_a_merge_without_an_address_for_answers_has_no_such_field(carrier: Brevo) -> None:
    given = batch([1])
    without = dataclasses.replace(given, merge=dataclasses.replace(given.merge, reply_to=None))
    assert "replyTo" not in body_of(carrier, without)


class TestMerging:
    def test_braces_of_every_kind_reach_the_reader(self, carrier: Brevo, server: BrevoServer) -> None:
        page = f"<p>{STRANGE}__NL_NAME__</p><style>a{{{{b}}}}@media x{{#id{{c:d}}}}</style>"
        carrier.deliver(batch([1], html=page, text=f"{STRANGE}__NL_NAME__{{\n", subject=f"{STRANGE}__NL_NAME__"))
        copy = server.copies["reader1@example.org"]
        assert html.unescape(copy["html"]) == (
            f"<p>{STRANGE}Reader 1</p><style>a{{ {{b}}}}@media x{{ #id{{c:d}}}}</style>"
        )
        assert copy["text"] == f"{STRANGE}Reader 1{{\n"
        assert copy["subject"] == f"{STRANGE}Reader 1"

    def test_a_name_that_is_a_template_is_not_rendered(self, carrier: Brevo, server: BrevoServer) -> None:
        carrier.deliver(batch([1], names="{{{{7*7}}}} {{% x %}} & co"))
        copy = server.copies["reader1@example.org"]
        assert "Dear {{7*7}} {% x %} & co," in html.unescape(copy["html"])
        assert "Dear {{7*7}} {% x %} & co," in copy["text"].replace("\u2060", "")

    def test_a_body_without_tokens_is_sent_as_it_is(self, carrier: Brevo) -> None:
        body = body_of(carrier, batch([1], html="<p>{x}</p>", text="{x}\n"))
        assert (body["htmlContent"], body["textContent"]) == ("<p>{x}</p>", "{x}\n")

    def test_values_that_no_body_shows_stay_here(self, carrier: Brevo) -> None:
        (version,) = body_of(carrier, batch([1], html="<p>x</p>", text="__NL_NAME__\n"))["messageVersions"]
        assert version["params"] == {"brace": "{", "name": "Reader 1"}

    def test_values_beyond_what_brevo_takes_ask_for_the_batch_to_be_split(
        self, carrier: Brevo, server: BrevoServer
    ) -> None:
        given = batch(range(1, 101), names="x" * 6_000)
        receipt = carrier.deliver(given)
        assert (receipt.outcome, receipt.split) == (Outcome.REJECTED, True)
        assert server.seen == []
        assert carrier.deliver(batch(range(1, 51), names="x" * 6_000)).outcome is Outcome.ACCEPTED


class TestTheKey:
    def test_it_is_a_uuid_for_each_batch_that_says_nothing_of_it(self, carrier: Brevo) -> None:
        keys = {body_of(carrier, batch(key=f"a/{n}"))["headers"]["idempotencyKey"] for n in range(3)}
        assert len(keys) == 3
        assert {uuid.UUID(key).version for key in keys} == {4}

    def test_a_repetition_makes_no_second_copy_and_is_not_taken_for_an_answer_about_the_first(
        self, carrier: Brevo, server: BrevoServer
    ) -> None:
        carrier.deliver(batch())
        server.now += dt.timedelta(seconds=Brevo.window)
        receipt = carrier.deliver(batch())
        assert (receipt.outcome, receipt.split) == (Outcome.UNKNOWN, False)
        assert "duplicate_parameter" in receipt.detail
        assert set(server.got.values()) == {1}

    def test_a_request_that_never_arrived_may_be_repeated(self, carrier: Brevo, server: BrevoServer) -> None:
        server.answers = [RESET]
        assert carrier.deliver(batch()).outcome is Outcome.UNKNOWN
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED

    def test_the_window_is_shorter_than_brevo_remembers(self, server: BrevoServer) -> None:
        assert dt.timedelta(seconds=Brevo.window) < server.window


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (Said(201, {}, b"<!DOCTYPE html>"), Outcome.UNKNOWN),
        (Said(201, {}, b"{}"), Outcome.UNKNOWN),
        (Said(201, {}, b'{"messageId": "a"}'), Outcome.UNKNOWN),
        (Said(201, {}, b'{"messageIds": ["a", "b"]}'), Outcome.UNKNOWN),
        (Said(201, {}, b'{"messageIds": ["a", "b", ""]}'), Outcome.UNKNOWN),
        (Said(201, {}, b'{"messageIds": "abc"}'), Outcome.UNKNOWN),
        (Said(201, {}, b'{"messageIds": ["a", "b", "c"', promised=400), Outcome.UNKNOWN),
        (Said(202, {}, b'{"messageIds": ["a", "b", "c"]}'), Outcome.ACCEPTED),
        (Said(500, {}, b"{}"), Outcome.UNKNOWN),
        (HANG_UP, Outcome.UNKNOWN),
        (Said(429, {}, b'{"code": "too_many_requests"}'), Outcome.DEFERRED),
    ],
)
def test_an_answer_that_does_not_say_yes_to_everybody_is_no_yes(
    carrier: Brevo, server: BrevoServer, said: Said | str, outcome: Outcome
) -> None:
    server.answers = [said]
    receipt = carrier.deliver(batch())
    assert receipt.outcome is outcome
    assert not receipt.split
    assert len(server.seen) == 1


def test_one_reader_may_be_answered_with_a_name_that_is_no_list(carrier: Brevo, server: BrevoServer) -> None:
    server.answers = [Said(201, {}, b'{"messageId": "<1@mailin.fr>"}')]
    receipt = carrier.deliver(batch([1]))
    assert (receipt.outcome, receipt.reference) == (Outcome.ACCEPTED, "<1@mailin.fr>")


def test_one_bad_address_asks_for_the_batch_to_be_split_and_nobody_got_it(carrier: Brevo, server: BrevoServer) -> None:
    server.bad = {"reader2@example.org"}
    receipt = carrier.deliver(batch())
    assert (receipt.outcome, receipt.split) == (Outcome.REJECTED, True)
    assert "email is not valid in to" in receipt.detail
    assert server.copies == {}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("missing_parameter", "sender is missing"),
        ("invalid_parameter", "valid sender email address required"),
        ("invalid_parameter", "email is not valid in replyTo"),
        ("not_enough_credits", "You do not have enough credits"),
        ("permission_denied", "Your account is under validation"),
        ("out_of_range", "too many message versions"),
    ],
)
def test_a_refusal_that_is_the_same_for_all_stops_the_run(
    carrier: Brevo, server: BrevoServer, code: str, message: str
) -> None:
    server.answers = [Said(400, {}, json.dumps({"code": code, "message": message}).encode())]
    with pytest.raises(ProviderStoppedError, match=message):
        carrier.deliver(batch())


def test_a_refusal_in_no_known_form_is_the_batches(carrier: Brevo, server: BrevoServer) -> None:
    server.answers = [Said(400, {}, b"Bad Request"), Said(413, {}, b"too large")]
    assert [carrier.deliver(batch()).split for _ in range(2)] == [True, True]


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_wrong_key_or_an_empty_account_stops_the_run(carrier: Brevo, server: BrevoServer, status: int) -> None:
    server.answers = [Said(status, {}, b'{"code": "unauthorized", "message": "Key not found"}')]
    with pytest.raises(ProviderStoppedError, match=f"brevo answered {status}") as stopped:
        carrier.deliver(batch())
    assert SECRET not in str(stopped.value)


def test_the_wait_is_read_from_either_header(carrier: Brevo, server: BrevoServer) -> None:
    server.answers = [
        Said(429, {"x-sib-ratelimit-reset": "45"}, b"{}"),
        Said(429, {"Retry-After": "30", "x-sib-ratelimit-reset": "45"}, b"{}"),
        Said(429, {}, b"{}"),
    ]
    assert [carrier.deliver(batch()).retry_after for _ in range(3)] == [45.0, 30.0, None]


class TestLookingUp:
    def test_a_lost_answer_is_resolved_by_the_events_once_they_are_there(
        self, carrier: Brevo, server: BrevoServer
    ) -> None:
        carrier.deliver(batch(range(1, 8)))
        assert carrier.lookup(batch(range(1, 10))) == {}
        server.now += dt.timedelta(seconds=Brevo.lag)
        assert carrier.lookup(batch(range(1, 10))) == dict.fromkeys(range(1, 8), Outcome.ACCEPTED)

    def test_another_batch_is_not_taken_for_this_one(self, carrier: Brevo, server: BrevoServer) -> None:
        carrier.deliver(batch(key="2016-04-22-press/0"))
        server.now += dt.timedelta(hours=1)
        assert carrier.lookup(batch()) == {}

    def test_what_brevo_kept_back_is_refused_and_what_bounced_is_not(self, carrier: Brevo, server: BrevoServer) -> None:
        carrier.deliver(batch(range(1, 6)))
        for reader, kinds in enumerate((["blocked"], ["delivered"], ["hardBounces"], ["error", "delivered"]), 1):
            server.events += [{**server.events[reader - 1], "event": kind} for kind in kinds]
        server.events.append({**server.events[4], "event": "invalid"})
        server.now += dt.timedelta(hours=1)
        assert carrier.lookup(batch(range(1, 6))) == {
            1: Outcome.REJECTED,
            2: Outcome.ACCEPTED,
            3: Outcome.ACCEPTED,
            4: Outcome.ACCEPTED,
            5: Outcome.REJECTED,
        }

    def test_pages_are_asked_for_one_after_the_other(self, carrier: Brevo, server: BrevoServer) -> None:
        carrier.deliver(batch(range(1, 1001)))
        server.events += [{**told, "event": kind} for told in list(server.events) for kind in ("delivered", "opened")]
        server.now += dt.timedelta(hours=1)
        assert len(carrier.lookup(batch(range(1, 1001))) or {}) == 1000
        queries = [dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(seen.path).query)) for seen in server.seen[1:]]
        assert [query["offset"] for query in queries] == ["0", "2500"]
        assert {(query["limit"], query["sort"], query["days"]) for query in queries} == {("2500", "asc", "30")}

    def test_a_look_up_comes_to_an_end(self, carrier: Brevo, server: BrevoServer) -> None:
        full = {"events": [{"email": "stranger@example.org", "tag": "x", "event": "opened"}] * 2500}
        server.answers = [Said(200, {}, json.dumps(full).encode())] * 50
        assert carrier.lookup(batch()) is None
        assert len(server.seen) == 20

    def test_events_of_other_tags_are_not_counted_should_brevo_tell_of_them(
        self, carrier: Brevo, server: BrevoServer
    ) -> None:
        told = {"events": [{"email": "reader1@example.org", "event": "requests", "tag": '["another", "2016-04-22"]'}]}
        server.answers = [Said(200, {}, json.dumps(told).encode())]
        assert carrier.lookup(batch()) == {}

    def test_an_event_that_does_not_name_its_tag_proves_nothing(self, carrier: Brevo, server: BrevoServer) -> None:
        told = {"events": [{"email": "Reader1@example.org", "event": "requests"}]}
        server.answers = [Said(200, {}, json.dumps(told).encode())]
        assert carrier.lookup(batch()) is None

    @pytest.mark.parametrize(
        "said",
        [
            HANG_UP,
            Said(500),
            Said(401),
            Said(200, {}, b"welcome"),
            Said(200, {}, b"[]"),
            Said(200, {}, b'{"events": "none"}'),
            Said(200, {}, b'{"count": 0}'),
            Said(200, {}, b'{"events": [', promised=100),
        ],
    )
    def test_what_cannot_be_asked_is_not_taken_for_absence(
        self, carrier: Brevo, server: BrevoServer, said: Said | str
    ) -> None:
        server.answers = [said]
        assert carrier.lookup(batch()) is None


class TestReports:
    def test_a_bounce_names_the_reader_the_issue_and_the_batch(self) -> None:
        assert Brevo.feedback(hook(event("hard_bounce", reason="550 5.1.1 user unknown")), HOOK_SECRET) == (
            Feedback(
                Report.BOUNCED,
                41,
                issue="2016-04-22",
                chunk="5e3c9a",
                at=dt.datetime(2016, 4, 22, 12, 0, 0, 250_000, tzinfo=dt.UTC),
                hard=True,
                status="5.1.1",
                detail="550 5.1.1 user unknown",
                id="hard_bounce/<201604221200.1@smtp-relay.mailin.fr>/1461326400250",
            ),
        )

    @pytest.mark.parametrize(
        ("kind", "report", "hard"),
        [
            ("request", Report.TAKEN, False),
            ("deferred", Report.TAKEN, False),
            ("delivered", Report.DELIVERED, False),
            ("soft_bounce", Report.BOUNCED, False),
            ("invalid_email", Report.BOUNCED, True),
            ("spam", Report.COMPLAINED, False),
            ("unsubscribed", Report.LEFT, False),
            ("blocked", Report.REFUSED, False),
            ("error", Report.REFUSED, False),
        ],
    )
    def test_each_kind_has_its_meaning(self, kind: str, report: Report, hard: bool) -> None:
        assert [(told.report, told.hard) for told in Brevo.feedback(hook(event(kind)), HOOK_SECRET)] == [(report, hard)]

    @pytest.mark.parametrize("kind", ["opened", "unique_opened", "proxy_open", "click", "list_addition", ""])
    def test_kinds_that_tell_nothing_of_the_mail_give_nothing(self, kind: str) -> None:
        assert Brevo.feedback(hook(event(kind)), HOOK_SECRET) == ()

    def test_several_events_come_in_a_list(self) -> None:
        reports = Brevo.feedback(hook(event("request"), event("opened"), event("delivered")), HOOK_SECRET)
        assert [told.report for told in reports] == [Report.TAKEN, Report.DELIVERED]

    def test_the_secret_may_be_the_password_of_the_address(self) -> None:
        assert Brevo.feedback(hook(event("delivered"), secret="", password=HOOK_SECRET), HOOK_SECRET)

    def test_a_stamp_in_seconds_is_read_as_such_and_nonsense_not_at_all(self) -> None:
        (report,) = Brevo.feedback(hook(event("delivered", ts_epoch=1461326400)), HOOK_SECRET)
        assert report.at == dt.datetime(2016, 4, 22, 12, tzinfo=dt.UTC)
        for stamp in ("soon", True, -1, 10**30, None):
            (report,) = Brevo.feedback(hook(event("delivered", ts_epoch=stamp)), HOOK_SECRET)
            assert report.at is None

    def test_a_report_without_our_marks_names_the_address(self) -> None:
        for custom in (None, "", "[]", '{"reader": "x"}', "some_custom_header"):
            (report,) = Brevo.feedback(hook(event("spam", **{"X-Mailin-custom": custom, "tags": None})), HOOK_SECRET)
            assert (report.reader, report.address, report.issue) == (None, "reader41@example.org", "")
        nobody = event("spam", **{"X-Mailin-custom": None, "email": None})
        assert Brevo.feedback(hook(nobody), HOOK_SECRET) == ()

    def test_what_is_no_report_gives_nothing(self) -> None:
        for body in (b"", b"7", b'["x"]', b'{"items": []}'):
            assert Brevo.feedback(dataclasses.replace(hook(event("spam")), body=body), HOOK_SECRET) == ()


class TestAskingWhetherTheKeyWorks:
    def test_the_account_is_told(self, carrier: Brevo, server: BrevoServer) -> None:
        assert carrier.probe() == "brevo knows the account of editors@example.org"
        assert [(seen.method, seen.path) for seen in server.seen] == [("GET", "/v3/account")]

    def test_nobody_there_is_no_wrong_key(self, carrier: Brevo, server: BrevoServer) -> None:
        for said in (Said(503), Said(429), HANG_UP):
            server.answers = [said]
            with pytest.raises(TryLaterError):
                carrier.probe()

    def test_another_server_at_this_address_is_told(self, carrier: Brevo, server: BrevoServer) -> None:
        server.answers = [Said(200, {}, b"welcome")]
        with pytest.raises(ProviderStoppedError, match="check base_url"):
            carrier.probe()


class TestTheTestMode:
    def test_nothing_is_delivered_and_it_says_so(self, server: BrevoServer) -> None:
        carrier = carrier_for(test_mode="true", base_url=server.url)
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED
        carrier.close()
        assert server.copies == {}
        assert "test mode: nothing is delivered" in carrier.describe()

    def test_one_name_for_the_whole_batch_is_enough(self, server: BrevoServer) -> None:
        server.answers = [Said(201, {}, b'{"messageId": "<1@mailin.fr>"}')]
        carrier = carrier_for(test_mode="true", base_url=server.url)
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED
        carrier.close()


def test_its_place_changes_with_the_account_and_its_rate_is_what_brevo_allows() -> None:
    settings = BrevoSettings.model_validate({"name": "brevo", "key": "env:BREVO_KEY"})
    first, other = Brevo(settings, SECRET), Brevo(settings, "another key")
    assert first.place().startswith("api.brevo.com, key ")
    assert first.place() != other.place()
    assert first.rate is not None
    assert first.rate * 60 <= 100
