from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import hmac
import json
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jsonschema
import pytest
import yaml
from mailgun_server import MailgunServer, expand_in_one_pass, expand_one_after_the_other
from provider_contract import SECRET, BatchCarrierContract, batch
from provider_server import FAULTS
from smtp_servers import free_port
from web_servers import HANG_UP, RESET, Said, Seen, form

from newsletter.errors import TryLaterError
from newsletter.providers import mailgun
from newsletter.providers.base import Batch, BatchCarrier, Outcome, ProviderStoppedError
from newsletter.providers.feedback import Feedback, HookCall, Report
from newsletter.providers.http import Request
from newsletter.providers.mailgun import Mailgun, MailgunSettings

NOW = dt.datetime(2016, 4, 22, 12, 0, tzinfo=dt.UTC)


def carrier_for(base_url: str, **settings: object) -> Mailgun:
    given = {"name": "mailgun", "domain": "mg.example.org", "key": "env:MAILGUN_KEY", "base_url": base_url, **settings}
    return Mailgun(MailgunSettings.model_validate(given), SECRET, lambda: NOW)


SIGNING_KEY = "the-signing-key"


def hook(kind: str, *, age: int = 0, signature: Mapping[str, object] = MappingProxyType({}), **event: Any) -> HookCall:
    """Write a report as on Mailgun's page about webhooks; `age` in seconds, and `signature` to change it."""
    stamp, token = str(int(NOW.timestamp()) - age), "e0b5477167110d68991efc6b9f89f0a11066af27834600e123"
    right = hmac.new(SIGNING_KEY.encode(), (stamp + token).encode(), hashlib.sha256).hexdigest()
    told = {
        "event": kind,
        "id": "Ase7i2zsRYeDXztHGENqRA",
        "timestamp": 1461326400.25,
        "recipient": "reader41@example.org",
        "tags": ["2016-04-22"],
        "user-variables": {"reader": "41", "chunk": "5e3c9a"},
        **event,
    }
    said = {"signature": {"timestamp": stamp, "token": token, "signature": right, **signature}, "event-data": told}
    return HookCall({}, json.dumps(said).encode(), "https://news.example.org/hooks/mailgun", NOW)


@pytest.fixture(params=[expand_in_one_pass, expand_one_after_the_other])
def server(request: pytest.FixtureRequest) -> Iterator[MailgunServer]:
    with MailgunServer(SECRET, request.param) as server:
        server.page_size = 2
        yield server


@pytest.fixture
def carrier(server: MailgunServer) -> Iterator[Mailgun]:
    carrier = carrier_for(server.url)
    yield carrier
    carrier.close()


class TestMailgunAsACarrier(BatchCarrierContract):
    @pytest.fixture(autouse=True)
    def _server(self, server: MailgunServer) -> None:
        self.server = server

    @pytest.fixture
    def carrier(self, carrier: Mailgun) -> BatchCarrier:
        return carrier

    def true_calls(self) -> Iterator[tuple[HookCall, str]]:
        for event in ("accepted", "delivered", "failed", "complained", "unsubscribed", "opened"):
            yield hook(event), SIGNING_KEY

    def forged_calls(self) -> Iterator[tuple[HookCall, str]]:
        for age in (601, -601):
            yield hook("delivered", age=age), SIGNING_KEY
        for body in (b"", b"[]", b"{}", b'"x"', b"\xff", b"[" * 100_000, b'{"signature": {}, "event-data": {}}'):
            yield dataclasses.replace(hook("delivered"), body=body), SIGNING_KEY
        for changed in ({"token": "another"}, {"signature": "é"}, {"timestamp": int(NOW.timestamp()) - 1}):
            yield hook("delivered", signature=changed), SIGNING_KEY

    def lock_out(self) -> bool:
        self.server.key = "another key"
        return True


def fields_of(request: Request) -> list[tuple[str, str]]:
    return form(Seen(request.method, request.url, request.headers, request.body))


