"""Headers: whole for any length, encoded for any name, opaque to all but us."""

from __future__ import annotations

import email
import email.header
import email.policy
import email.utils
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailing_house import NOON, edition, settings
from mailing_parsed import KEY, SECRET, compiler, parse

from newsletter.edition.model import Edition
from newsletter.errors import NewsletterError
from newsletter.mailing import encode, headers, marks
from newsletter.mailing.message import Compiler
from newsletter.subscribers.tokens import Tokens


def test_the_headers_are_those_that_inboxes_ask_for() -> None:
    parsed = parse(compiler().compose(9, "reader9@example.org", "Reader Nine").data)
    leave = Tokens(SECRET).leave(9, "weekly")
    expected = {
        "From": "The Weekly <weekly@example.org>",
        "To": "Reader Nine <reader9@example.org>",
        "Reply-To": "editors@example.org",
        "Subject": "The week",
        "Date": "Fri, 22 Apr 2016 12:00:00 +0000",
        "List-Id": "The Weekly <weekly.news.example.org>",
        "List-Unsubscribe": f"<https://news.example.org/leave/{leave}>,"
        f" <mailto:editors@example.org?subject=unsubscribe%20{leave}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "List-Archive": "<https://news.example.org/archive/index.html>",
        "List-Help": "<mailto:editors@example.org?subject=help>",
        "List-Owner": "<mailto:editors@example.org>",
        "Feedback-ID": "2016-04-22:weekly:newsletter:exampleorg",
        "Precedence": "list",
        "Content-Language": "en",
        "MIME-Version": "1.0",
    }
    assert {name: str(parsed[name]) for name in expected} == expected
    assert re.fullmatch(r"<[0-9a-f]{32}@example\.org>", parsed["Message-ID"])
    assert parsed.get_content_type() == "multipart/alternative"
    assert parsed.get_boundary("").startswith("=_")
    assert set(parsed.keys()) == {*expected, "Message-ID", "Content-Type"}
    assert len(parsed.keys()) == len(set(parsed.keys()))


@pytest.mark.parametrize("length", [*range(28, 120, 9), 300, 500, 700, 800])
def test_long_addresses_stay_whole_in_structured_headers(length: int) -> None:
    url = "https://news.example.org/" + "a" * (length - 25)
    parsed = parse(compiler(url=url).compose(9, "reader9@example.org", "Reader").data)
    link, mail = re.findall("<([^>]*)>", parsed["List-Unsubscribe"])
    assert link == f"{url}/leave/{Tokens(SECRET).leave(9, 'weekly')}"
    assert mail.startswith("mailto:editors@example.org?")
    assert parsed["List-Archive"] == f"<{url}/archive/index.html>"


@given(st.integers(20, 900))
def test_an_unsubscribe_address_of_any_length_parses_back(length: int) -> None:
    url = "https://e.org/" + "x" * (length - 14)
    assert len(url) == length
    raw = headers.lines(headers.unsubscribe("mailto:a@example.org?subject=", url, "t"))
    parsed = email.message_from_bytes(raw + b"\r\n", policy=email.policy.SMTP)
    assert parsed["List-Unsubscribe"] == f"<{url}>, <mailto:a@example.org?subject=t>"
    assert b"=?" not in raw


def test_an_address_too_long_for_a_header_is_refused_before_a_send() -> None:
    with pytest.raises(NewsletterError, match=r"newsletter\.yaml: url: the address is too long"):
        compiler(url="https://news.example.org/" + "a" * 900)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("Reader", "Reader <a@example.org>"),
        ("", "a@example.org"),
        ("Weiss, Anna (OHCHR)", '"Weiss, Anna (OHCHR)" <a@example.org>'),
        ('Anna "Nan" \\ Weiss', '"Anna \\"Nan\\" \\\\ Weiss" <a@example.org>'),
        ("a@b.example", '"a@b.example" <a@example.org>'),
        ("Evil\r\nBcc: all@example.org", '"Evil Bcc: all@example.org" <a@example.org>'),
        ("Tab\x0b\u2028\x85\x00", "Tab <a@example.org>"),
    ],
)
def test_a_name_is_bare_or_quoted(name: str, header: str) -> None:
    assert encode.mailbox(name, "a@example.org") == header


@given(st.text(max_size=300))
def test_any_name_parses_back_and_starts_no_header(name: str) -> None:
    data = compiler().compose(1, "a@example.org", name).data
    parsed = parse(data)
    assert len(parsed.get_all("To", [])) == 1
    assert parsed["Bcc"] is None
    address = parsed["To"].addresses[0]
    assert address.addr_spec == "a@example.org"
    wanted = encode.clean(name)
    # RFC 2047 drops nothing, but `email` folds runs of white space around encoded words.
    assert re.sub(r"\s+", "", address.display_name) == re.sub(r"\s+", "", wanted)


@pytest.mark.parametrize("name", ["Zoë Müller", "Жанна д’Арк " * 12, "名" * 100, "=?utf-8?q?no?=", "x" * 70, "مرحبا"])
def test_a_name_beyond_ascii_is_encoded_by_lines_that_fit(name: str) -> None:
    data = compiler().compose(1, "a@example.org", name).data
    to = data.partition(b"\r\nMessage-ID")[0].split(b"\r\n")
    assert max(map(len, to)) <= 76
    assert parse(data)["To"].addresses[0].addr_spec == "a@example.org"
    # Between encoded words `email` of 3.11 puts a space, against RFC 2047, 6.2; its older reader does not.
    written = b"".join(to).removeprefix(b"To: ").rpartition(b" <")[0].decode("ascii")
    assert str(email.header.make_header(email.header.decode_header(written))) == name.strip()


