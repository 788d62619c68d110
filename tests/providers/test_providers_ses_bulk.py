from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import jsonschema
import pytest
import ses_topic
from botocore.config import Config
from provider_contract import SECRET, BatchCarrierContract, batch
from provider_server import NOON
from ses_server import ACCESS_KEY, REGION, SesBulkServer, error, expand_in_one_pass, expand_one_after_the_other
from web_servers import Said

from newsletter.providers.base import Batch, BatchCarrier, Outcome, ProviderStoppedError, opaque
from newsletter.providers.feedback import HookCall
from newsletter.providers.ses_bulk import SesBulk


@pytest.fixture(params=[expand_in_one_pass, expand_one_after_the_other])
def server(request: pytest.FixtureRequest) -> Iterator[SesBulkServer]:
    with SesBulkServer(SECRET, request.param) as server:
        yield server


@pytest.fixture
def carrier(server: SesBulkServer) -> Iterator[SesBulk]:
    carrier = server.carrier(lambda: NOON)
    yield carrier
    carrier.close()


class TestSesBulkAsACarrier(BatchCarrierContract):
    @pytest.fixture(autouse=True)
    def _server(self, server: SesBulkServer) -> None:
        self.server = server

    @pytest.fixture
    def carrier(self, carrier: SesBulk) -> BatchCarrier:
        return carrier

    def lock_out(self) -> bool:
        self.server.key = "another key"
        return True

    def true_calls(self) -> Iterable[tuple[HookCall, str]]:
        yield ses_topic.report(ses_topic.event("Send")), ses_topic.ARN

    def forged_calls(self) -> Iterable[tuple[HookCall, str]]:
        yield ses_topic.call(ses_topic.notice(ses_topic.event("Send"))), ses_topic.ARN


def body(carrier: SesBulk, given: Batch) -> Any:
    return json.loads(carrier.build(given).body)


def with_headers(*headers: tuple[str, str]) -> Batch:
    given = batch([1, 2])
    return dataclasses.replace(given, merge=dataclasses.replace(given.merge, headers=headers))


def test_a_request_is_as_amazon_describes_it(shared: Path, carrier: SesBulk) -> None:
    schema = json.loads((shared / "specs/sesv2_SendBulkEmail.schema.json").read_text())
    model = json.loads((shared / "specs/aws-sesv2.botocore.service-2.json").read_text())
    request = carrier.build(batch(range(1, 51)))
    http = model["operations"]["SendBulkEmail"]["http"]
    assert (request.method, request.url) == (http["method"], carrier._settings.endpoint + http["requestUri"])
    jsonschema.validate(json.loads(request.body), schema)
    assert set(json.loads(request.body)) <= set(model["shapes"]["SendBulkEmailRequest"]["members"])


class TestAmazonsOwnClient:
    """Amazon's client checks what it sends against the service model, signs it itself, and reads the answer by it."""

    @pytest.fixture
    def client(self, server: SesBulkServer) -> Iterator[Any]:
        client = boto3.client(
            "sesv2",
            region_name=REGION,
            endpoint_url=server.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET,
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )
        yield client
        client.close()

    def test_it_sends_what_we_send_and_every_reader_gets_the_same(
        self, client: Any, carrier: SesBulk, server: SesBulkServer
    ) -> None:
        given = batch(range(1, 6), html="<p>__NL_NAME__ {{x}} __NL_UNSUBSCRIBE__</p>")
        assert carrier.deliver(given).outcome is Outcome.ACCEPTED
        ours = {address: _without_id(copy) for address, copy in server.copies.items()}
        server.copies.clear()
        answer = client.send_bulk_email(**body(carrier, given))
        assert [one["Status"] for one in answer["BulkEmailEntryResults"]] == ["SUCCESS"] * 5
        assert {address: _without_id(copy) for address, copy in server.copies.items()} == ours
        assert server.requests[0] == server.requests[1]

    @pytest.mark.parametrize("kind", ["TooManyRequestsException", "MessageRejected", "AccountSuspendedException"])
    def test_it_knows_the_errors_of_our_server_by_their_names(
        self, client: Any, carrier: SesBulk, server: SesBulkServer, kind: str
    ) -> None:
        server.answers = [error(429 if kind == "TooManyRequestsException" else 400, kind, "no")]
        with pytest.raises(getattr(client.exceptions, kind)):
            client.send_bulk_email(**body(carrier, batch()))

    def test_it_is_refused_with_a_wrong_secret(self, client: Any, carrier: SesBulk, server: SesBulkServer) -> None:
        server.key = "another secret"
        with pytest.raises(botocore.exceptions.ClientError, match="InvalidSignatureException"):
            client.send_bulk_email(**body(carrier, batch()))


