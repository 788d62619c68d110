"""What both carriers of Amazon SES do alike; each test runs with both."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from provider_contract import SECRET, batch, envelope
from provider_server import NOON
from ses_server import ACCESS_KEY, REGION, SesBulkServer, SesServer, error
from smtp_servers import free_port
from web_servers import HANG_UP, RESET, SILENCE, Said

from newsletter import source
from newsletter.errors import FaultsError, NewsletterError, TryLaterError
from newsletter.providers.base import Outcome, ProviderStoppedError, Receipt
from newsletter.providers.http import Answer
from newsletter.providers.registry import open_provider
from newsletter.providers.ses import Ses
from newsletter.providers.ses_account import SesAccount, judged
from newsletter.providers.ses_bulk import SesBulk


@pytest.fixture(params=[SesServer, SesBulkServer])
def server(request: pytest.FixtureRequest) -> Iterator[SesServer]:
    with request.param(SECRET) as server:
        yield server


@pytest.fixture
def carrier(server: SesServer) -> Iterator[Any]:
    carrier = server.carrier(lambda: NOON)
    yield carrier
    carrier.close()


def send(carrier: SesAccount) -> Receipt:
    """Send one reader's copy, in whichever way the carrier does."""
    if isinstance(carrier, SesBulk):
        return carrier.deliver(batch([1]))
    assert isinstance(carrier, Ses)
    return carrier.deliver(envelope(1))


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (Said(200, {}, b"Healthy"), Outcome.UNKNOWN),
        (Said(200, {}, b"{}"), Outcome.UNKNOWN),
        (Said(200, {}, b"[1]"), Outcome.UNKNOWN),
        (Said(200, {}, b'{"MessageId": 7, "BulkEmailEntryResults": 7}'), Outcome.UNKNOWN),
        (Said(200, {}, b'{"MessageId": "", "BulkEmailEntryResults": [7]}'), Outcome.UNKNOWN),
        (Said(200, {}, b'{"MessageId": "x", "Bulk', promised=400), Outcome.UNKNOWN),
        (Said(500, {}, b'{"message": "InternalFailure"}'), Outcome.UNKNOWN),
        (Said(503, {}, b'{"message": "ServiceUnavailable"}'), Outcome.UNKNOWN),
        (HANG_UP, Outcome.UNKNOWN),
        (RESET, Outcome.UNKNOWN),
        (SILENCE, Outcome.UNKNOWN),
        (Said(429, {"Retry-After": "30"}, b"{}"), Outcome.DEFERRED),
    ],
)
def test_an_answer_that_does_not_say_yes_is_no_yes_and_nothing_is_asked_twice(
    carrier: SesAccount, server: SesServer, said: Said | str, outcome: Outcome
) -> None:
    server.answers = [said]
    receipt = send(carrier)
    assert receipt.outcome is outcome
    assert not receipt.split
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        (error(429, "TooManyRequestsException", "Maximum sending rate exceeded."), 5.0),
        (error(429, "TooManyRequestsException:http://internal.amazon.com/coral/", "Rate exceeded"), 5.0),
        (error(400, "ThrottlingException", "Maximum sending rate exceeded."), 5.0),
        (error(400, "com.amazonaws.sesv2#Throttling", "Daily message quota exceeded."), 3600.0),
        (error(400, "LimitExceededException", "too many"), 3600.0),
        (Said(400, {}, b'{"__type": "ThrottlingException", "Message": "Rate exceeded"}'), 5.0),
        (Said(429, {"x-amzn-errortype": "TooManyRequestsException", "Retry-After": "7"}, b"{}"), 7.0),
        (Said(429, {}, b"too many"), None),
    ],
)
def test_what_is_too_much_or_too_fast_waits_and_refuses_nobody(
    carrier: SesAccount, server: SesServer, said: Said, wait: float | None
) -> None:
    server.answers = [said]
    receipt = send(carrier)
    assert (receipt.outcome, receipt.retry_after, receipt.exceptions) == (Outcome.DEFERRED, wait, {})


