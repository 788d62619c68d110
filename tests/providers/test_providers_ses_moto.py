"""Amazon SES as moto plays it: a server that knows nothing of this project.

moto has no SendBulkEmail of the second API; what it can do is to render a template, by Amazon's first API.
"""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.core import DEFAULT_ACCOUNT_ID
from moto.server import ThreadedMotoServer
from moto.ses.models import ses_backends
from provider_contract import SECRET, batch, envelope
from ses_server import ACCESS_KEY, REGION

from newsletter.providers.base import Outcome, ProviderStoppedError
from newsletter.providers.ses import Ses, SesSettings
from newsletter.providers.ses_bulk import SesBulk, SesBulkSettings

GIVEN = {"region": REGION, "access_key": ACCESS_KEY, "key": "env:AWS_SECRET_ACCESS_KEY"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def client(service: str, url: str) -> Any:
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET,
        config=Config(proxies={}),
    )


@pytest.fixture
def carrier(url: str) -> Iterator[Ses]:
    amazon = client("sesv2", url)
    amazon.create_email_identity(EmailIdentity="example.org")
    carrier = Ses(SesSettings.model_validate({**GIVEN, "name": "ses", "base_url": url}), SECRET)
    yield carrier
    carrier.close()
    amazon.delete_email_identity(EmailIdentity="example.org")
    amazon.close()


def stored() -> list[Any]:
    return ses_backends[DEFAULT_ACCOUNT_ID][REGION].sent_messages


def test_what_moto_keeps_is_what_was_sent_byte_for_byte(carrier: Ses) -> None:
    stored().clear()
    receipts = [carrier.deliver(envelope(reader)) for reader in range(1, 6)]
    assert [receipt.outcome for receipt in receipts] == [Outcome.ACCEPTED] * 5
    assert [kept.raw_data.encode() for kept in stored()] == [envelope(reader).data for reader in range(1, 6)]
    assert [kept.id for kept in stored()] == [receipt.reference for receipt in receipts]
    assert {address for kept in stored() for address in kept.destinations} == {
        f"reader{reader}@example.org" for reader in range(1, 6)
    }


def test_a_sender_that_is_not_verified_stops_the_run(carrier: Ses) -> None:
    stored().clear()
    strange = envelope(1)._replace(data=b"From: weekly@example.net\r\nSubject: x\r\n\r\nx\r\n")
    with pytest.raises(ProviderStoppedError, match="MessageRejected"):
        carrier.deliver(strange)
    assert stored() == []


def test_what_moto_renders_is_what_every_reader_of_a_batch_is_to_get(url: str) -> None:
    carrier = SesBulk(SesBulkSettings.model_validate({**GIVEN, "name": "ses-bulk"}), SECRET)
    text = "Dear __NL_NAME__, 100 %} {{name}} \\{{x}} {__NL_NAME__} leave: __NL_UNSUBSCRIBE__"
    page = '<p>{__NL_NAME__} {{name}} <a href="__NL_UNSUBSCRIBE__">leave</a></p>'
    sent = batch(text=text, html=page, names="<b>R & D {}</b>")
    given = json.loads(carrier.build(sent).body)
    content = given["DefaultContent"]["Template"]["TemplateContent"]
    parts = {"SubjectPart": content["Subject"], "TextPart": content["Text"], "HtmlPart": content["Html"]}
    amazon = client("ses", url)
    amazon.create_template(Template={"TemplateName": "batch", **parts})
    for reader, entry in zip(sent.recipients, given["BulkEmailEntries"], strict=True):
        data = entry["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"]
        rendered = amazon.test_render_template(TemplateName="batch", TemplateData=data)["RenderedTemplate"]
        expected_text, expected_page = text, page
        for token, value in reader.values.items():
            expected_text = expected_text.replace(token, value)
            expected_page = expected_page.replace(token, html.escape(value))
        assert expected_text in rendered
        assert expected_page in rendered
    amazon.close()