def _without_id(copy: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in copy.items() if name != "message-id"}


def test_each_reader_is_named_by_a_number_and_the_batch_by_a_digest(carrier: SesBulk, server: SesBulkServer) -> None:
    carrier.deliver(batch([41, 42], key="2016-04-22-press/7"))
    mark = opaque("2016-04-22-press/7")
    assert server.tags == {
        f"reader{number}@example.org": {"reader": str(number), "issue": "2016-04-22", "chunk": mark}
        for number in (41, 42)
    }
    assert b"press" not in server.seen[0].body


def test_one_body_is_sent_for_all_and_only_values_for_each(carrier: SesBulk) -> None:
    one, fifty = (len(carrier.build(batch(range(1, number + 1), html="x" * 60_000)).body) for number in (1, 50))
    assert fifty - one < 50 * 1500


def test_headers_that_ses_writes_itself_are_left_to_it(carrier: SesBulk, server: SesBulkServer) -> None:
    given = batch([1])
    names = ("Bcc", "CC", "Content-Type", "Date", "From", "MIME-Version", "Return-Path", "To")
    theirs = tuple((name, "x") for name in names)
    merge = dataclasses.replace(given.merge, headers=given.merge.headers + theirs)
    assert carrier.deliver(dataclasses.replace(given, merge=merge)).outcome is Outcome.ACCEPTED
    copy = server.copies["reader1@example.org"]
    assert copy["list-id"] == "The Weekly <weekly.news.example.org>"
    assert "x" not in copy.values()
    assert "date" not in copy


@pytest.mark.parametrize(
    "headers",
    [
        [(f"X-{number}", "x") for number in range(16)],
        [("X-Long", "x" * 996)],
        [("X" * 126, "x" * 900)],
        [("X-Letters", "Côte d'Ivoire")],
        [("X-Lines", "a\r\n b")],
        [("X-Empty", "")],
        [("X-Tag", "{{name}}")],
        [("List-Unsubscribe", f"<__NL_UNSUBSCRIBE__>, <mailto:{'x' * 990}>")],
    ],
)
def test_headers_that_ses_does_not_take_stop_the_run_before_anything_is_sent(
    carrier: SesBulk, server: SesBulkServer, headers: list[tuple[str, str]]
) -> None:
    with pytest.raises(ProviderStoppedError, match="header"):
        carrier.deliver(with_headers(*headers))
    assert server.seen == []


def test_headers_at_the_limit_are_taken(carrier: SesBulk, server: SesBulkServer) -> None:
    headers = [("X-Long", "x" * 990), ("Y", "y" * 995), *((f"X-{number}", "x") for number in range(13))]
    assert carrier.deliver(with_headers(*headers)).outcome is Outcome.ACCEPTED
    assert server.copies["reader2@example.org"]["y"] == "y" * 995


