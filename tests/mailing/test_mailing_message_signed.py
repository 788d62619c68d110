"""Signed messages: whatever is in them, dkimpy and OpenDKIM verify both signatures, and neither when a byte changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from dkim_verifiers import dkimpy_says, make_signer, opendkim_says, records
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from local_dns import LocalDns, local_dns
from mailing_house import NOON, edition, settings
from mailing_parsed import KEY, SECRET, parse
from test_mailing_message import choice, pieces

from newsletter.edition.model import Edition, Piece, SubjectKeys
from newsletter.mailing.message import Compiler
from newsletter.providers.base import Envelope
from newsletter.providers.dkim import Signer

SIGNED = {
    *("From", "To", "Subject", "Date", "Message-ID", "Reply-To", "MIME-Version", "Content-Type"),
    *("List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID"),
}
READABLE = st.text(st.characters(exclude_categories=["Cs"]), max_size=150)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return make_signer(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def server(signer: Signer) -> Iterator[LocalDns]:
    with local_dns(records(signer)) as made:
        yield made


def compiler(signer: Signer | None, issue: Edition | None = None) -> Compiler:
    return Compiler(issue or edition(), settings(), "weekly", SECRET, KEY, NOON, signer=signer)


def message(signer: Signer | None, name: str = "Ann", issue: Edition | None = None) -> Envelope:
    return compiler(signer, issue).compose(5, "ann@example.org", name, frozenset({1}))


@given(pieces, pieces, choice, READABLE, READABLE)
@effort(max_examples=60)
def test_any_text_name_and_subject_is_verified_by_dkimpy(
    signer: Signer,
    server: LocalDns,
    html: tuple[Piece, ...],
    text: tuple[Piece, ...],
    chosen: frozenset[int],
    name: str,
    subject: str,
) -> None:
    keys = (SubjectKeys("A", frozenset("A")), SubjectKeys("B", frozenset("B")))
    issue = Edition("2016-04-22", subject, "", "en", html, text, keys, "ab" * 32)
    data = compiler(signer, issue).compose(3, "a@example.org", name, chosen).data
    parse(data)
    assert dkimpy_says(data, server) == [True, True]


@given(st.data())
@effort(max_examples=60)
def test_a_message_with_one_byte_changed_is_not_verified(signer: Signer, server: LocalDns, data: st.DataObject) -> None:
    whole = message(signer).data
    head, _, body = whole.partition(b"\r\n\r\n")
    signed = {name.lower() for name in re.findall(rb"[^:\s]+", re.findall(rb"\bh=([^;]+);", head)[0])}
    lines = re.findall(rb"(?m)^([^:\s]+):((?:.|\n )*)", head)
    spans = [
        found.span(2) for found in re.finditer(rb"(?m)^([^:\s]+):((?:.|\n )*)", head) if found[1].lower() in signed
    ]
    assert len(spans) == 12 < len(lines)
    places = [place for span in spans for place in range(*span)] + list(range(len(head) + 4, len(head) + 4 + len(body)))
    place = data.draw(st.sampled_from([place for place in places if whole[place : place + 1].strip(b" \t\r\n")]))
    other = data.draw(st.sampled_from([c for c in b"abXYZ019" if c != whole[place]]))
    assert dkimpy_says(whole[:place] + bytes([other]) + whole[place + 1 :], server) == [False, False]


@pytest.mark.parametrize("name", ["", "Ann", "Zoë Räder-Łukasiewicz" * 8, 'A "B"  C', "."])
def test_opendkim_verifies_both_signatures_and_neither_of_a_changed_message(
    signer: Signer, server: LocalDns, name: str, tmp_path: Path
) -> None:
    whole = message(signer, name).data
    assert opendkim_says(whole, server, tmp_path) == {"rsa": "pass", "ed": "pass"}
    for old, new in ((b"Lead", b"Lean"), (b"leave/5", b"leave/6"), (b"The week", b"The weak")):
        assert opendkim_says(whole.replace(old, new, 1), server, tmp_path) == {"rsa": "fail", "ed": "fail"}


@pytest.mark.parametrize("name", ["From", "To", "Subject", "Date", "Reply-To", "Content-Type"])
def test_nobody_can_add_a_second_header_that_a_mail_program_might_show(
    signer: Signer, server: LocalDns, name: str
) -> None:
    assert dkimpy_says(f"{name}: other@example.com\r\n".encode() + message(signer).data, server) == [False, False]


def test_all_that_a_reader_acts_on_is_signed(signer: Signer) -> None:
    parsed = parse(message(signer).data)
    fields = parsed.get_all("DKIM-Signature")
    assert [re.findall(r"\b(a|c|d|s|t)=([^;\s]+)", field) for field in fields] == [
        [("a", f"{a}-sha256"), ("c", "relaxed/relaxed"), ("d", "example.org"), ("s", s), ("t", "1461326400")]
        for a, s in (("rsa", "rsa"), ("ed25519", "ed"))
    ]
    for field in fields:
        names = re.sub(r"\s", "", re.findall(r"\bh=([^;]+)", field)[0]).split(":")
        assert set(names) == SIGNED
        assert all(name in parsed for name in names)


def test_every_reader_of_every_choice_is_signed_by_one_compiler(signer: Signer, server: LocalDns) -> None:
    made = compiler(signer)
    for reader in range(3):
        for chosen in (frozenset({0}), frozenset({1, 2}), None):
            data = made.compose(reader, f"reader{reader}@example.org", f"Reader  {reader}", chosen).data
            assert dkimpy_says(data, server) == [True, True]


def test_the_same_reader_gets_the_same_bytes_on_every_attempt(signer: Signer) -> None:
    assert message(signer) == message(signer)
    assert message(signer, "Ben").data != message(signer).data


def test_signing_adds_its_fields_before_the_message_and_changes_nothing_else(signer: Signer) -> None:
    signed, plain = message(signer), message(None)
    assert signed.data.endswith(plain.data)
    assert signed._replace(data=b"") == plain._replace(data=b"")
    assert signed.data.removesuffix(plain.data).count(b"DKIM-Signature: ") == 2


def test_the_real_weeklies_are_verified(signer: Signer, server: LocalDns, shared: Path, tmp_path: Path) -> None:
    text = "\n\n".join(path.read_text("utf-8", "replace") for path in sorted((shared / "seeds").glob("*.txt"))[:5])
    piece = Piece(text.replace("\0", ""))
    whole = message(signer, issue=Edition("2016-04-22", "The week", "", "en", (piece,), (piece,), (), "ab" * 32)).data
    assert len(whole) > 50_000
    assert dkimpy_says(whole, server) == [True, True]
    assert opendkim_says(whole, server, tmp_path) == {"rsa": "pass", "ed": "pass"}
