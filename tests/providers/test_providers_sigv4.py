from __future__ import annotations

import datetime as dt
import re
import urllib.parse

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as TheirCredentials
from hypothesis import given
from hypothesis import strategies as st

from newsletter.providers.http import Request
from newsletter.providers.sigv4 import Credentials, signed

# The key of Amazon's published examples.
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
WHO = Credentials("AKIDEXAMPLE", SECRET)
MOMENT = dt.datetime(2015, 8, 30, 12, 36, tzinfo=dt.UTC)


def signature(request: Request) -> str:
    found = re.search("Signature=([0-9a-f]{64})$", request.headers["Authorization"])
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("method", "url", "expected"),
    [
        # "get-vanilla", "post-vanilla" and "get-vanilla-query-order-key-case" of the published test suite
        ("GET", "https://example.amazonaws.com/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "https://example.amazonaws.com", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "GET",
            "https://example.amazonaws.com/?Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
    ],
)
def test_the_published_examples_are_signed_as_published(method: str, url: str, expected: str) -> None:
    made = signed(Request(method, url), WHO, "us-east-1", "service", MOMENT)
    assert made.headers["X-Amz-Date"] == "20150830T123600Z"
    assert made.headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request,"
        f" SignedHeaders=host;x-amz-date, Signature={expected}"
    )


def test_the_worked_example_of_the_guide_is_signed_as_there() -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08"
    made = signed(Request("GET", url, kind), WHO, "us-east-1", "iam", MOMENT)
    assert signature(made) == "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"


HOSTS = [
    "email.eu-west-1.amazonaws.com",
    "email.eu-west-1.amazonaws.com:443",
    "127.0.0.1:8080",
    "localhost",
    "[::1]:5000",
]
EPOCH = dt.datetime(2000, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-5)))


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Draw requests as they could be sent: with a query or not, a port or not, letters of any kind."""
    words = st.text("abAB019 -_.~!*'()@+%éü☃", max_size=8).map(urllib.parse.quote)
    path = "".join(f"/{word}" for word in draw(st.lists(words.filter(lambda word: word.strip(".")), max_size=3)))
    query = "&".join(
        f"{name}={value}" for name, value in draw(st.lists(st.tuples(words.filter(bool), words), max_size=4))
    )
    url = draw(st.sampled_from(["http://", "https://"])) + draw(st.sampled_from(HOSTS)) + path
    headers = [("Content-Type", "application/json"), ("X-Zebra", " a  b "), ("Accept", "*/*")]
    method = draw(st.sampled_from(["GET", "POST"]))
    given = dict(draw(st.permutations(headers))[: draw(st.integers(0, 3))])
    return Request(method, f"{url}?{query}" if query else url, given, draw(st.binary(max_size=200)))


@given(requests(), st.sampled_from(["", "a/session+token=="]), st.integers(0, 2**31))
def test_amazons_own_signer_makes_the_same_signature(request: Request, token: str, seconds: int) -> None:
    now = EPOCH + dt.timedelta(seconds=seconds)
    ours = signed(request, Credentials("AKID", SECRET, token), "eu-west-1", "ses", now)
    moment = ours.headers["X-Amz-Date"]
    headers = {**request.headers, "X-Amz-Date": moment, **({"X-Amz-Security-Token": token} if token else {})}
    theirs = AWSRequest(request.method, request.url, headers, request.body)
    theirs.context["timestamp"] = moment
    signer = SigV4Auth(TheirCredentials("AKID", SECRET, token or None), "ses", "eu-west-1")
    said = signer.string_to_sign(theirs, signer.canonical_request(theirs))
    assert signature(ours) == signer.signature(said, theirs)
    assert dt.datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC) == now
    assert ours.body == request.body


def test_neither_the_secret_nor_the_token_shows() -> None:
    who = Credentials("AKIDEXAMPLE", SECRET, "lent-token")
    assert SECRET not in repr(who)
    assert "lent-token" not in repr(who)
    made = signed(Request("GET", "https://example.amazonaws.com/"), who, "us-east-1", "ses", MOMENT)
    assert SECRET not in repr(made)
    assert made.headers["X-Amz-Security-Token"] == "lent-token"
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token," in made.headers["Authorization"]
