from __future__ import annotations

import dataclasses
import datetime as dt
import html
import json
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from mailchimp_server import (
    AUDIENCE,
    Campaign,
    MailchimpServer,
    Member,
    answered,
    expand_once,
    expand_one_after_the_other,
    problem,
)
from provider_contract import SECRET, BatchCarrierContract, batch
from provider_server import FAULTS, HTML
from smtp_servers import free_port
from web_servers import HANG_UP, Said

from newsletter.errors import NewsletterError, TryLaterError
from newsletter.providers.base import BatchCarrier, Outcome, ProviderStoppedError, opaque
from newsletter.providers.feedback import Feedback, HookCall, Report
from newsletter.providers.mailchimp import Mailchimp, MailchimpSettings
from newsletter.providers.registry import open_provider

NOW = dt.datetime(2016, 4, 22, 12, 0, tzinfo=dt.UTC)
HOOK_SECRET = "a-long-word-nobody-guesses"
WORD_JOINER = "\u2060"


def hook(*, secret: str = HOOK_SECRET, **said: str) -> HookCall:
    """Write a report as on Mailchimp's page about webhooks; `data_email` stands for `data[email]`."""
    told = {
        "type": "unsubscribe",
        "fired_at": "2016-04-22 12:01:02",
        "data_email": "reader41@example.org",
        "data_list_id": AUDIENCE,
        **said,
    }
    fields = {re.sub("^data_(.*)", r"data[\1]", name).replace("__", "]["): value for name, value in told.items()}
    url = f"https://news.example.org/hooks/mailchimp/{secret}"
    return HookCall({}, urllib.parse.urlencode(fields).encode(), url, NOW)


LEFT = {"data_action": "unsub", "data_reason": "manual", "data_merges__NL_READER": "41"}


@pytest.fixture(params=[expand_once, expand_one_after_the_other])
def server(request: pytest.FixtureRequest) -> Iterator[MailchimpServer]:
    with MailchimpServer(SECRET, request.param) as server:
        yield server


@pytest.fixture
def carrier(server: MailchimpServer) -> Iterator[Mailchimp]:
    carrier = server.carrier(lambda: server.now)
    yield carrier
    carrier.close()


def sendings(server: MailchimpServer) -> int:
    return sum(map(server.sends, server.seen))


def calls(server: MailchimpServer, method: str, end: str) -> list[Any]:
    """Return the bodies of the requests whose path ends so."""
    paths = ((seen, urllib.parse.urlsplit(seen.path).path) for seen in server.seen)
    return [json.loads(seen.body or b"{}") for seen, path in paths if seen.method == method and path.endswith(end)]