def test_a_request_has_the_fields_and_types_that_mailgun_describes(shared: Path) -> None:
    described = yaml.load((shared / "specs/mailgun.openapi.yaml").read_text(), Loader=yaml.CSafeLoader)
    schema = described["components"]["schemas"]["POST-v3-domain_name-messages-multipart-form-data-RequestBody"]
    carrier = carrier_for("https://api.mailgun.net", test_mode="true")
    request = carrier.build(batch())
    url = urllib.parse.urlsplit(request.url)
    assert (request.method, url.path) == ("POST", "/v3/mg.example.org/messages")
    assert "post" in described["paths"]["/v3/{domain_name}/messages"]
    body: dict[str, Any] = {}
    for name, value in fields_of(request):
        if schema["properties"].get(name, {}).get("type") == "array":
            body.setdefault(name, []).append(value)
        else:
            assert name not in body, f"{name} is there twice"
            body[name] = value
    jsonschema.validate(body, schema)
    unknown = {name for name in body if name not in schema["properties"] and name[:2] not in ("h:", "v:")}
    assert unknown == set()
    assert body["o:testmode"] == "yes"


def test_events_are_asked_for_with_the_parameters_that_mailgun_describes(shared: Path) -> None:
    described = yaml.load((shared / "specs/mailgun.openapi.yaml").read_text(), Loader=yaml.CSafeLoader)
    known = {given["name"] for given in described["paths"]["/v3/{domain_name}/events"]["get"]["parameters"]}
    with MailgunServer(SECRET) as server:
        carrier = carrier_for(server.url)
        assert carrier.lookup(batch()) == {}
        carrier.close()
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(server.seen[0].path).query))
    assert set(query) <= known
    assert query["tags"] == "2016-04-22"
    assert int(query["begin"]) == int(NOW.timestamp()) - 3 * 24 * 3600
    assert int(query["limit"]) <= 300


def test_every_kind_of_tracking_is_off_and_the_issue_is_the_tag(carrier: Mailgun) -> None:
    fields = fields_of(carrier.build(batch()))
    for name in ("o:tracking", "o:tracking-clicks", "o:tracking-opens"):
        assert (name, "no") in fields
    assert ("o:tag", "2016-04-22") in fields
    assert "o:testmode" not in dict(fields)


def test_the_reader_is_named_by_an_opaque_number_and_the_batch_by_a_digest(
    carrier: Mailgun, server: MailgunServer
) -> None:
    carrier.deliver(batch([41, 42], key="2016-04-22-press/7"))
    mark = hashlib.sha256(b"2016-04-22-press/7").hexdigest()[:24]
    assert [event["user-variables"] for event in server.events] == [
        {"reader": "41", "chunk": mark},
        {"reader": "42", "chunk": mark},
    ]
    assert b"press" not in server.seen[0].body


def test_headers_that_mailgun_writes_itself_are_left_to_it(carrier: Mailgun) -> None:
    names = {name.lower() for name, _ in fields_of(carrier.build(batch()))}
    assert {"h:list-unsubscribe", "h:list-unsubscribe-post", "h:list-id", "h:reply-to"} <= names
    assert not {"h:message-id", "h:date", "h:subject", "h:from", "h:to"} & names


def test_a_merge_without_an_address_for_answers_has_no_such_field(carrier: Mailgun) -> None:
    given = batch()
    without = dataclasses.replace(given, merge=dataclasses.replace(given.merge, reply_to=None))
    assert "h:Reply-To" not in dict(fields_of(carrier.build(without)))


def test_names_of_variables_keep_out_of_the_way_of_the_content(carrier: Mailgun, server: MailgunServer) -> None:
    text = "%recipient.nl_unsubscribe% %recipient.nlnl_name% __NL_NAME__ and __NL_UNSUBSCRIBE__\n"
    carrier.deliver(batch([1], text=text, names="%recipient.nl_unsubscribe_html%"))
    assert server.copies["reader1@example.org"]["text"] == (
        "%recipient.nl_unsubscribe% %recipient.nlnl_name% %recipient.nl_unsubscribe_html% and "
        "https://news.example.org/leave/1?a=1&b=2\n"
    )


def test_options_beyond_16_kb_are_refused_before_anything_is_sent(carrier: Mailgun, server: MailgunServer) -> None:
    given = batch()
    headers = tuple((f"X-Long-{number}", "x" * 900) for number in range(20))
    long = dataclasses.replace(given, merge=dataclasses.replace(given.merge, headers=headers))
    with pytest.raises(ProviderStoppedError, match="it allows 16384 in all"):
        carrier.deliver(long)
    assert server.seen == []