@pytest.mark.parametrize(
    "said",
    [
        error(400, "AccountSuspendedException", "Your account is suspended"),
        error(400, "SendingPausedException", "Sending is paused"),
        error(400, "MailFromDomainNotVerifiedException", "not verified"),
        error(404, "NotFoundException", "Configuration set <weekly> does not exist."),
        error(400, "MessageRejected", "Email address is not verified. These failed: weekly@domain.example.org"),
        error(400, "MessageRejected", "Message contains a virus"),
        error(400, "BadRequestException", "Duplicate header 'List-Id'."),
        error(400, "BadRequestException", "Template contains unsupported operations."),
        error(400, "AccessDeniedException", "User is not authorized to perform ses:SendEmail"),
        error(400, "RequestExpired", "Request has expired"),
        error(403, "ExpiredTokenException", "The security token included in the request is expired"),
        Said(301, {"Location": "https://email.us-east-1.amazonaws.com/"}, b""),
    ],
)
def test_what_would_happen_to_every_reader_stops_the_run(carrier: SesAccount, server: SesServer, said: Said) -> None:
    server.answers = [said]
    with pytest.raises(ProviderStoppedError) as stopped:
        send(carrier)
    assert str(stopped.value).startswith(carrier.name)
    assert SECRET not in str(stopped.value)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("MessageRejected", "Address blacklisted."),
        ("BadRequestException", "Missing final '@domain'"),
        ("BadRequestException", "Local address contains control or whitespace"),
        ("BadRequestException", "Domain starts with dot"),
        ("BadRequestException", "Illegal address"),
        ("BadRequestException", "Invalid domain name: 'template-example-.org'"),
        ("BadRequestException", "something nobody has seen"),
    ],
)
def test_what_is_said_of_an_address_is_about_its_reader(
    carrier: SesAccount, server: SesServer, kind: str, message: str
) -> None:
    server.answers = [error(400, kind, message)]
    receipt = send(carrier)
    assert (receipt.outcome, receipt.split) == (Outcome.REJECTED, True)
    assert message in receipt.detail


def test_a_refused_connection_defers(server: SesServer) -> None:
    carrier = server.carrier(lambda: NOON, base_url=f"http://127.0.0.1:{free_port()}")
    assert send(carrier).outcome is Outcome.DEFERRED
    with pytest.raises(TryLaterError, match="cannot be reached"):
        carrier.probe()


class TestTheSignature:
    def test_it_is_made_when_the_request_leaves_and_not_before(self, server: SesServer) -> None:
        now = [NOON]
        carrier = server.carrier(lambda: now[0])
        server.strict_time = True
        for _ in range(2):
            assert send(carrier).outcome is Outcome.ACCEPTED
            now[0] = server.now = now[0] + dt.timedelta(hours=1)
        carrier.close()
        assert [seen.headers["X-Amz-Date"] for seen in server.seen] == ["20160422T120000Z", "20160422T130000Z"]
        assert server.seen[0].body == server.seen[1].body

    def test_a_clock_that_is_wrong_stops_the_run(self, server: SesServer) -> None:
        carrier = server.carrier(lambda: NOON - dt.timedelta(hours=1))
        server.strict_time = True
        with pytest.raises(ProviderStoppedError, match="Signature expired"):
            send(carrier)
        carrier.close()

    def test_a_wrong_secret_stops_the_run(self, carrier: SesAccount, server: SesServer) -> None:
        server.key = "another secret"
        with pytest.raises(ProviderStoppedError, match="answered 403"):
            send(carrier)
        assert not server.copies

    def test_a_lent_key_sends_its_token_along(self, server: SesServer) -> None:
        server.token = "lent-token"
        carrier = server.carrier(lambda: NOON)
        with pytest.raises(ProviderStoppedError, match="security token"):
            send(carrier)
        lent = type(carrier)(carrier._settings, SECRET, lambda: NOON, "lent-token")
        assert send(lent).outcome is Outcome.ACCEPTED
        assert "lent-token" not in repr(vars(lent))
        lent.close()