class TestMailchimpAsACarrier(BatchCarrierContract):
    server: MailchimpServer

    @pytest.fixture(autouse=True)
    def _server(self, server: MailchimpServer) -> None:
        self.server = server

    @pytest.fixture
    def carrier(self, server: MailchimpServer) -> Iterator[BatchCarrier]:
        carrier = server.carrier(lambda: NOW, timeout=30)  # 50,000 copies are made before the answer
        yield carrier
        carrier.close()

    def lock_out(self) -> bool:
        self.server.key = "another key"
        return True

    def true_calls(self) -> Iterator[tuple[HookCall, str]]:
        yield hook(**LEFT), HOOK_SECRET
        yield hook(type="cleaned", data_reason="hard"), HOOK_SECRET
        yield hook(type="campaign", data_status="sent"), HOOK_SECRET

    def forged_calls(self) -> Iterator[tuple[HookCall, str]]:
        yield hook(**LEFT, secret="wrong"), HOOK_SECRET
        yield hook(**LEFT, secret=""), ""

    def test_every_reader_gets_a_copy_of_their_own(self, carrier: BatchCarrier) -> None:
        """List-Unsubscribe is Mailchimp's, and so is the end of the mail; our headers do not travel at all."""
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED
        copies = self.copies()
        assert sorted(copies) == [f"reader{number}@example.org" for number in (1, 2, 3)]
        for number in (1, 2, 3):
            copy = copies[f"reader{number}@example.org"]
            assert copy["subject"] == "The week in Cote d'Ivoire – 18–22 April"
            assert copy["from"] == "The Weekly <editors@example.org>"
            assert copy["reply-to"] == "editors@example.org"
            leave = f"https://news.example.org/leave/{number}?a=1&b=2"
            assert copy["text"].startswith(f"Dear Reader {number}, leave: {leave}\n")
            assert f'<p>Dear Reader {number}, <a href="{html.escape(leave)}">leave</a></p>' in copy["html"]
            assert "https://mailchimp.example.org/unsubscribe" in copy["html"]
            others = {f"reader{other}@" for other in (1, 2, 3) if other != number}
            assert not any(other in repr(copy) for other in others)

    def test_content_that_looks_like_a_merge_tag_reaches_the_reader_as_written(self, carrier: BatchCarrier) -> None:
        """Seen, not byte for byte: a character reference in html, and a joiner without width in text."""
        strange = "*|FNAME|* **|EMAIL|*|* *|IF:X|* %recipient.name% {{name}} [[x]] ${a} %% 100 %20 __NL_NOT_OURS__ |*|"
        tokens = "__NL_NAME__|FNAME|* *__NL_NAME__|*"
        written = f"{strange} {tokens}"
        carrier.deliver(batch([1], html=f"<p>{written}</p>", text=f"{written}\n", subject=written, names="*|EMAIL|*"))
        copy = self.copies()["reader1@example.org"]
        shown = written.replace("__NL_NAME__", "*|EMAIL|*")
        assert html.unescape(copy["html"]).startswith(f"<p>{shown}</p>")
        assert copy["text"].replace(WORD_JOINER, "").startswith(f"{shown}\n")
        assert copy["subject"].replace(WORD_JOINER, "") == shown

    def test_no_name_leaves_the_house_unless_the_body_shows_it(self, carrier: BatchCarrier) -> None:
        carrier.deliver(batch([1], html="<p>x</p>", text="x\n", names="Aung Win"))
        assert sendings(self.server) == 1
        assert not any(b"Aung" in seen.body for seen in self.server.seen)

    def test_the_request_of_a_batch_is_the_same_byte_for_byte(self, carrier: BatchCarrier) -> None:
        """There are many requests; all that say something of the batch are the same for another server."""
        carrier.deliver(batch())
        with MailchimpServer(SECRET) as other:
            again = other.carrier(lambda: NOW)
            again.deliver(batch())
            again.close()
            assert [seen.body for seen in other.seen] == [seen.body for seen in self.server.seen]
        assert not any(SECRET.encode() in seen.body for seen in self.server.seen)


class TestTheSpecification:
    """Every request of a send, held against Mailchimp's own OpenAPI."""

    @pytest.fixture
    def described(self, shared: Path) -> dict[str, Any]:
        return json.loads((shared / "specs/mailchimp-marketing.openapi3.json").read_text())  # type: ignore[no-any-return]

    def test_paths_parameters_and_bodies_are_as_described(
        self, described: dict[str, Any], carrier: Mailchimp, server: MailchimpServer
    ) -> None:
        server.faults = [FAULTS["429"]]
        carrier.deliver(batch())
        server.wrong = [{"type": "error", "heading": "Audience", "details": "It is empty."}]
        carrier.deliver(batch())
        server.wrong = []
        server.members["stranger@example.org"] = Member("stranger@example.org", "subscribed")
        server.segments[1000][1]["stranger@example.org"] = None
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED
        carrier.probe()
        seen = {self.check(described, one.method, one.path, one.body) for one in server.seen}
        assert len(seen) == 16

    def check(self, described: dict[str, Any], method: str, path: str, body: bytes) -> tuple[str, str]:
        parts = urllib.parse.urlsplit(path)
        segments = parts.path.removeprefix("/3.0").split("/")
        templates = [
            template
            for template in described["paths"]
            if len(template.split("/")) == len(segments)
            and all(
                ours == theirs or theirs[0:1] == "{" for ours, theirs in zip(segments, template.split("/"), strict=True)
            )
        ]
        assert len(templates) == 1, parts.path
        operation = described["paths"][templates[0]][method.lower()]
        query = urllib.parse.parse_qs(parts.query, strict_parsing=bool(parts.query))
        parameters = {one["name"]: one["schema"] for one in operation.get("parameters", ()) if one["in"] == "query"}
        assert query.keys() <= parameters.keys()
        for name, values in query.items():
            schema = parameters[name]
            given = int(values[0]) if schema.get("type") == "integer" else values[0]
            assert "enum" not in schema or given in schema["enum"]
            assert "maximum" not in schema or given <= schema["maximum"]
        if body:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            jsonschema.validate(json.loads(body), closed(schema))
        return method, templates[0]