@pytest.mark.parametrize("readers", [[], range(1001)])
def test_a_batch_is_of_one_to_a_thousand_readers(carrier: Mailgun, readers: Any) -> None:
    with pytest.raises(ValueError, match="1 to 1000 readers"):
        carrier.build(dataclasses.replace(batch([1]), recipients=batch(readers or [1]).recipients if readers else ()))


def test_what_mailgun_says_of_a_taken_batch_is_kept(carrier: Mailgun) -> None:
    receipt = carrier.deliver(batch())
    assert receipt.outcome is Outcome.ACCEPTED
    assert receipt.reference == "<20160422.1@mg.example.org>"
    assert receipt.detail == "Queued. Thank you."


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (Said(200, {}, b"Mailgun Magnificent API"), Outcome.UNKNOWN),
        (Said(200, {}, b"{}"), Outcome.UNKNOWN),
        (Said(200, {}, b'{"id": "x"}'), Outcome.UNKNOWN),
        (Said(200, {}, b'{"message": "x"}'), Outcome.UNKNOWN),
        (Said(200, {}, b'{"id": 1, "message": "x"}'), Outcome.UNKNOWN),
        (Said(200, {}, b'["id", "message"]'), Outcome.UNKNOWN),
        (Said(200, {}, b'{"id": "x", "mess', promised=400), Outcome.UNKNOWN),
        (Said(500, {}, b'{"message": "Internal Server Error"}'), Outcome.UNKNOWN),
        (HANG_UP, Outcome.UNKNOWN),
        (RESET, Outcome.UNKNOWN),
        (Said(429, {"Retry-After": "30"}, b"{}"), Outcome.DEFERRED),
        (Said(420, {}, b"{}"), Outcome.DEFERRED),
    ],
)
def test_an_answer_that_does_not_say_yes_is_no_yes(
    carrier: Mailgun, server: MailgunServer, said: Said | str, outcome: Outcome
) -> None:
    server.answers = [said]
    receipt = carrier.deliver(batch())
    assert receipt.outcome is outcome
    assert not receipt.split
    assert len(server.seen) == 1


def test_a_wrong_path_is_not_taken_for_a_success(server: MailgunServer) -> None:
    carrier = carrier_for(f"{server.url}/v4")
    receipt = carrier.deliver(batch())
    carrier.close()
    assert receipt.outcome is Outcome.UNKNOWN
    assert "Mailgun Magnificent API" in receipt.detail


def test_a_refused_connection_defers() -> None:
    carrier = carrier_for(f"http://127.0.0.1:{free_port()}")
    assert carrier.deliver(batch()).outcome is Outcome.DEFERRED
    assert carrier.lookup(batch()) is None


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_domain_stops_the_run(carrier: Mailgun, server: MailgunServer, status: int) -> None:
    server.answers = [Said(status, {}, b"Forbidden")]
    with pytest.raises(ProviderStoppedError, match=f"mailgun answered {status}: Forbidden") as stopped:
        carrier.deliver(batch())
    assert SECRET not in str(stopped.value)


def test_one_bad_address_asks_for_the_batch_to_be_split_and_nobody_got_it(
    carrier: Mailgun, server: MailgunServer
) -> None:
    given = batch()
    bad = given.recipients[1]._replace(address="invalid@@example.org")
    receipt = carrier.deliver(dataclasses.replace(given, recipients=(given.recipients[0], bad)))
    assert (receipt.outcome, receipt.split) == (Outcome.REJECTED, True)
    assert "to parameter is not a valid address" in receipt.detail
    assert server.copies == {}


def test_too_large_a_body_asks_for_the_batch_to_be_split(carrier: Mailgun, server: MailgunServer) -> None:
    server.answers = [Said(413, {}, b"Request Entity Too Large")]
    receipt = carrier.deliver(batch())
    assert (receipt.outcome, receipt.split) == (Outcome.REJECTED, True)


