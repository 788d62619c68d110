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
from mailing_parsed import SECRET, compiler, parse

from newsletter.edition.model import NAME, TOKENS, Edition, Piece, SubjectKeys
from newsletter.errors import NewsletterError
from newsletter.mailing import encode, message
from newsletter.mailing.message import Compiler
from newsletter.subscribers.tokens import Tokens


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


def test_a_merge_holds_tokens_that_every_recipient_has_values_for() -> None:
    made = compiler()
    merge = made.merge(frozenset({1}))
    assert (merge.subject, merge.sender, merge.reply_to) == (
        "The week",
        "The Weekly <weekly@example.org>",
        "editors@example.org",
    )
    assert ("SYR" in merge.html, "BDI" in merge.html) == (True, False)
    (recipient,) = made.recipients(merge, [(5, "reader@bücher.example.org", "A <b>\r\n")])
    assert (recipient.address, recipient.name) == ("reader@xn--bcher-kva.example.org", "A <b>")
    used = set(
        re.findall("__NL_[A-Z_]+?__", " ".join([merge.html, merge.text, *(value for _, value in merge.headers)]))
    )
    assert (
        used
        == set(recipient.values)
        == {
            NAME,
            message.PREFERENCES_TOKEN,
            message.MESSAGE,
            message.UNSUBSCRIBE_TOKEN,
        }
    )
    assert not any(re.search("[\r\n]", value) for _, value in merge.headers)
    # Put together on the carrier's side, the headers are those of a message composed here.
    filled = dict(merge.headers)
    for token, value in recipient.values.items():
        filled = {name: header.replace(token, value) for name, header in filled.items()}
    composed = parse(made.compose(5, "a@example.org", "").data)
    assert filled == {name: composed[name] for name in filled}
    assert {"Message-ID", "List-Unsubscribe", "List-Id", "Feedback-ID", "Date"} <= filled.keys()


def test_a_sample_message_opens_nobodys_page(house: House) -> None:
    data = message.sample_copy(edition(), house.project, dt.datetime(2016, 4, 22, tzinfo=dt.UTC)).message
    parsed = parse(data)
    assert str(parsed["To"]) == "Sample Reader <reader@example.org>"
    token = re.search(r"/leave/([^>]+)>", parsed["List-Unsubscribe"])
    assert token is not None
    with pytest.raises(NewsletterError, match="not complete"):
        Tokens(house.project.secret()).read_leave(token[1])
    assert b"press" in message.sample_copy(edition(), house.project, NOON, "press").message


def test_the_real_weeklies_survive(shared: Path) -> None:
    """Every text of the real weeklies, as html and as text."""
    texts = [path.read_text("utf-8", "replace") for path in sorted((shared / "seeds").glob("*.txt"))]
    assert texts
    for text in texts:
        clean = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
        issue = Edition("2016-04-22", "The week", "", "en", (Piece(clean),), (Piece(clean), Piece(NAME)), (), "ab" * 32)
        is_what_was_meant(compiler(issue), 1, "A", None)
