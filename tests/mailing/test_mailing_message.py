"""Messages: what `email` reads in them is what was meant, for any text, any reader, any choice of subjects."""

from __future__ import annotations

import datetime as dt
import email
import email.header
import email.policy
import email.utils
import itertools
import re
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailing_house import NOON, House, edition, settings

from newsletter.edition.model import NAME, PREFERENCES, TOKENS, UNSUBSCRIBE, Edition, Piece, SubjectKeys
from newsletter.errors import NewsletterError
from newsletter.mailing import encode, headers, marks, message
from newsletter.mailing.message import Compiler
from newsletter.subscribers.tokens import Tokens

SECRET = b"a secret only the tests know"
KEY = "2016-04-22-weekly"


def compiler(issue: Edition | None = None, mark: str = "", **changes: object) -> Compiler:
    return Compiler(issue or edition(), settings(**changes), "weekly", SECRET, KEY, NOON, mark=mark)


def parse(data: bytes) -> EmailMessage:
    """Parse a message strictly, after seeing that every byte of it is fit for the wire."""
    assert re.search(rb"(?<!\r)\n|\r(?!\n)|\0|[\x80-\xff]", data) is None
    head, _, body = data.partition(b"\r\n\r\n")
    assert max(map(len, head.split(b"\r\n"))) <= 998
    lines = body.split(b"\r\n")
    encoded = [line for line in lines if not line.startswith((b"--=_", b"Content-"))]
    assert max(map(len, encoded)) <= 76
    assert not any(line.startswith((b".", b"From ")) or line.endswith((b" ", b"\t")) for line in encoded)
    parsed = email.message_from_bytes(data, policy=email.policy.SMTP)
    assert isinstance(parsed, EmailMessage)
    assert parsed.defects == []
    for part in parsed.walk():
        assert part.defects == []
    return parsed


def parts(data: bytes) -> tuple[str, str]:
    """Return the text and html of a message, with newlines as in an edition."""
    found = []
    for part, kind in zip(parse(data).iter_parts(), ("text/plain", "text/html"), strict=True):
        assert isinstance(part, EmailMessage)
        assert (part.get_content_type(), part.get_content_charset()) == (kind, "utf-8")
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        found.append(content.decode("utf-8").replace("\r\n", "\n"))
    return found[0], found[1]


def is_what_was_meant(made: Compiler, reader: int, name: str, chosen: frozenset[int] | None) -> None:
    issue = made.edition
    text, html = parts(made.compose(reader, f"reader{reader}@example.org", name, chosen).data)
    assert text == made.fill(issue.join_text(chosen), reader, name, html=False)
    assert html == made.fill(issue.join_html(chosen), reader, name, html=True)


def test_every_choice_of_subjects_parses_back_to_direct_substitution() -> None:
    made = compiler()
    for size in range(4):
        for chosen in itertools.combinations(range(3), size):
            is_what_was_meant(made, 7, "Zoë <b>& Co</b>", frozenset(chosen))
    is_what_was_meant(made, 7, "", None)


def test_the_name_is_escaped_in_html_and_plain_in_text() -> None:
    text, html = parts(compiler().compose(1, "a@example.org", 'A <script> & "B"').data)
    assert 'Dear A <script> & "B"' in text
    assert "Dear A &lt;script&gt; &amp; &quot;B&quot;" in html


def test_the_links_carry_the_readers_own_tokens() -> None:
    text, html = parts(compiler().compose(12, "a@example.org", "").data)
    tokens = Tokens(SECRET)
    for url in (f"leave/{tokens.leave(12, 'weekly')}", f"preferences/{tokens.preferences(12, 'weekly')}"):
        assert f"https://news.example.org/{url}\n" in text
        assert f'"https://news.example.org/{url}"' in html


awkward = st.sampled_from(
    [
        ".",
        "..",
        "From ",
        "=",
        "=3D",
        " ",
        "\t",
        "\n",
        "\n.",
        "\nFrom ",
        "\r\n",
        "é",
        "ش",
        "𝄞",
        "--=_",
        "x" * 80,
        *TOKENS,
    ]
)
content = st.lists(st.one_of(awkward, st.text(st.characters(exclude_categories=["Cs"]), max_size=200))).map("".join)
when = st.sampled_from(["", "", "S0", "S1", "ANY", "NONE", "LESS"])
pieces = st.lists(st.builds(Piece, content, when), min_size=1, max_size=6).map(tuple)
choice = st.frozensets(st.integers(0, 1))


@given(pieces, pieces, choice, st.text(st.characters(exclude_categories=["Cs"]), max_size=100))
def test_any_text_survives(html: tuple[Piece, ...], text: tuple[Piece, ...], chosen: frozenset[int], name: str) -> None:
    subjects = (SubjectKeys("A", frozenset("A")), SubjectKeys("B", frozenset("B")))
    issue = Edition("2016-04-22", "The week", "", "en", html, text, subjects, "ab" * 32)
    made = compiler(issue)
    got = parts(made.compose(3, "a@example.org", name, chosen).data)
    for part, joined, is_html in zip(
        got, (issue.join_text(chosen), issue.join_html(chosen)), (False, True), strict=True
    ):
        plain = "".join(_newlines(piece) for piece in _cut(issue, chosen, is_html=is_html))
        assert part == made.fill(plain, 3, name, html=is_html)
        assert joined.replace("\r", "").replace("\n", "") == plain.replace("\n", "")