class TestProbing:
    def test_it_tells_of_the_quota_and_sends_nothing(self, carrier: SesAccount, server: SesServer) -> None:
        assert carrier.probe() == "0 of 50000 messages sent in 24 hours, 14 a second allowed"
        assert [(seen.method, seen.path) for seen in server.seen] == [("GET", "/v2/email/account")]
        assert not server.copies

    def test_it_tells_of_a_sandbox_and_of_a_pause(self, carrier: SesAccount, server: SesServer) -> None:
        quota = {"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 3.0}
        told = {"SendQuota": quota, "SendingEnabled": False, "ProductionAccessEnabled": False}
        server.answers = [Said(200, {}, json.dumps(told).encode())]
        said = carrier.probe()
        assert said.startswith("3 of 200 messages sent in 24 hours, 1 a second allowed")
        assert "sending is paused" in said
        assert "in the sandbox" in said

    @pytest.mark.parametrize("said", [HANG_UP, Said(500), Said(429), Said(200, {}, b"[]"), Said(200, {}, b"<html>")])
    def test_who_cannot_be_asked_is_asked_later(self, carrier: SesAccount, server: SesServer, said: Said | str) -> None:
        server.answers = [said]
        with pytest.raises(TryLaterError, match=carrier.name):
            carrier.probe()

    def test_a_wrong_key_is_told(self, carrier: SesAccount, server: SesServer) -> None:
        server.key = "another secret"
        with pytest.raises(ProviderStoppedError, match="answered 403"):
            carrier.probe()


class TestSettings:
    TEXT = f"{{region: {REGION}, access_key: {ACCESS_KEY}, key: env:AWS_SECRET_ACCESS_KEY"

    @pytest.fixture(autouse=True)
    def _secrets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_SESSION_TOKEN", "lent-token")

    def opened(self, more: str = "", text: str = TEXT, name: str = "ses") -> Any:
        read = source.parse("newsletter.yaml", f"provider: {text}, name: {name}{more}}}\n".encode())
        return open_provider(read.tree["provider"], Path(), read)

    @pytest.mark.parametrize("name", ["ses", "ses-bulk"])
    def test_it_goes_to_the_regions_own_address(self, name: str) -> None:
        carrier = self.opened(name=name)
        assert carrier.describe() == f"{name} email.eu-west-1.amazonaws.com"
        assert carrier.url("account") == "https://email.eu-west-1.amazonaws.com/v2/email/account"
        china = self.opened(text=self.TEXT.replace(REGION, "cn-north-1"))
        assert china.describe() == "ses email.cn-north-1.amazonaws.com.cn"
        assert self.opened(", base_url: 'https://ses.example.org'").describe() == "ses ses.example.org"

    def test_a_lent_key_is_opened_with_its_token(self) -> None:
        carrier = self.opened(", session_token: env:AWS_SESSION_TOKEN")
        assert (carrier._credentials.secret, carrier._credentials.token) == (SECRET, "lent-token")

    def test_the_terms_are_those_of_the_settings(self) -> None:
        carrier = self.opened(", rate: 14, connections: 8, test_mode: true")
        assert (carrier.rate, carrier.connections) == (14.0, 8)
        assert carrier.describe() == "ses email.eu-west-1.amazonaws.com, test mode: nothing is delivered"

    def test_a_missing_secret_stops_before_anything_is_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_SESSION_TOKEN")
        with pytest.raises(NewsletterError, match="the environment variable AWS_SESSION_TOKEN"):
            self.opened(", session_token: env:AWS_SESSION_TOKEN")

    @pytest.mark.parametrize(
        ("before", "after", "message"),
        [
            (f"region: {REGION}", "region: Ireland", "'region'"),
            (f"region: {REGION}", "region: eu-west-1.evil.example.org/", "'region'"),
            (f"region: {REGION}, ", "", "'region' is missing"),
            (ACCESS_KEY, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "'access_key'"),
            ("env:AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMIK7MDENG", "a secret is named, not written"),
            ("env:AWS_SECRET_ACCESS_KEY", "env:X, configuration_set: a b", "'configuration_set'"),
            ("env:AWS_SECRET_ACCESS_KEY", "env:X, base_url: 'http://ses.example.org'", "would travel unprotected"),
        ],
    )
    def test_a_fault_is_told_and_a_secret_in_the_wrong_place_not_repeated(
        self, before: str, after: str, message: str
    ) -> None:
        with pytest.raises(FaultsError) as caught:
            self.opened(text=self.TEXT.replace(before, after))
        assert message in str(caught.value)
        assert "wJalr" not in str(caught.value)


def test_mail_in_test_mode_goes_to_the_simulator_and_to_no_reader(server: SesServer) -> None:
    carrier = server.carrier(lambda: NOON, test_mode=True)
    assert send(carrier).outcome is Outcome.ACCEPTED
    carrier.close()
    assert list(server.copies) == ["success+1@simulator.amazonses.com"]


def test_every_request_turns_tracking_off_and_names_issue_reader_and_batch(
    carrier: SesAccount, server: SesServer
) -> None:
    send(carrier)
    [given] = server.requests
    off = {"OpenTrackingEnabled": "DISABLED", "ClickTrackingEnabled": "DISABLED"}
    assert given["ConfigurationOverrides"] == {"Tracking": off}
    assert "ConfigurationSetName" not in given
    [tags] = server.tags.values()
    assert tags["reader"] == "1"
    assert set(tags["chunk"]) <= set("0123456789abcdef")
    assert b"weekly/" not in server.seen[0].body


def test_a_configuration_set_is_named_when_there_is_one(server: SesServer) -> None:
    carrier = server.carrier(lambda: NOON, configuration_set="weekly")
    send(carrier)
    carrier.close()
    assert server.requests[0]["ConfigurationSetName"] == "weekly"


def test_a_body_that_is_no_json_is_told_as_it_is() -> None:
    with pytest.raises(ProviderStoppedError, match="no route"):
        judged(Answer(404, {}, b"no route\r\nto host"), "ses", NOON)


def test_every_error_of_the_service_model_is_judged_and_none_leaves_a_reader_unknown(
    shared: Path, carrier: SesAccount, server: SesServer
) -> None:
    model = json.loads((shared / "specs/aws-sesv2.botocore.service-2.json").read_text())
    judgements = {}
    for given in model["operations"]["SendBulkEmail"]["errors"]:
        name = given["shape"]
        server.answers = [error(model["shapes"][name]["error"]["httpStatusCode"], name, "no more is said")]
        try:
            judgements[name] = str(send(carrier).outcome)
        except ProviderStoppedError:
            judgements[name] = "stopped"
    assert judgements == {
        "TooManyRequestsException": "deferred",
        "LimitExceededException": "deferred",
        "AccountSuspendedException": "stopped",
        "SendingPausedException": "stopped",
        "MessageRejected": "stopped",
        "MailFromDomainNotVerifiedException": "stopped",
        "NotFoundException": "stopped",
        "BadRequestException": "rejected",
    }