def closed(schema: Any) -> Any:
    """Forbid what a schema does not name, all the way down."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    told = {name: closed(value) for name, value in schema.items()}
    return {"additionalProperties": False, **told} if isinstance(told.get("properties"), dict) else told


class TestTheCampaign:
    def test_tracking_is_off_and_the_title_tells_nothing(self, carrier: Mailchimp, server: MailchimpServer) -> None:
        carrier.deliver(batch(key="2016-04-22-press/7"))
        (campaign,) = calls(server, "POST", "/campaigns")
        assert set(campaign["tracking"].values()) == {False}
        assert campaign["tracking"].keys() >= {"opens", "html_clicks", "text_clicks"}
        assert campaign["settings"]["title"] == opaque("2016-04-22-press/7")
        assert campaign["settings"]["auto_footer"] is True
        assert campaign["recipients"] == {
            "list_id": AUDIENCE,
            "segment_opts": {"saved_segment_id": 1000, "match": "all"},
        }
        assert not any(b"press" in seen.body for seen in server.seen)

    def test_it_goes_to_the_batchs_readers_and_to_nobody_else(
        self, carrier: Mailchimp, server: MailchimpServer
    ) -> None:
        server.members["stranger@example.org"] = Member("stranger@example.org", "subscribed")
        carrier.deliver(batch([1, 2]))
        carrier.deliver(batch([3], key="2016-04-22-weekly/1"))
        assert server.got == {f"reader{number}@example.org": 1 for number in (1, 2, 3)}

    def test_without_an_address_for_answers_the_senders_is_taken(
        self, carrier: Mailchimp, server: MailchimpServer
    ) -> None:
        given = batch([1])
        merge = dataclasses.replace(
            given.merge, reply_to=None, sender="=?utf-8?q?L=27Hebdo_=E2=80=93?= <w@example.org>"
        )
        carrier.deliver(dataclasses.replace(given, merge=merge))
        assert server.copies["reader1@example.org"]["from"] == "L'Hebdo – <w@example.org>"

    def test_the_same_batch_again_sends_nothing_more(self, carrier: Mailchimp, server: MailchimpServer) -> None:
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED
        server.now += server.lag
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED
        assert sendings(server) == 1
        assert set(server.got.values()) == {1}

    def test_even_when_the_status_is_told_late_nobody_gets_it_twice(
        self, carrier: Mailchimp, server: MailchimpServer
    ) -> None:
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED
        with pytest.raises(ProviderStoppedError, match="This campaign cannot be edited"):
            carrier.deliver(batch())
        assert set(server.got.values()) == {1}

    def test_a_draft_of_an_earlier_try_is_used_again(self, carrier: Mailchimp, server: MailchimpServer) -> None:
        server.faults = [FAULTS["429"]]
        assert carrier.deliver(batch()).outcome is Outcome.DEFERRED
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED
        assert len(server.campaigns) == len(server.segments) == 1
        assert set(server.got.values()) == {1}

    def test_of_several_drafts_the_one_on_its_way_counts(self, carrier: Mailchimp, server: MailchimpServer) -> None:
        body = {"settings": {"title": opaque(batch().key)}}
        for name, status in (("a1", "save"), ("a2", "sending")):
            server.campaigns[name] = Campaign(name, body, NOW, status=status)
        receipt = carrier.deliver(batch())
        assert (receipt.outcome, receipt.reference) == (Outcome.ACCEPTED, "a2")
        assert sendings(server) == 0

    @pytest.mark.parametrize("status", ["paused", "canceling", "canceled", "archived", "something new"])
    def test_what_somebody_did_to_it_in_mailchimp_is_for_a_person_to_judge(
        self, carrier: Mailchimp, server: MailchimpServer, status: str
    ) -> None:
        body = {"settings": {"title": opaque(batch().key)}}
        server.campaigns["a1"] = Campaign("a1", body, NOW, status=status)
        assert carrier.deliver(batch()).outcome is Outcome.UNKNOWN
        assert carrier.lookup(batch()) is None
        assert sendings(server) == 0

    def test_a_sender_that_was_held_for_dead_finds_what_another_sent_in_the_meantime(
        self, carrier: Mailchimp, server: MailchimpServer
    ) -> None:
        act, body = server._fill_segment, {"settings": {"title": opaque(batch().key)}}

        def while_another_sends(*given: Any) -> Said:
            server.campaigns["a1"] = Campaign("a1", body, NOW, status="sending")
            return act(*given)

        server._fill_segment = while_another_sends  # type: ignore[method-assign]
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED
        assert sendings(server) == 0


class TestTheAudience:
    def test_fields_are_made_once(self, carrier: Mailchimp, server: MailchimpServer) -> None:
        carrier.deliver(batch())
        carrier.deliver(batch(key="2016-04-22-weekly/1"))
        again = server.carrier(lambda: NOW)
        again.deliver(batch(key="2016-04-22-weekly/2"))
        again.close()
        made = calls(server, "POST", "/merge-fields")
        assert sorted(field["name"] for field in made) == [
            "Newsletter: name",
            "Newsletter: name in html",
            "Newsletter: reader",
            "Newsletter: unsubscribe",
            "Newsletter: unsubscribe in html",
        ]
        assert all(len(field["tag"]) <= 10 and not field["public"] for field in made)

    def test_a_field_that_another_sender_just_made_is_no_trouble(
        self, carrier: Mailchimp, server: MailchimpServer
    ) -> None:
        server.answers = [answered({"campaigns": []}), answered({"merge_fields": []})]
        server.tags.append("NL_READER")
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED

    def test_an_audience_that_takes_no_more_fields_stops_the_run(
        self, carrier: Mailchimp, server: MailchimpServer
    ) -> None:
        server.tags = [f"FIELD{number}" for number in range(30)]
        with pytest.raises(ProviderStoppedError, match="The merge field cannot be added"):
            carrier.deliver(batch())

    def test_a_reader_is_an_opaque_number_there(self, carrier: Mailchimp, server: MailchimpServer) -> None:
        carrier.deliver(batch([41]))
        assert server.members["reader41@example.org"].values["NL_READER"] == "41"

    @pytest.mark.parametrize("status", ["unsubscribed", "cleaned"])
    def test_who_left_or_bounced_there_is_refused_and_stays_so(
        self, carrier: Mailchimp, server: MailchimpServer, status: str
    ) -> None:
        server.members["reader2@example.org"] = Member("Reader2@example.org", status)
        receipt = carrier.deliver(batch())
        assert receipt.outcome is Outcome.ACCEPTED
        assert receipt.exceptions == {2: (Outcome.REJECTED, f"mailchimp has this address as {status}")}
        assert sorted(server.got) == ["reader1@example.org", "reader3@example.org"]
        assert server.members["reader2@example.org"].status == status
        (brought,) = calls(server, "POST", f"/lists/{AUDIENCE}")
        assert "reader2@example.org" not in {member["email_address"] for member in brought["members"]}

    def test_the_lists_of_who_left_are_read_to_their_end(self, carrier: Mailchimp, server: MailchimpServer) -> None:
        server.most = 2
        for number in range(2, 9):
            address = f"reader{number}@example.org"
            server.members[address] = Member(address, "unsubscribed")
        receipt = carrier.deliver(batch(range(1, 10)))
        assert sorted(receipt.exceptions) == list(range(2, 9))
        assert sorted(server.got) == ["reader1@example.org", "reader9@example.org"]

    def test_others_are_brought_back_by_our_own_consent(self, carrier: Mailchimp, server: MailchimpServer) -> None:
        for number, status in ((1, "pending"), (2, "transactional"), (3, "archived")):
            address = f"reader{number}@example.org"
            server.members[address] = Member(address, status)
        assert carrier.deliver(batch()).exceptions == {}
        assert len(server.got) == 3

    def test_when_all_are_refused_there_is_no_campaign(self, carrier: Mailchimp, server: MailchimpServer) -> None:
        server.bad = {f"reader{number}@example.org" for number in (1, 2, 3)}
        receipt = carrier.deliver(batch())
        assert receipt.outcome is Outcome.REJECTED
        assert not receipt.split
        assert sorted(receipt.exceptions) == [1, 2, 3]
        assert server.campaigns == {}

    def test_one_bad_address_is_told_apart_in_mailchimps_words(
        self, carrier: Mailchimp, server: MailchimpServer
    ) -> None:
        server.bad = {"reader2@example.org"}
        receipt = carrier.deliver(batch())
        assert receipt.outcome is Outcome.ACCEPTED
        words = "mailchimp: reader2@example.org looks fake or invalid, please enter a real email address."
        assert receipt.exceptions == {2: (Outcome.REJECTED, words)}
        assert sorted(server.got) == ["reader1@example.org", "reader3@example.org"]

    def test_who_is_kept_away_for_some_time_is_tried_again(self, carrier: Mailchimp, server: MailchimpServer) -> None:
        act = server._take_members
        words = "reader2@example.org has signed up to a lot of lists very recently; not allowing more signups for now"

        def too_busy(query: Any, body: dict[str, Any]) -> Said:
            left = [one for one in body["members"] if one["email_address"] != "reader2@example.org"]
            said = json.loads(act(query, {**body, "members": left}).body)
            return answered({**said, "errors": [{"email_address": "reader2@example.org", "error": words}, "x", {}]})

        server._take_members = too_busy  # type: ignore[method-assign]
        receipt = carrier.deliver(batch())
        assert receipt.outcome is Outcome.ACCEPTED
        assert receipt.exceptions == {2: (Outcome.DEFERRED, f"mailchimp: {words}")}

    @pytest.mark.parametrize(
        "said",
        [
            problem(
                400,
                "Member In Compliance State",
                "reader2@example.org is in a compliance state due to unsubscribe, bounce, or compliance review.",
            ),
            problem(
                400,
                "Invalid Resource",
                "See the errors.",
                errors=[{"field": "members.item:1.email_address", "message": "x"}],
            ),
        ],
    )
    def test_a_refusal_that_names_one_member_is_that_members(
        self, carrier: Mailchimp, server: MailchimpServer, said: Said
    ) -> None:
        act, answers = server._take_members, [said]
        server._take_members = lambda *given: answers.pop() if answers else act(*given)  # type: ignore[method-assign]
        receipt = carrier.deliver(batch())
        assert receipt.outcome is Outcome.ACCEPTED
        assert {reader: fate for reader, (fate, _) in receipt.exceptions.items()} == {2: Outcome.REJECTED}
        assert sorted(server.got) == ["reader1@example.org", "reader3@example.org"]

    def test_a_refusal_that_names_nobody_stops_the_run(self, carrier: Mailchimp, server: MailchimpServer) -> None:
        server._take_members = lambda *_: problem(400, "Bad Request", "No.", errors=[{"field": "x"}, "y"])  # type: ignore[method-assign]
        with pytest.raises(ProviderStoppedError, match=r"mailchimp answered 400: Bad Request: No\..*same for every"):
            carrier.deliver(batch())

    def test_readers_go_in_groups_of_five_hundred(self, carrier: Mailchimp, server: MailchimpServer) -> None:
        assert carrier.deliver(batch(range(1, 1202))).outcome is Outcome.ACCEPTED
        assert [len(body["members"]) for body in calls(server, "POST", f"/lists/{AUDIENCE}")] == [500, 500, 201]
        assert [len(body["members_to_add"]) for body in calls(server, "POST", "/segments/1000")] == [500, 500, 201]
        assert len(server.got) == 1201

    def test_nobody_stays_in_a_segment_who_does_not_belong_there(
        self, carrier: Mailchimp, server: MailchimpServer
    ) -> None:
        server.members["stranger@example.org"] = Member("Stranger@example.org", "subscribed")
        server.segments = {7: ("another", {}), 9: (opaque(batch().key), {"stranger@example.org": None})}
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED
        assert "Stranger@example.org" not in server.got
        assert len(server.got) == 3

    def test_a_segment_that_is_not_up_to_date_is_waited_for(self, carrier: Mailchimp, server: MailchimpServer) -> None:
        server._fill_segment = lambda *_: answered({})  # type: ignore[method-assign]
        receipt = carrier.deliver(batch())
        assert (receipt.outcome, receipt.retry_after) == (Outcome.DEFERRED, 60.0)
        assert "3 readers" in receipt.detail
        assert server.campaigns == {}


class TestWhatIsAnsweredOnTheWay:
    """Until the campaign is sent, whatever happens leaves nothing behind that cannot be done again."""

    UNCLEAR = (
        Said(500, {}, b"oops"),
        Said(503, {"Retry-After": "5"}, b"unavailable"),
        Said(429, {}, b"too many"),
        Said(403, {"Content-Type": "text/html"}, b"<h1>Access Denied</h1>"),
        HTML,
        HANG_UP,
        Said(200, {}, b'{"campai', promised=400),
        Said(200, {}, b"[]"),
        answered({}),
    )

    def requests_of_one_send(self) -> int:
        with MailchimpServer(SECRET) as server:
            carrier = server.carrier(lambda: NOW)
            carrier.deliver(batch())
            carrier.close()
            assert server.sends(server.seen[-1])
            return len(server.seen)

    @pytest.mark.parametrize("said", UNCLEAR, ids=range(len(UNCLEAR)))
    def test_no_answer_before_the_last_loses_or_doubles_anybody(self, said: Said | str) -> None:
        for nth in range(self.requests_of_one_send() - 1):
            with MailchimpServer(SECRET) as server:
                carrier = server.carrier(lambda server=server: server.now)  # type: ignore[misc]
                truth, turn = server.serve, iter(range(100))
                server.serve = lambda seen: said if next(turn) == nth else truth(seen)  # type: ignore[method-assign] # noqa: B023
                first = carrier.deliver(batch())
                if first.outcome is not Outcome.ACCEPTED:
                    assert (first.outcome, first.split) == (Outcome.DEFERRED, False), first
                    assert not server.got
                    assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED
                carrier.close()
                assert server.got == {f"reader{number}@example.org": 1 for number in (1, 2, 3)}

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_a_refusal_of_ours_stops_the_run_wherever_it_comes(self, status: int) -> None:
        refusal = problem(status, "No", "Not you.")
        for nth in range(self.requests_of_one_send()):
            with MailchimpServer(SECRET) as server:
                carrier = server.carrier(lambda: NOW)
                truth, turn = server.serve, iter(range(100))
                server.serve = lambda seen: refusal if next(turn) == nth else truth(seen)  # type: ignore[method-assign] # noqa: B023
                with pytest.raises(ProviderStoppedError, match=f"mailchimp answered {status}: No: Not you") as stopped:
                    carrier.deliver(batch())
                assert SECRET not in str(stopped.value)
                carrier.close()
                assert not server.got

    def test_a_refused_connection_defers(self) -> None:
        given = {"name": "mailchimp", "audience": AUDIENCE, "key": "env:KEY"}
        settings = MailchimpSettings.model_validate({**given, "base_url": f"http://127.0.0.1:{free_port()}"})
        carrier = Mailchimp(settings, SECRET, lambda: NOW)
        assert carrier.deliver(batch()).outcome is Outcome.DEFERRED
        assert carrier.lookup(batch()) is None
        with pytest.raises(TryLaterError):
            carrier.probe()


class TestTheLastRequest:
    @pytest.mark.parametrize(
        ("fault", "outcome"),
        [
            ("429 with seconds", Outcome.DEFERRED),
            ("503", Outcome.UNKNOWN),
            ("500 before", Outcome.UNKNOWN),
            ("500 after", Outcome.UNKNOWN),
            ("dropped before", Outcome.UNKNOWN),
            ("dropped after", Outcome.UNKNOWN),
            ("200 with html before", Outcome.UNKNOWN),
            ("200 with html after", Outcome.UNKNOWN),
            ("too slow", Outcome.UNKNOWN),
        ],
    )
    def test_an_answer_that_does_not_say_yes_is_no_yes(
        self, carrier: Mailchimp, server: MailchimpServer, fault: str, outcome: Outcome
    ) -> None:
        server.faults = [FAULTS[fault]]
        receipt = carrier.deliver(batch())
        assert receipt.outcome is outcome
        assert not receipt.split
        server.now += server.lag
        taken = FAULTS[fault].after
        assert carrier.lookup(batch()) == (dict.fromkeys((1, 2, 3), Outcome.ACCEPTED) if taken else {})
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED
        assert server.got == {f"reader{number}@example.org": 1 for number in (1, 2, 3)}

    def test_the_status_read_at_once_may_settle_it(self, carrier: Mailchimp, server: MailchimpServer) -> None:
        server.lag = dt.timedelta()
        server.bad = {"reader2@example.org"}
        server.faults = [FAULTS["500 after"]]
        receipt = carrier.deliver(batch())
        assert (receipt.outcome, receipt.reference) == (Outcome.ACCEPTED, "c0")
        assert list(receipt.exceptions) == [2]
        assert sendings(server) == 1

    def test_who_was_refused_before_stays_refused_when_the_rest_is_in_doubt(
        self, carrier: Mailchimp, server: MailchimpServer
    ) -> None:
        server.bad = {"reader2@example.org"}
        server.faults = [FAULTS["500 after"]]
        receipt = carrier.deliver(batch())
        assert (receipt.outcome, receipt.reference) == (Outcome.UNKNOWN, "c0")
        assert list(receipt.exceptions) == [2]

    def test_a_segment_that_still_counts_as_empty_is_waited_for(
        self, carrier: Mailchimp, server: MailchimpServer
    ) -> None:
        server.wrong = [{"type": "error", "heading": "List", "details": "Your segment of list Weekly is empty."}]
        receipt = carrier.deliver(batch())
        assert (receipt.outcome, receipt.retry_after) == (Outcome.DEFERRED, 60.0)
        assert "Your segment of list Weekly is empty" in receipt.detail
        server.wrong = []
        assert carrier.deliver(batch()).outcome is Outcome.ACCEPTED

    def test_what_else_the_checklist_complains_of_stops_the_run(
        self, carrier: Mailchimp, server: MailchimpServer
    ) -> None:
        server.wrong = [{"type": "error", "heading": "From", "details": "The domain example.org is not verified."}]
        with pytest.raises(ProviderStoppedError, match=r"From: The domain example\.org is not verified"):
            carrier.deliver(batch())
        assert not server.got

    def test_a_checklist_that_cannot_be_read_leaves_it_for_later(
        self, carrier: Mailchimp, server: MailchimpServer
    ) -> None:
        server.wrong = [{"type": "warning", "heading": "x", "details": "y"}]
        assert carrier.deliver(batch()).outcome is Outcome.DEFERRED
        server._check = lambda *_: Said(500)  # type: ignore[method-assign]
        receipt = carrier.deliver(batch())
        assert receipt.outcome is Outcome.DEFERRED
        assert "Your Campaign is not ready to send" in receipt.detail


class TestLookingUp:
    def test_campaigns_are_found_however_many_there_are(self, carrier: Mailchimp, server: MailchimpServer) -> None:
        server.lag = dt.timedelta()
        for chunk in range(5):
            carrier.deliver(batch([chunk], key=f"2016-04-22-weekly/{chunk}"))
        server.most = 2
        for chunk in range(5):
            assert carrier.lookup(batch([chunk], key=f"2016-04-22-weekly/{chunk}")) == {chunk: Outcome.ACCEPTED}
        assert carrier.lookup(batch([9], key="2016-04-22-weekly/9")) == {}

    def test_a_draft_is_nobodys(self, carrier: Mailchimp, server: MailchimpServer) -> None:
        server.faults = [FAULTS["429"]]
        carrier.deliver(batch())
        assert len(server.campaigns) == 1
        assert carrier.lookup(batch()) == {}

    def test_what_was_scheduled_by_hand_counts_as_taken(self, carrier: Mailchimp, server: MailchimpServer) -> None:
        body = {"settings": {"title": opaque(batch([1]).key)}}
        server.campaigns["a1"] = Campaign("a1", body, NOW, status="schedule")
        assert carrier.lookup(batch([1])) == {1: Outcome.ACCEPTED}

    def test_only_campaigns_young_enough_are_asked_for(self, carrier: Mailchimp, server: MailchimpServer) -> None:
        carrier.lookup(batch())
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(server.seen[0].path).query))
        assert query["since_create_time"] == "2016-03-23T12:00:00+00:00"
        assert query["list_id"] == AUDIENCE

    @pytest.mark.parametrize("said", [HANG_UP, Said(500), problem(401, "No", "No."), HTML, answered({"campaigns": 1})])
    def test_what_cannot_be_asked_is_not_taken_for_absence(
        self, carrier: Mailchimp, server: MailchimpServer, said: Said | str
    ) -> None:
        server.answers = [said]
        assert carrier.lookup(batch()) is None


class TestReports:
    def test_a_reader_who_left_there_has_left(self) -> None:
        (report,) = Mailchimp.feedback(hook(**LEFT), HOOK_SECRET)
        assert dataclasses.replace(report, id="") == Feedback(
            Report.LEFT,
            41,
            address="reader41@example.org",
            at=dt.datetime(2016, 4, 22, 12, 1, 2, tzinfo=dt.UTC),
            detail="mailchimp: unsubscribe, manual",
        )

    @pytest.mark.parametrize(
        ("said", "report", "hard"),
        [
            ({"data_action": "unsub", "data_reason": "abuse"}, Report.COMPLAINED, False),
            ({"type": "cleaned", "data_reason": "hard"}, Report.BOUNCED, True),
            ({"type": "cleaned", "data_reason": "abuse"}, Report.COMPLAINED, False),
        ],
    )
    def test_bounces_and_complaints_are_told_apart(self, said: dict[str, str], report: Report, hard: bool) -> None:
        (told,) = Mailchimp.feedback(hook(**said), HOOK_SECRET)
        assert (told.report, told.hard, told.reader, told.address) == (report, hard, None, "reader41@example.org")

    @pytest.mark.parametrize(
        "said",
        [
            {"type": "subscribe"},
            {"type": "profile"},
            {"type": "upemail"},
            {"type": "campaign", "data_status": "sent"},
            {"data_action": "delete", "data_reason": "manual"},
            {"data_action": "archive", "data_reason": "manual"},
            {"type": ""},
            {**LEFT, "data_email": ""},
            {f"data_{number}": "x" for number in range(600)},
        ],
    )
    def test_what_tells_nothing_of_a_reader_gives_nothing(self, said: dict[str, str]) -> None:
        assert Mailchimp.feedback(hook(**said), HOOK_SECRET) == ()

    def test_strange_bytes_and_times_do_no_harm(self) -> None:
        assert Mailchimp.feedback(dataclasses.replace(hook(**LEFT), body=b"\xff=\xff&%ff"), HOOK_SECRET) == ()
        (report,) = Mailchimp.feedback(hook(**{**LEFT, "fired_at": "soon"}), HOOK_SECRET)
        assert report.at is None

    def test_the_same_report_twice_has_the_same_name_and_another_has_another(self) -> None:
        first, again = (Mailchimp.feedback(hook(**LEFT), HOOK_SECRET)[0].id for _ in range(2))
        (other,) = Mailchimp.feedback(hook(**{**LEFT, "fired_at": "2016-04-23 12:01:02"}), HOOK_SECRET)
        assert first == again != other.id


class TestSettings:
    def test_the_key_tells_where_its_data_centre_is(self) -> None:
        settings = MailchimpSettings.model_validate({"name": "mailchimp", "audience": AUDIENCE, "key": "env:KEY"})
        carrier = Mailchimp(settings, "0123456789abcdef-us21")
        assert carrier.describe() == "mailchimp audience a1b2c3d4e5 (us21.api.mailchimp.com)"
        assert carrier.place() == "us21.api.mailchimp.com/a1b2c3d4e5"
        for half in ("0123456789abcdef", "0123-us21.evil.example.org/", "-", ""):
            with pytest.raises(NewsletterError, match="does not end with its data centre") as missing:
                Mailchimp(settings, half)
            assert not half or half == "-" or half not in str(missing.value)

    def test_there_is_no_test_mode_and_there_are_ten_connections_at_most(self) -> None:
        given = {"name": "mailchimp", "audience": AUDIENCE, "key": "env:KEY"}
        with pytest.raises(NewsletterError, match="Mailchimp has no test mode"):
            open_provider({**given, "test_mode": "true"}, Path())
        with pytest.raises(NewsletterError, match="connections"):
            open_provider({**given, "connections": "11"}, Path())

    def test_the_settings_file_can_name_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MAILCHIMP_KEY", "0123456789abcdef-us21")
        given = {"name": "mailchimp", "audience": AUDIENCE, "key": "env:MAILCHIMP_KEY"}
        assert isinstance(open_provider(given, Path()), Mailchimp)