def _cut(issue: Edition, chosen: frozenset[int], *, is_html: bool) -> list[str]:
    shown = issue.pieces(issue.html if is_html else issue.text, chosen)
    return [run for piece in shown for run in re.split(f"({'|'.join(TOKENS)})", piece.content)]


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_any_value_survives_on_its_own_lines(value: str) -> None:
    encoded = encode.quote_value(value)
    assert encoded == b"" or encoded.endswith(b"\r\n")
    assert all(len(line) <= 76 for line in encoded.split(b"\r\n"))
    part = email.message_from_bytes(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + encoded)
    decoded = part.get_payload(decode=True)
    assert isinstance(decoded, bytes)
    assert decoded.decode().replace("\r\n", "\n") == _newlines(value)


def test_the_same_reader_gets_the_same_bytes_on_every_attempt_and_another_reader_others() -> None:
    first, again = (compiler().compose(5, "a@example.org", "A", frozenset({1})) for _ in range(2))
    assert first == again
    other = compiler().compose(6, "a@example.org", "A", frozenset({1}))
    assert other.sender != first.sender
    assert parse(other.data)["Message-ID"] != parse(first.data)["Message-ID"]
    moved = Compiler(edition(), settings(), "press", SECRET, "2016-04-22-press", NOON).compose(5, "a@example.org", "A")
    assert parse(moved.data)["Message-ID"] != parse(first.data)["Message-ID"]


def test_many_choices_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message, "VARIANTS_KEPT", 2)
    made = compiler()
    for chosen in ({0}, {1}, {0}, {2}, {0, 1}, {0}):
        is_what_was_meant(made, 1, "A", frozenset(chosen))
        assert len(made._variants) <= 2


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
    # Between the encoded words of a name `email` of 3.11 puts a space, against RFC 2047, 6.2; its older reader does not.
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
    assert re.fullmatch("[a-z2-7]{32}", mark)
    names = ["2016-04-15-weekly", KEY]
    assert marks.who_bounced(SECRET, mark, names) == (KEY, 4711)
    assert marks.who_bounced(SECRET, mark.upper(), names) == (KEY, 4711)
    assert marks.who_bounced(SECRET, mark, ["2016-04-15-weekly"]) is None
    assert marks.who_bounced(b"another secret", mark, names) is None
    for forged in ("", "a" * 32, mark[:-1] + ("a" if mark[-1] != "a" else "b"), mark + "aaaaaaaa", "ä", "not base32!"):
        assert marks.who_bounced(SECRET, forged, names) is None


@given(st.integers(0, 2**63 - 1))
def test_every_return_path_reads_back(reader: int) -> None:
    made = marks.Marks(SECRET, KEY)
    assert made.read_bounce(made.bounce(reader)) == reader


def test_without_a_bounce_address_the_sender_gets_bounces_and_one_too_long_is_refused() -> None:
    assert compiler(bounce=None).compose(1, "a@example.org", "").sender == "weekly@example.org"
    assert len(compiler(bounce="b" * 31 + "@example.org").return_path(1).partition("@")[0]) == 64
    with pytest.raises(NewsletterError, match="use at most 31 characters"):
        compiler(bounce="b" * 32 + "@example.org")


def test_a_merge_holds_tokens_that_every_recipient_has_values_for() -> None:
    made = compiler()
    merge = made.merge(frozenset({1}))
    assert (merge.subject, merge.sender, merge.reply_to) == (
        "The week",
        "The Weekly <weekly@example.org>",
        "editors@example.org",
    )
    assert ("SYR" in merge.html, "BDI" in merge.html) == (True, False)
    recipient = made.recipient(5, "reader@bücher.example.org", "A <b>\r\n")
    assert (recipient.address, recipient.name) == ("reader@xn--bcher-kva.example.org", "A <b>")
    used = set(
        re.findall("__NL_[A-Z_]+?__", " ".join([merge.html, merge.text, *(value for _, value in merge.headers)]))
    )
    assert used == set(recipient.values) == {NAME, PREFERENCES, UNSUBSCRIBE, message.MESSAGE, message.UNSUBSCRIBE_TOKEN}
    assert not any(re.search("[\r\n]", value) for _, value in merge.headers)
    # Put together on the carrier's side, the headers are those of a message composed here.
    filled = dict(merge.headers)
    for token, value in recipient.values.items():
        filled = {name: header.replace(token, value) for name, header in filled.items()}
    composed = parse(made.compose(5, "a@example.org", "").data)
    assert filled == {name: composed[name] for name in filled}
    assert {"Message-ID", "List-Unsubscribe", "List-Id", "Feedback-ID", "Date"} <= filled.keys()


def test_a_sample_message_opens_nobodys_page(house: House) -> None:
    data = message.sample_message(edition(), house.project, dt.datetime(2016, 4, 22, tzinfo=dt.UTC))
    parsed = parse(data)
    assert str(parsed["To"]) == "Sample Reader <reader@example.org>"
    token = re.search(r"/leave/([^>]+)>", parsed["List-Unsubscribe"])
    assert token is not None
    with pytest.raises(NewsletterError, match="not complete"):
        Tokens(house.project.secret()).read_leave(token[1])
    assert b"press" in message.sample_message(edition(), house.project, NOON, "press")


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


def test_the_real_weeklies_survive(shared: Path) -> None:
    """Every text of the real weeklies, as html and as text."""
    texts = [path.read_text("utf-8", "replace") for path in sorted((shared / "seeds").glob("*.txt"))]
    assert texts
    for text in texts:
        clean = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
        issue = Edition("2016-04-22", "The week", "", "en", (Piece(clean),), (Piece(clean), Piece(NAME)), (), "ab" * 32)
        is_what_was_meant(compiler(issue), 1, "A", None)