@pytest.mark.parametrize(
    "message",
    [
        "from parameter is missing",
        "'from' parameter is not a valid address. please check documentation",
        "Need at least one of 'text', 'html', 'amp-html' or 'template' parameters specified.",
        "Send options (parameters starting with o:, h:, or v:) are limited to 16KB total",
        "Domain mg.example.org is not allowed to send: unverified",
    ],
)
def test_a_refusal_that_is_the_same_for_all_stops_the_run_instead_of_rejecting_everybody(
    carrier: Mailgun, server: MailgunServer, message: str
) -> None:
    server.answers = [Said(400, {}, json.dumps({"message": message}).encode())]
    with pytest.raises(ProviderStoppedError, match="the same for every reader"):
        carrier.deliver(batch())


def test_a_refused_address_that_only_sounds_like_our_fault_is_the_readers(
    carrier: Mailgun, server: MailgunServer
) -> None:
    for body in (b'{"message": "\'to\' parameter is not a valid address: sandbox@x"}', b"Bad Request"):
        server.answers = [Said(400, {}, body)]
        assert carrier.deliver(batch()).outcome is Outcome.REJECTED


def test_the_wait_is_read_from_header_or_text(carrier: Mailgun, server: MailgunServer) -> None:
    text = b'{"message": "account-requests-per-sec limit exceeded, try again after 120 seconds"}'
    server.answers = [Said(429, {}, text), Said(429, {"Retry-After": "30"}, text), Said(429, {}, b"{}")]
    assert [carrier.deliver(batch()).retry_after for _ in range(3)] == [120.0, 30.0, None]