BRACES = [
    "{__NL_NAME__}",
    "{{__NL_NAME__}}",
    "{{{__NL_NAME__}}}",
    "\\__NL_NAME__\\",
    "\\{{name}} \\\\{{name}} {{#if x}}y{{/if}} {{> part}} {{!-- c --}} {{&x}}",
    "@media(x){a{b:c}}{d{e:f}} }} }}} { } {}",
    "{{nl_name}} {{nl_name_html}} {{nl_braces0}} {{nlnl_name}}",
    "{\\{ __NL_NAME____NL_NAME__{__NL_NAME__",
    "{{nl_name}} {{nl_name_html}} {{nl_message}} __NL_NAME__",
]


@pytest.mark.parametrize("text", BRACES)
def test_braces_reach_the_reader_as_written(carrier: SesBulk, server: SesBulkServer, text: str) -> None:
    name = "{{nl_message}} {{nl_message_html}} \\ R&D"
    text += " __NL_MESSAGE__"
    given = batch([1], html=f"<p>{text}</p>", text=text, subject=text, names=name.replace("{", "{{").replace("}", "}}"))
    assert carrier.deliver(given).outcome is Outcome.ACCEPTED
    copy = server.copies["reader1@example.org"]
    expected = text.replace("__NL_NAME__", name).replace("__NL_MESSAGE__", "message1")
    assert (copy["subject"], copy["text"]) == (expected, expected)
    assert copy["html"] == f"<p>{expected.replace('R&D', 'R&amp;D')}</p>"


def test_a_sender_that_was_folded_for_a_message_is_written_on_one_line(carrier: SesBulk) -> None:
    given = batch([1])
    merge = dataclasses.replace(given.merge, sender="=?utf-8?b?w4k=?=\r\n <weekly@example.org>", reply_to=None)
    sent = body(carrier, dataclasses.replace(given, merge=merge))
    assert sent["FromEmailAddress"] == "=?utf-8?b?w4k=?= <weekly@example.org>"
    assert "ReplyToAddresses" not in sent


@pytest.mark.parametrize("readers", [0, 51])
def test_a_batch_is_of_one_to_fifty_readers(carrier: SesBulk, readers: int) -> None:
    with pytest.raises(ValueError, match="1 to 50 readers"):
        carrier.build(dataclasses.replace(batch([1]), recipients=batch(range(1, 52)).recipients[:readers]))


