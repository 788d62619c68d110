from __future__ import annotations

import base64
import datetime as dt

import pytest

from newsletter.providers.feedback import ForgedFeedbackError, HookCall
from newsletter.providers.secret_address import check_secret

SECRET = "the/hook secret é"


def call(path: str = "", authorization: str = "") -> HookCall:
    url = f"https://news.example.org/hooks/brevo/{path}?x=1"
    return HookCall({"authorization": authorization}, b"{}", url, dt.datetime(2016, 4, 22, tzinfo=dt.UTC))


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


@pytest.mark.parametrize(
    "right",
    [call("the%2Fhook%20secret%20%C3%A9"), call("", basic(f"any:{SECRET}")), call("x", basic(f":{SECRET}"))],
)
def test_the_secret_is_the_last_part_of_the_path_or_the_password(right: HookCall) -> None:
    check_secret(right, SECRET, "brevo")


@pytest.mark.parametrize(
    "wrong",
    [
        call(),
        call("the%2Fhook%20secret"),
        call("the%2Fhook%20secret%20%C3%A9/more"),
        call("", basic("any:other")),
        call("", basic(SECRET)),
        call("", f"Bearer {SECRET}"),
        call("", "Basic"),
        call("", "Basic ???"),
        call("", "Basic é"),
        call("", "Basic /w=="),
    ],
)
def test_anything_else_is_forged(wrong: HookCall) -> None:
    with pytest.raises(ForgedFeedbackError, match=r"^brevo: a report came without the secret") as refused:
        check_secret(wrong, SECRET, "brevo")
    assert SECRET not in str(refused.value)


def test_no_secret_lets_nobody_in() -> None:
    with pytest.raises(ForgedFeedbackError):
        check_secret(call(""), "", "brevo")