class TestLookingUp:
    def test_a_lost_answer_is_resolved_by_the_events(self, carrier: Mailgun, server: MailgunServer) -> None:
        server.faults = [FAULTS["dropped after"]]
        assert carrier.deliver(batch(range(1, 8))).outcome is Outcome.UNKNOWN
        assert carrier.lookup(batch(range(1, 10))) == {}
        server.now += server.lag
        assert carrier.lookup(batch(range(1, 10))) == dict.fromkeys(range(1, 8), Outcome.ACCEPTED)

    def test_nobody_is_found_of_a_batch_that_never_arrived(self, carrier: Mailgun) -> None:
        assert carrier.lookup(batch()) == {}

    def test_the_same_issue_sent_by_another_list_is_not_taken_for_this_one(
        self, carrier: Mailgun, server: MailgunServer
    ) -> None:
        carrier.deliver(batch(key="2016-04-22-press/0"))
        server.now += server.lag
        assert carrier.lookup(batch()) == {}

    def test_the_last_word_of_several_events_counts(self, carrier: Mailgun, server: MailgunServer) -> None:
        carrier.deliver(batch([1, 2, 3, 4]))
        by_reader = {event["user-variables"]["reader"]: event for event in server.events}
        server.events += [
            {**by_reader["1"], "event": "rejected"},
            {**by_reader["2"], "event": "failed"},
            {**by_reader["3"], "event": "rejected"},
            {**by_reader["3"], "event": "delivered"},
            {**by_reader["4"], "event": "opened"},
        ]
        server.events.reverse()
        server.now += server.lag
        assert carrier.lookup(batch([1, 2, 3, 4])) == {
            1: Outcome.REJECTED,
            2: Outcome.ACCEPTED,
            3: Outcome.ACCEPTED,
            4: Outcome.ACCEPTED,
        }

    def test_an_event_without_our_marks_counts_by_its_address(self, carrier: Mailgun, server: MailgunServer) -> None:
        stamp = (NOW - server.lag).timestamp()
        given = {"event": "accepted", "tags": ["2016-04-22"], "user-variables": {}, "timestamp": stamp}
        server.events = [
            {**given, "recipient": "Reader2@example.org"},
            {**given, "recipient": "stranger@example.org"},
            {**given, "recipient": 7},
        ]
        assert carrier.lookup(batch()) == {2: Outcome.ACCEPTED}

    def test_marks_that_are_no_number_name_nobody(self, carrier: Mailgun, server: MailgunServer) -> None:
        carrier.deliver(batch([1]))
        server.now += server.lag
        for strange in ("", "x", "1e3", "-1", "9" * 30):
            server.events[0]["user-variables"]["reader"] = strange
            assert carrier.lookup(batch([1])) == {}

    @pytest.mark.parametrize(
        "said",
        [
            HANG_UP,
            Said(500),
            Said(401),
            Said(200, {}, b"Mailgun Magnificent API"),
            Said(200, {}, b"[]"),
            Said(200, {}, b'{"items": "none"}'),
            Said(200, {}, b'{"items": [], "paging', promised=100),
        ],
    )
    def test_what_cannot_be_asked_is_not_taken_for_absence(
        self, carrier: Mailgun, server: MailgunServer, said: Said | str
    ) -> None:
        carrier.deliver(batch())
        server.answers = [said]
        assert carrier.lookup(batch()) is None

    def test_a_page_that_breaks_off_in_the_middle_makes_the_whole_unknown(
        self, carrier: Mailgun, server: MailgunServer
    ) -> None:
        carrier.deliver(batch())
        first = Said(200, {}, json.dumps({"items": server.events[:1], "paging": {"next": f"{server.url}/x"}}).encode())
        server.answers = [first, Said(500)]
        assert carrier.lookup(batch()) is None

    @pytest.mark.parametrize("following", ["https://elsewhere.example.org/v3/x", "file:///etc/passwd", 7])
    def test_the_key_is_not_carried_to_another_host(
        self, carrier: Mailgun, server: MailgunServer, following: object
    ) -> None:
        page = {"items": [{"event": "accepted"}, "no event"], "paging": {"next": following}}
        server.answers = [Said(200, {}, json.dumps(page).encode())]
        assert carrier.lookup(batch()) is None
        assert len(server.seen) == 1

    def test_a_look_up_comes_to_an_end(
        self, carrier: Mailgun, server: MailgunServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mailgun, "_MAX_PAGES", 3)
        carrier.deliver(batch(range(1, 20)))
        server.now += server.lag
        assert carrier.lookup(batch(range(1, 20))) is None
        assert len(server.seen) == 1 + 4

    def test_a_page_that_leads_to_itself_is_the_last(self, carrier: Mailgun, server: MailgunServer) -> None:
        carrier.deliver(batch([1]))
        url = carrier._first_page(batch([1]))
        page = {"items": server.events, "paging": {"next": url}}
        server.answers = [Said(200, {}, json.dumps(page).encode())]
        assert carrier.lookup(batch([1])) == {1: Outcome.ACCEPTED}
        server.answers = [Said(200, {}, json.dumps({"items": server.events}).encode())]
        assert carrier.lookup(batch([1])) == {1: Outcome.ACCEPTED}


def test_it_says_when_nothing_is_really_delivered() -> None:
    assert carrier_for("https://api.mailgun.net", test_mode="true").describe() == (
        "mailgun mg.example.org (api.mailgun.net, test mode: nothing is delivered)"
    )


def test_its_place_is_the_host_and_the_domain_and_not_the_key() -> None:
    assert carrier_for("https://api.mailgun.net").place() == "api.mailgun.net/mg.example.org"
    other = carrier_for("https://API.eu.mailgun.net/", domain="MG2.example.org")
    assert other.place() == "api.eu.mailgun.net/mg2.example.org"


def test_a_batch_is_merged_the_same_whatever_comes_after_it() -> None:
    given: Batch = batch([1], text="__NL_NAME__%recipient.x%__NL_NAME__\n", names="A%B")
    carrier = carrier_for("https://api.mailgun.net")
    fields = dict(fields_of(carrier.build(given)))
    values = json.loads(fields["recipient-variables"])["reader1@example.org"]
    for expand in (expand_in_one_pass, expand_one_after_the_other):
        assert expand(fields["text"], values) == "A%B%recipient.x%A%B\n"