class TestAnswers:
    def answer(self, carrier: SesBulk, server: SesBulkServer, *statuses: str | None, error: str = "why") -> Any:
        results = [
            {"Status": status, **({"MessageId": f"m{place}"} if status == "SUCCESS" else {"Error": error})}
            for place, status in enumerate(statuses)
        ]
        server.answers = [Said(200, {}, json.dumps({"BulkEmailEntryResults": results}).encode())]
        return carrier.deliver(batch(range(1, len(statuses) + 1)))

    def test_a_batch_that_was_taken_has_no_exceptions(self, carrier: SesBulk, server: SesBulkServer) -> None:
        receipt = self.answer(carrier, server, "SUCCESS", "SUCCESS")
        assert (receipt.outcome, receipt.reference, receipt.exceptions) == (Outcome.ACCEPTED, "m0", {})

    def test_one_bad_address_is_refused_alone(self, carrier: SesBulk, server: SesBulkServer) -> None:
        server.bad = {"reader2@example.org"}
        receipt = carrier.deliver(batch())
        said = "INVALID_PARAMETER: Local address contains control or whitespace"
        assert receipt.outcome is Outcome.ACCEPTED
        assert receipt.exceptions == {2: (Outcome.REJECTED, said)}
        assert sorted(server.copies) == ["reader1@example.org", "reader3@example.org"]

    def test_each_entry_has_its_own_outcome(self, carrier: SesBulk, server: SesBulkServer) -> None:
        receipt = self.answer(
            carrier, server, "ACCOUNT_THROTTLED", "SUCCESS", "INVALID_PARAMETER", "FAILED", "WHO_KNOWS", None
        )
        assert (receipt.outcome, receipt.reference, receipt.retry_after) == (Outcome.ACCEPTED, "m1", 5.0)
        assert receipt.exceptions == {
            1: (Outcome.DEFERRED, "ACCOUNT_THROTTLED: why"),
            3: (Outcome.REJECTED, "INVALID_PARAMETER: why"),
            4: (Outcome.DEFERRED, "FAILED: why"),
            5: (Outcome.UNKNOWN, "WHO_KNOWS: why"),
            6: (Outcome.UNKNOWN, "why"),
        }

    @pytest.mark.parametrize(
        ("status", "wait"),
        [
            ("ACCOUNT_THROTTLED", 5.0),
            ("ACCOUNT_DAILY_QUOTA_EXCEEDED", 3600.0),
            ("TRANSIENT_FAILURE", None),
            ("FAILED", None),
        ],
    )
    def test_a_batch_that_is_put_off_as_a_whole_says_nothing_of_its_readers(
        self, carrier: SesBulk, server: SesBulkServer, status: str, wait: float | None
    ) -> None:
        receipt = self.answer(carrier, server, status, status)
        assert (receipt.outcome, receipt.retry_after, receipt.exceptions) == (Outcome.DEFERRED, wait, {})
        assert receipt.detail == f"{status}: why"

    def test_readers_who_are_all_refused_are_refused_one_by_one(self, carrier: SesBulk, server: SesBulkServer) -> None:
        receipt = self.answer(carrier, server, "INVALID_PARAMETER", "INVALID_PARAMETER")
        refused = (Outcome.REJECTED, "INVALID_PARAMETER: why")
        assert (receipt.outcome, receipt.exceptions) == (Outcome.REJECTED, {1: refused, 2: refused})
        assert not receipt.split

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            ("MAIL_FROM_DOMAIN_NOT_VERIFIED", ""),
            ("ACCOUNT_SUSPENDED", ""),
            ("ACCOUNT_SENDING_PAUSED", ""),
            ("CONFIGURATION_SET_NOT_FOUND", ""),
            ("CONFIGURATION_SET_SENDING_PAUSED", ""),
            ("MESSAGE_REJECTED", "Email address is not verified. The following identities failed: reader1@example.org"),
            ("MESSAGE_REJECTED", "virus"),
            ("INVALID_PARAMETER", "Duplicate header 'List-Id'."),
        ],
    )
    def test_what_concerns_us_stops_the_run_once_nobody_is_left_whom_it_does_not_concern(
        self, carrier: SesBulk, server: SesBulkServer, status: str, error: str
    ) -> None:
        receipt = self.answer(carrier, server, "SUCCESS", status, error=error)
        assert receipt.outcome is Outcome.ACCEPTED
        assert receipt.exceptions[2][0] is Outcome.DEFERRED
        with pytest.raises(ProviderStoppedError, match=status):
            self.answer(carrier, server, status, status, error=error)

    @pytest.mark.parametrize("number", [0, 1, 3])
    def test_a_result_too_few_or_too_many_leaves_all_unknown(
        self, carrier: SesBulk, server: SesBulkServer, number: int
    ) -> None:
        results = [{"Status": "SUCCESS", "MessageId": "m"}] * number
        server.answers = [Said(200, {}, json.dumps({"BulkEmailEntryResults": results}).encode())]
        receipt = carrier.deliver(batch([1, 2]))
        assert (receipt.outcome, receipt.exceptions) == (Outcome.UNKNOWN, {})

    def test_every_status_of_the_service_model_is_judged(
        self, shared: Path, carrier: SesBulk, server: SesBulkServer
    ) -> None:
        model = json.loads((shared / "specs/aws-sesv2.botocore.service-2.json").read_text())
        for status in model["shapes"]["BulkEmailStatus"]["enum"]:
            receipt = self.answer(carrier, server, "SUCCESS", status)
            outcome, detail = receipt.exceptions.get(2, (Outcome.ACCEPTED, ""))
            assert outcome is not Outcome.UNKNOWN, status
            assert (status in detail) is (outcome is not Outcome.ACCEPTED)