@pytest.mark.parametrize("subject", ["Plain", "Ünïcode — dash", "Syrie : l’école " * 20, "=?utf-8?b?AAAA?=", "y" * 950])
def test_any_subject_parses_back(subject: str) -> None:
    issue = edition()
    changed = Edition(issue.slug, subject, "", issue.language, issue.html, issue.text, issue.subjects, issue.digest)
    assert parse(compiler(changed).compose(1, "a@example.org", "").data)["Subject"] == subject.strip()


def test_a_test_message_is_marked() -> None:
    marked = compiler(mark="[Test] ")
    assert parse(marked.compose(0, "a@example.org", "").data)["Subject"] == "[Test] The week"
    assert marked.merge().subject == "[Test] The week"


def test_international_domains_travel_as_ascii() -> None:
    made = compiler(url="https://bücher.example.org:8443/über/", sender={"name": "Bücher", "address": "a@example.org"})
    envelope = made.compose(1, "reader@bücher.example.org", "A")
    assert envelope.recipient == "reader@xn--bcher-kva.example.org"
    parsed = parse(envelope.data)
    assert parsed["To"].addresses[0].addr_spec == envelope.recipient
    assert parsed["List-Unsubscribe"].startswith("<https://xn--bcher-kva.example.org:8443/%C3%BCber/leave/1.weekly.")
    assert parsed["From"].addresses[0].display_name == "Bücher"
    assert parsed["List-Id"].endswith("<weekly.xn--bcher-kva.example.org>")
    assert encode.ascii_url("https://bücher.example.org/a") == "https://xn--bcher-kva.example.org/a"


def test_a_list_title_that_would_need_encoded_words_is_left_out_of_the_list_id() -> None:
    made = compiler(lists={"weekly": {"title": "Wöchentlich"}})
    assert parse(made.compose(1, "a@example.org", "").data)["List-Id"] == "<weekly.news.example.org>"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("жанна@example.org", "before the @"),
        ("a@exa mple.org", "a space"),
        ("a b@example.org", "a space"),
        ("a\r\n@example.org", "a space"),
        ("a@☃☃.org", "not a domain"),
        ("a@" + "ü" * 80 + ".org", "not a domain"),
        ("nobody", "no e-mail address"),
        ("@example.org", "no e-mail address"),
    ],
)
def test_an_address_that_cannot_be_reached_says_why(address: str, why: str) -> None:
    said = encode.unreachable(address)
    assert said is not None
    assert said.startswith("not reachable: ")
    assert why in said


def test_reachable_addresses_are_let_through() -> None:
    for address in ("a@example.org", "o'neil+news@example.org", "a@bücher.example.org", '"a,b"@example.org'):
        assert encode.unreachable(address) is None


def test_the_return_path_is_opaque_and_only_we_can_read_it() -> None:
    sender = compiler().compose(4711, "a@example.org", "").sender
    local, _, domain = sender.partition("@")
    assert domain == "example.org"
    mark = local.removeprefix("bounces+")
    assert re.fullmatch("[0-9a-f]{32}", mark)
    names = ["2016-04-15-weekly", KEY]
    assert marks.who_bounced(SECRET, mark, names) == (KEY, 4711)
    assert marks.who_bounced(SECRET, mark.upper(), names) == (KEY, 4711)
    assert marks.who_bounced(SECRET, mark, ["2016-04-15-weekly"]) is None
    assert marks.who_bounced(b"another secret", mark, names) is None
    for forged in (
        "",
        "a" * 32,
        mark[:-1] + ("a" if mark[-1] != "a" else "b"),
        mark + "aaaaaaaa",
        "ä",
        "not hexadecimal!",
    ):
        assert marks.who_bounced(SECRET, forged, names) is None


@given(st.integers(0, 2**63 - 1))
def test_every_return_path_reads_back(reader: int) -> None:
    made = marks.Marks(SECRET, KEY)
    assert made.read_bounce(made.both(reader)[1]) == reader
    assert made.message(reader) == made.both(reader)[0]


def test_without_a_bounce_address_the_sender_gets_bounces_and_one_too_long_is_refused() -> None:
    assert compiler(bounce=None).compose(1, "a@example.org", "").sender == "weekly@example.org"
    assert (
        len(compiler(bounce="b" * 31 + "@example.org").compose(1, "a@example.org", "").sender.partition("@")[0]) == 64
    )
    with pytest.raises(NewsletterError, match="use at most 31 characters"):
        compiler(bounce="b" * 32 + "@example.org")


def test_a_list_that_is_not_there_is_refused() -> None:
    with pytest.raises(NewsletterError, match="there is no list 'monthly'; the lists are: weekly, press"):
        Compiler(edition(), settings(), "monthly", SECRET, KEY, NOON)


def test_a_header_that_would_not_be_legal_is_refused() -> None:
    for value in ("a\r\nBcc: all@example.org", "ü", "a\0"):
        with pytest.raises(NewsletterError, match="the header X cannot be written"):
            headers.lines([("X", value)])
    with pytest.raises(NewsletterError, match="the header X is longer than 998"):
        headers.lines([("X", "a" * 996)])
    assert headers.lines([("X", "a" * 995)]) == b"X: " + b"a" * 995 + b"\r\n"
