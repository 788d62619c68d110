from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ses_topic
from provider_contract import SECRET, MessageCarrierContract, envelope
from provider_server import NOON
from ses_server import SesServer

from newsletter.providers.base import Envelope, MessageCarrier, Outcome, opaque
from newsletter.providers.feedback import HookCall
from newsletter.providers.ses import Ses


@pytest.fixture
def server() -> Iterator[SesServer]:
    with SesServer(SECRET) as server:
        yield server


@pytest.fixture
def carrier(server: SesServer) -> Iterator[Ses]:
    carrier = server.carrier(lambda: NOON)
    yield carrier
    carrier.close()


class TestSesAsACarrier(MessageCarrierContract):
    @pytest.fixture(autouse=True)
    def _server(self, server: SesServer) -> None:
        self.server = server

    def arrived(self, carrier: MessageCarrier) -> list[bytes]:
        del carrier
        return [raw for _, raw in self.server.messages]

    def lock_out(self) -> bool:
        self.server.key = "another key"
        return True

    def true_calls(self) -> Iterable[tuple[HookCall, str]]:
        yield ses_topic.report(ses_topic.event("Send")), ses_topic.ARN
        yield ses_topic.call(ses_topic.signed(ses_topic.confirmation())), ses_topic.ARN

    def forged_calls(self) -> Iterable[tuple[HookCall, str]]:
        yield ses_topic.call(ses_topic.notice(ses_topic.event("Send"))), ses_topic.ARN
        yield ses_topic.report(ses_topic.event("Send"), Timestamp="2016-04-22T10:00:00.000Z"), ses_topic.ARN


def body(given: Envelope, carrier: Ses) -> Any:
    return json.loads(carrier.build(given).body)


@pytest.mark.parametrize("given", [envelope(7), envelope(8)._replace(sender="", data=b"Subject: x\r\n\r\n\xff")])
def test_a_request_is_as_amazon_describes_it(shared: Path, carrier: Ses, given: Envelope) -> None:
    schema = json.loads((shared / "specs/sesv2_SendEmail.schema.json").read_text())
    model = json.loads((shared / "specs/aws-sesv2.botocore.service-2.json").read_text())
    request = carrier.build(given._replace(tag="2016-04-22"))
    http = model["operations"]["SendEmail"]["http"]
    assert (request.method, request.url) == (http["method"], carrier._settings.endpoint + http["requestUri"])
    jsonschema.validate(json.loads(request.body), schema)
    known = set(model["shapes"]["SendEmailRequest"]["members"])
    assert set(json.loads(request.body)) <= known


def test_the_message_goes_to_its_reader_and_its_bounces_to_its_return_path(carrier: Ses) -> None:
    given = body(envelope(7), carrier)
    assert given["Destination"] == {"ToAddresses": ["reader7@example.org"]}
    assert given["FeedbackForwardingEmailAddress"] == "bounces+7@example.org"
    assert base64.b64decode(given["Content"]["Raw"]["Data"]) == envelope(7).data
    assert "FromEmailAddress" not in given  # the message has it
    assert "FeedbackForwardingEmailAddress" not in body(envelope(7)._replace(sender=""), carrier)


def test_the_reader_and_the_issue_are_tags_and_the_mailing_is_not_named(carrier: Ses, server: SesServer) -> None:
    carrier.deliver(envelope(7, mailing="2016-04-22-press")._replace(tag="2016-04-22"))
    assert server.tags["reader7@example.org"] == {
        "reader": "7",
        "issue": "2016-04-22",
        "chunk": opaque("2016-04-22-press/7"),
    }


def test_the_request_of_a_message_is_the_same_byte_for_byte_and_knows_no_secret(carrier: Ses) -> None:
    first, again = carrier.build(envelope(7)), carrier.build(envelope(7))
    assert first == again
    assert SECRET not in repr(first)
    assert "Authorization" not in first.headers


def test_what_ses_calls_a_taken_message_is_kept(carrier: Ses) -> None:
    receipt = carrier.deliver(envelope(7))
    assert receipt.outcome is Outcome.ACCEPTED
    assert receipt.reference.startswith("0102018e")


def test_one_bad_address_is_refused_and_the_next_reader_is_not(carrier: Ses, server: SesServer) -> None:
    server.bad = {"reader7@example.org"}
    assert carrier.deliver(envelope(7)).outcome is Outcome.REJECTED
    assert carrier.deliver(envelope(8)).outcome is Outcome.ACCEPTED
    assert list(server.copies) == ["reader8@example.org"]


def test_a_message_beyond_40_mb_is_not_sent(carrier: Ses, server: SesServer) -> None:
    receipt = carrier.deliver(envelope(7)._replace(data=b"x" * 30_000_001))
    assert receipt.outcome is Outcome.REJECTED
    assert "40000000 are allowed" in receipt.detail
    assert server.seen == []
