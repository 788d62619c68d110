from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ses_topic
from components import component
from cryptography.hazmat.primitives import serialization
from ses_topic import ARN, CERTIFICATE, MAIL, NOON, call, event, notice, report, signed

from newsletter.providers.feedback import Feedback, ForgedFeedbackError, HookCall, Report
from newsletter.providers.ses_feedback import confirmation, read


def one(given: HookCall) -> Feedback:
    [found] = read(given, ARN)
    return found


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", ["Amazon SES Email Event Notification", None])
def test_a_notification_is_read_with_either_kind_of_signature(version: str, subject: str | None) -> None:
    bounced = {"emailAddress": "reader7@example.org", "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1\r\nunknown"}
    about = {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": [bounced]}
    about |= {"timestamp": "2016-04-22T11:59:00.123Z", "feedbackId": "01000157c44f053b-000000"}
    assert one(report(event("Bounce", "bounce", **about), SignatureVersion=version, Subject=subject)) == Feedback(
        report=Report.BOUNCED,
        reader=7,
        issue="2016-04-22",
        chunk="ab12",
        address="reader7@example.org",
        at=dt.datetime(2016, 4, 22, 11, 59, 0, 123000, dt.UTC),
        hard=True,
        status="5.1.1",
        detail="smtp; 550 5.1.1 unknown",
        id="01000157c44f053b-000000",
    )


RECIPIENT = {"emailAddress": "reader7@example.org"}


def bounce(kind: str, subtype: str) -> dict[str, Any]:
    return event("Bounce", "bounce", bounceType=kind, bounceSubType=subtype, bouncedRecipients=[RECIPIENT])


def complaint(**about: str) -> dict[str, Any]:
    return event("Complaint", "complaint", complainedRecipients=[RECIPIENT], **about)


DELIVERED = event("Delivery", "delivery", recipients=["reader7@example.org"], smtpResponse="250 ok")
DELAYED = event("DeliveryDelay", "deliveryDelay", delayType="MailboxFull", delayedRecipients=[RECIPIENT])


@pytest.mark.parametrize(
    ("given", "expected", "hard", "detail"),
    [
        (event("Send", "send"), Report.TAKEN, False, ""),
        (DELIVERED, Report.DELIVERED, False, "250 ok"),
        (DELAYED, Report.TAKEN, False, "MailboxFull"),
        (bounce("Permanent", "NoEmail"), Report.BOUNCED, True, "NoEmail"),
        (bounce("Transient", "MailboxFull"), Report.BOUNCED, False, "MailboxFull"),
        (bounce("Undetermined", "Undetermined"), Report.BOUNCED, False, "Undetermined"),
        (bounce("Permanent", "Suppressed"), Report.REFUSED, True, "Suppressed"),
        (bounce("Permanent", "OnAccountSuppressionList"), Report.REFUSED, True, "OnAccountSuppressionList"),
        (complaint(complaintFeedbackType="abuse"), Report.COMPLAINED, False, "abuse"),
        (complaint(), Report.COMPLAINED, False, ""),
        (complaint(complaintSubType="OnAccountSuppressionList"), Report.REFUSED, True, "OnAccountSuppressionList"),
        (event("Reject", "reject", reason="Bad content"), Report.REFUSED, False, "Bad content"),
        (event("Rendering Failure", "failure", errorMessage="x is not there"), Report.REFUSED, False, "x is not there"),
        (event("RenderingFailure", "failure"), Report.REFUSED, False, ""),
    ],
)
def test_each_kind_of_event_says_what_became_of_the_message(
    given: dict[str, Any], expected: Report, hard: bool, detail: str
) -> None:
    found = one(report(given))
    assert (found.report, found.hard, found.detail) == (expected, hard, detail)
    assert (found.reader, found.address, found.issue) == (7, "reader7@example.org", "2016-04-22")
    assert found.at == dt.datetime(2016, 4, 22, 11, 58, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "given",
    [
        event("Open", "open"),
        event("Click", "click"),
        event("Subscription", "subscription"),
        event("SomethingNew"),
        complaint(complaintFeedbackType="not-spam"),
        {"eventType": "Send"},
        {"eventType": "Send", "mail": "x"},
        ["Send"],
        "Successfully validated SNS topic for Amazon SES event publishing.",
    ],
)
def test_what_tells_nothing_of_a_delivery_gives_nothing(given: Any) -> None:
    assert read(report(given), ARN) == ()


def test_a_notification_of_an_identity_has_no_tags_and_counts_by_its_address() -> None:
    mail = {name: value for name, value in MAIL.items() if name != "tags"}
    about = {"bounceType": "Permanent", "bouncedRecipients": [RECIPIENT]}
    found = one(report({"notificationType": "Bounce", "mail": mail, "bounce": about}))
    assert (found.report, found.reader, found.address, found.issue) == (Report.BOUNCED, None, "reader7@example.org", "")


@pytest.mark.parametrize("strange", [[], ["x"], ["-1"], ["1e3"], ["9" * 30], "7", [7.5], [None]])
def test_a_tag_that_is_no_number_names_nobody(strange: Any) -> None:
    given = {**event("Send"), "mail": {**MAIL, "tags": {"reader": strange}}}
    assert one(report(given)).reader is None


def test_a_report_that_comes_twice_has_one_name_and_two_reports_have_two() -> None:
    first = one(report(DELIVERED))
    again = one(report(DELIVERED, MessageId="another-0001", Timestamp="2016-04-22T12:00:30.000Z"))
    assert first.id == again.id
    assert first.id != one(report(event("Send"))).id
    two = event("Bounce", "bounce", feedbackId="f", bouncedRecipients=[RECIPIENT, {"emailAddress": "b@example.org"}])
    assert [found.id for found in read(report(two), ARN)] == ["f", "f/1"]


TRUE = signed(notice(event("Send")))


def changed(**changes: Any) -> HookCall:
    """Change a notification after it was signed."""
    return call({name: value for name, value in {**TRUE, **changes}.items() if value is not None})


@pytest.mark.parametrize(
    "forged",
    [
        call(b""),
        call(b"not json"),
        call(b"[" * 100_000),
        call([TRUE]),
        call({}),
        changed(Message=json.dumps(event("Bounce"))),
        changed(MessageId="another"),
        changed(Subject="another"),
        changed(Subject=None),
        changed(Timestamp="2016-04-22T11:59:31.000Z"),
        changed(Timestamp=None),
        changed(Type="SubscriptionConfirmation"),
        changed(Type="Message"),
        changed(Message=7),
        changed(Signature=None),
        changed(Signature=""),
        changed(Signature="not base64!"),
        changed(Signature=base64.b64encode(b"x" * 256).decode()),
        changed(SignatureVersion="2"),
        changed(SignatureVersion="3"),
        changed(SignatureVersion=None),
        changed(SigningCertURL=None),
        call(TRUE, pem=b"no certificate"),
    ],
)
def test_what_was_changed_after_it_was_signed_is_refused(forged: HookCall) -> None:
    with pytest.raises(ForgedFeedbackError) as refused:
        read(forged, ARN)
    assert "\n" not in str(refused.value)


def test_the_true_one_of_the_forgeries_is_read() -> None:
    assert one(changed()).report is Report.TAKEN


@pytest.mark.parametrize(
    "url",
    [
        CERTIFICATE.replace("https", "http"),
        CERTIFICATE.replace("amazonaws.com", "amazonaws.com.example.org"),
        CERTIFICATE.replace("sns.eu-west-1.amazonaws.com", "sns.evil.example.org"),
        CERTIFICATE.replace("sns.eu-west-1.", "evil.sns.eu-west-1."),
        CERTIFICATE.replace("sns.eu-west-1.", "s3.eu-west-1."),
        CERTIFICATE.replace("https://", "https://evil.example.org@"),
        CERTIFICATE.replace("https://", "https://evil.example.org/"),
        CERTIFICATE.replace(".com/", ".com:8443/"),
        CERTIFICATE + "?Action=GetEndpointAttributes",
        CERTIFICATE + "\n",
        CERTIFICATE.replace("SimpleNotificationService-", "../"),
        "https://sns.eu-west-1.amazonaws.com/?Action=x&y=SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem",
    ],
)
def test_a_certificate_from_anywhere_else_is_not_even_fetched(url: str) -> None:
    fetched: list[str] = []

    def fetch(address: str) -> bytes:
        fetched.append(address)
        return ses_topic.certificate()

    given = dataclasses.replace(report(event("Send"), SigningCertURL=url), fetch=fetch)
    with pytest.raises(ForgedFeedbackError, match="not at Amazon SNS"):
        read(given, ARN)
    assert fetched == []


def test_a_certificate_of_china_is_fetched() -> None:
    assert one(report(event("Send"), SigningCertURL=CERTIFICATE.replace(".com/", ".com.cn/"))).reader == 7


def test_without_a_way_to_fetch_the_certificate_nothing_is_believed() -> None:
    with pytest.raises(ForgedFeedbackError):
        read(dataclasses.replace(report(event("Send")), fetch=None), ARN)


@pytest.mark.parametrize("begins", [NOON - dt.timedelta(days=91), NOON + dt.timedelta(minutes=1)])
def test_a_certificate_that_is_not_valid_now_is_refused(begins: dt.datetime) -> None:
    with pytest.raises(ForgedFeedbackError, match="not valid then"):
        read(call(TRUE, pem=ses_topic.certificate(begins)), ARN)


def test_a_certificate_with_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    openssl = component("openssl")
    made = tmp_path / "certificate.pem"
    asked = f"req -x509 -newkey ed25519 -nodes -subj /CN=x -days 1 -keyout {tmp_path / 'key.pem'} -out {made}"
    subprocess.run([openssl, *asked.split()], check=True, capture_output=True)
    with pytest.raises(ForgedFeedbackError, match="RSA"):
        read(call(TRUE, pem=made.read_bytes()), ARN)


@pytest.mark.parametrize("topic", ["", ARN + "-2", "arn:aws:sns:eu-west-1:210987654321:weekly-mail"])
def test_a_strangers_topic_is_refused_though_amazon_signed_it(topic: str) -> None:
    with pytest.raises(ForgedFeedbackError, match="another topic"):
        read(report(event("Send")), topic)
    with pytest.raises(ForgedFeedbackError, match="another topic"):
        read(report(event("Send"), TopicArn=topic), ARN)


@pytest.mark.parametrize(
    ("minutes", "believed"), [(0, True), (60, True), (75, False), (-9, True), (-11, False), (60 * 24 * 365, False)]
)
def test_a_notification_is_believed_for_as_long_as_amazon_repeats_it(minutes: int, believed: bool) -> None:
    given = report(event("Send"), Timestamp=(NOON - dt.timedelta(minutes=minutes)).isoformat())
    if believed:
        assert one(given).reader == 7
    else:
        with pytest.raises(ForgedFeedbackError, match="too old"):
            read(given, ARN)


@pytest.mark.parametrize("text", ["", "yesterday", "2016-04-22T11:59:30"])
def test_a_notification_without_a_clear_time_is_refused(text: str) -> None:
    with pytest.raises(ForgedFeedbackError):
        read(report(event("Send"), Timestamp=text), ARN)


class TestSubscribing:
    @pytest.mark.parametrize("version", ["1", "2"])
    def test_the_request_to_confirm_reports_nothing_and_names_the_address_to_open(self, version: str) -> None:
        given = call(signed(ses_topic.confirmation(SignatureVersion=version)))
        assert read(given, ARN) == ()
        assert confirmation(given, ARN) == ses_topic.confirmation()["SubscribeURL"]

    def test_other_notices_are_no_request_to_confirm(self) -> None:
        assert confirmation(report(event("Send")), ARN) is None
        assert confirmation(call(signed(ses_topic.confirmation(Type="UnsubscribeConfirmation"))), ARN) is None

    def test_a_strangers_topic_is_not_confirmed(self) -> None:
        with pytest.raises(ForgedFeedbackError, match="another topic"):
            confirmation(call(signed(ses_topic.confirmation(TopicArn=ARN + "-2"))), ARN)

    @pytest.mark.parametrize("changes", [{"SubscribeURL": "https://evil.example.org/"}, {"Token": "x"}])
    def test_a_changed_one_is_refused(self, changes: dict[str, str]) -> None:
        with pytest.raises(ForgedFeedbackError):
            confirmation(call({**signed(ses_topic.confirmation()), **changes}), ARN)

    @pytest.mark.parametrize(
        "url", ["http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&x", "https://sns.evil.example.org/"]
    )
    def test_an_address_that_is_not_amazons_is_not_opened(self, url: str) -> None:
        with pytest.raises(ForgedFeedbackError, match="not Amazon's"):
            confirmation(call(signed(ses_topic.confirmation(SubscribeURL=url))), ARN)


@pytest.mark.parametrize(("version", "digest"), [("1", "-sha1"), ("2", "-sha256")])
def test_a_signature_that_openssl_made_is_right(tmp_path: Path, version: str, digest: str) -> None:
    openssl = component("openssl")
    pem = ses_topic.key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(pem)
    given = notice(event("Send"), SignatureVersion=version)
    said = "".join(f"{n}\n{given[n]}\n" for n in ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"))
    made = subprocess.run(
        [openssl, "dgst", digest, "-sign", str(tmp_path / "key.pem")],
        input=said.encode(),
        capture_output=True,
        check=True,
    )
    assert one(call({**given, "Signature": base64.b64encode(made.stdout).decode()})).reader == 7


def test_loading_the_carrier_does_not_load_cryptography() -> None:
    program = "import sys, newsletter.providers.registry; print('cryptography' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "False\n"