class TestReports:
    def test_a_delivery_names_reader_issue_batch_and_time(self) -> None:
        assert Mailgun.feedback(
            hook("delivered", **{"delivery-status": {"code": 250, "message": "OK"}}), SIGNING_KEY
        ) == (
            Feedback(
                Report.DELIVERED,
                41,
                issue="2016-04-22",
                chunk="5e3c9a",
                address="reader41@example.org",
                at=dt.datetime(2016, 4, 22, 12, 0, 0, 250_000, tzinfo=dt.UTC),
                detail="OK",
                id="Ase7i2zsRYeDXztHGENqRA",
            ),
        )

    @pytest.mark.parametrize(("severity", "hard"), [("permanent", True), ("temporary", False)])
    def test_a_failure_is_hard_when_it_is_permanent(self, severity: str, hard: bool) -> None:
        status = {"code": 550, "enhanced-code": "5.1.1", "message": "no such\nuser"}
        (report,) = Mailgun.feedback(hook("failed", severity=severity, **{"delivery-status": status}), SIGNING_KEY)
        assert (report.report, report.hard) == (Report.BOUNCED, hard)
        assert (report.status, report.detail) == ("5.1.1", "no such user")

    def test_what_mailgun_kept_back_itself_is_no_bounce(self) -> None:
        suppressed = hook(
            "failed", severity="permanent", reason="suppress-bounce", **{"delivery-status": {"code": 605}}
        )
        rejected = hook("rejected", reject={"reason": "Sandbox subdomains are for test purposes only"})
        reports = [Mailgun.feedback(call, SIGNING_KEY)[0] for call in (suppressed, rejected)]
        assert [report.report for report in reports] == [Report.REFUSED, Report.REFUSED]
        assert [report.detail for report in reports] == [
            "suppress-bounce",
            "Sandbox subdomains are for test purposes only",
        ]

    @pytest.mark.parametrize(
        ("kind", "report"),
        [("accepted", Report.TAKEN), ("complained", Report.COMPLAINED), ("unsubscribed", Report.LEFT)],
    )
    def test_other_kinds_have_their_word(self, kind: str, report: Report) -> None:
        assert [told.report for told in Mailgun.feedback(hook(kind), SIGNING_KEY)] == [report]

    @pytest.mark.parametrize("kind", ["opened", "clicked", "list_member_uploaded", ""])
    def test_kinds_that_tell_nothing_of_the_mail_give_nothing(self, kind: str) -> None:
        assert Mailgun.feedback(hook(kind), SIGNING_KEY) == ()

    def test_a_report_without_our_marks_names_the_address_alone(self) -> None:
        (report,) = Mailgun.feedback(
            hook("complained", tags="none", timestamp="soon", **{"user-variables": []}), SIGNING_KEY
        )
        assert (report.reader, report.issue, report.chunk, report.at) == (None, "", "", None)
        assert report.address == "reader41@example.org"

    def test_a_signature_just_inside_the_window_is_believed(self) -> None:
        for age in (600, -600):
            assert Mailgun.feedback(hook("delivered", age=age), SIGNING_KEY)


class TestAskingWhetherTheKeyWorks:
    def test_the_domain_and_its_state_are_told(self, carrier: Mailgun, server: MailgunServer) -> None:
        assert carrier.probe() == "mailgun knows mg.example.org, state: active"
        assert [(seen.method, seen.path) for seen in server.seen] == [("GET", "/v4/domains/mg.example.org")]

    def test_the_path_is_one_that_mailgun_describes(self, shared: Path) -> None:
        described = yaml.load((shared / "specs/mailgun.openapi.yaml").read_text(), Loader=yaml.CSafeLoader)
        assert "get" in described["paths"]["/v4/domains/{name}"]

    def test_nobody_there_is_no_wrong_key(self, carrier: Mailgun, server: MailgunServer) -> None:
        for said in (Said(503), Said(429), HANG_UP):
            server.answers = [said]
            with pytest.raises(TryLaterError):
                carrier.probe()

    def test_a_domain_it_takes_for_wrong_is_told(self, carrier: Mailgun, server: MailgunServer) -> None:
        server.answers = [Said(400, {}, b'{"message": "domain is not valid"}')]
        with pytest.raises(ProviderStoppedError, match="domain is not valid"):
            carrier.probe()

    def test_another_server_at_this_address_is_told(self, server: MailgunServer) -> None:
        carrier = carrier_for(f"{server.url}/v4")
        with pytest.raises(ProviderStoppedError, match="check base_url"):
            carrier.probe()
        carrier.close()
