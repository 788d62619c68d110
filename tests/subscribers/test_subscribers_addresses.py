from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from newsletter.errors import NewsletterError
from newsletter.subscribers.addresses import (
    ONLY_SMTPUTF8,
    AddressError,
    likely_domain,
    read_address,
    unwrap,
)
from newsletter.subscribers.names import read_language, read_name, shown


def accepted(address: str) -> bool:
    try:
        read_address(address)
    except AddressError:
        return False
    return True


def test_every_bad_address_of_the_isemail_set_is_refused(shared: Path) -> None:
    entries = json.loads((shared / "data/addresses/isemail.json").read_text("utf-8"))
    good = ("ISEMAIL_VALID_CATEGORY", "ISEMAIL_DNSWARN")
    bad = [one["address"] for one in entries if one["category"] not in good]
    assert len(bad) > 100
    # The set's own symbols for control characters are pictures (U+2400 and up); both forms must be refused.
    raw = [address.translate({0x2400 + code: code for code in range(0x20)}) for address in bad]
    stripped = {address for address in raw if address.strip() != address}
    assert [address for address in (*bad, *raw) if accepted(address) and address not in stripped] == []


def test_every_bad_address_of_the_flanker_set_is_refused(shared: Path) -> None:
    bad = json.loads((shared / "data/addresses/flanker.json").read_text("utf-8"))["invalid"]
    assert len(bad) > 80
    assert [address for address in bad if accepted(address)] == []


def test_the_ordinary_addresses_of_both_sets_are_accepted(shared: Path) -> None:
    isemail = json.loads((shared / "data/addresses/isemail.json").read_text("utf-8"))
    flanker = json.loads((shared / "data/addresses/flanker.json").read_text("utf-8"))["valid"]
    good = [one["address"] for one in isemail if one["category"] == "ISEMAIL_VALID_CATEGORY"]
    # Quoted parts, bare host names and address literals exist in standards and in attacks, not among readers.
    plain = [
        a for a in (*good, *flanker) if '"' not in a and "[" not in a and "<" not in a and "." in a.partition("@")[2]
    ]
    refused = [address for address in plain if not accepted(address)]
    assert len(plain) > 60
    assert all(re.search(r"[(]|[.]x?[0-9]+$", address) for address in refused)  # comments, numbers as domains


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann@example.org", "ANN@EXAMPLE.ORG"),
        ("ann@example.org", "  ann@example.org\u00a0"),
        ("ann@example.org", "\u200bann@example.org\ufeff"),
        ("full@example.org", "ｆｕｌｌ@example.org"),
        ("user@münchen.example", "user@xn--mnchen-3ya.example"),
        ("user@münchen.example", "user@MU\u0308NCHEN.example"),
        ("jürgen@example.org", "JU\u0308RGEN@example.org"),
        ("info@example.org", "INFO@example.org"),
    ],
)
def test_spellings_of_one_address_fold_to_the_same(one: str, other: str) -> None:
    assert read_address(one).folded == read_address(other).folded


def test_domains_that_differ_only_by_case_folding_stay_two() -> None:
    assert read_address("u@faß.de").folded != read_address("u@fass.de").folded


def test_an_address_is_kept_as_its_reader_writes_it_with_the_domain_in_lower_case() -> None:
    assert read_address("Ann.Berg@Example.ORG").text == "Ann.Berg@example.org"
    assert read_address("user@xn--mnchen-3ya.example").text == "user@münchen.example"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("", "there is no address; write it like name@example.org"),
        ("zero\u200bwidth@example.org", "zero<U+200B>width@example.org' is not an address mail can be sent to"),
        ("nbsp\u00a0@example.org", "is not an address"),
        ("\u202euser@example.org", "<U+202E>user@example.org"),
        ("a\r\nBcc: x@example.org", "a<U+000D><U+000A>Bcc: x@example.org"),
        ("a\0@example.org", "<U+0000>"),
        ("a@localhost", "is not an address"),
        ("a" * 65 + "@example.org", "too long"),
        ("a" * 60 + "@" + "b." * 120 + "example.org", "is not an address"),
        (".a@example.org", "is not an address"),
    ],
)
def test_what_is_no_address_is_refused_in_one_visible_line(address: str, reason: str) -> None:
    with pytest.raises(AddressError) as caught:
        read_address(address)
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()


LETTERS = st.sampled_from("aZ0.+-_'=!é@ \"()<>xn.")


@given(
    st.builds(
        "{}@{}".format,
        st.text(LETTERS, max_size=70),
        st.sampled_from(["example.org", "EXAMPLE.org", "a..b", "é.fr", "x"]),
    )
)
def test_the_short_cut_for_plain_addresses_agrees_with_the_validator(address: str) -> None:
    try:
        expected = validate_email(address.strip(), check_deliverability=False, strict=True).normalized
    except EmailNotValidError:
        assert not accepted(address)
    else:
        assert read_address(address).text == expected


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("gmail.con", "gmail.com"),
        ("gmial.com", "gmail.com"),
        ("gmai.com", "gmail.com"),
        ("gmaill.com", "gmail.com"),
        ("hotmial.com", "hotmail.com"),
        ("hotnail.com", "hotmail.com"),
        ("gmaill.con", "gmail.com"),
        ("yahoo.co", "yahoo.com"),
        ("outlok.com", "outlook.com"),
        ("example.ogr", "example.org"),
        ("gmail.com", None),
        ("mail.com", None),
        ("ymail.com", None),
        ("example.org", None),
        ("gmx.at", None),
        ("gov.uk", None),
    ],
)
def test_a_slip_in_a_well_known_domain_is_hinted_at(typed: str, meant: str | None) -> None:
    assert likely_domain(typed) == meant


def test_a_hint_refuses_nothing_and_changes_nothing() -> None:
    found = read_address("ann@gmial.com")
    assert (found.text, found.hints) == ("ann@gmial.com", ("did you mean gmail.com?",))


def test_what_was_read_differently_or_needs_an_extension_is_said() -> None:
    assert read_address("ｆｕｌｌ@example.org").hints == ("read as full@example.org",)
    assert read_address("jürgen@example.org").hints == (ONLY_SMTPUTF8,)
    assert read_address("ann@münchen.example").hints == ()


@pytest.mark.parametrize(
    ("cell", "name", "address"),
    [
        ("Nea Nord <nea@example.org>", "Nea Nord", "nea@example.org"),
        ('"Nord, Nea" <nea@example.org>', "Nord, Nea", "nea@example.org"),
        ("<nea@example.org>", "", "nea@example.org"),
        ("mailto:nea@example.org", "", "nea@example.org"),
        ("MAILTO:nea%2Bnews@example.org?subject=Hi", "", "nea+news@example.org"),
        ("Nea <mailto:nea@example.org>", "Nea", "nea@example.org"),
        ("nea@example.org", "", "nea@example.org"),
        ("a <b> <c>", "", "a <b> <c>"),
    ],
)
def test_an_address_is_taken_out_of_its_wrapping(cell: str, name: str, address: str) -> None:
    assert unwrap(cell) == (name, address)


@pytest.mark.parametrize("break_", ["\r", "\n", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\x1c"])
def test_a_name_with_any_kind_of_line_break_is_refused(break_: str) -> None:
    with pytest.raises(NewsletterError, match="holds a line break") as caught:
        read_name(f"Ann{break_}Bcc: x@example.org")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("letter", ["\0", "\t", "\x1b", "\x7f", "\u202e", "\u2066", "\ud800", "\ufffe"])
def test_a_name_with_a_hidden_character_is_refused_with_its_number(letter: str) -> None:
    with pytest.raises(NewsletterError, match=f"U\\+{ord(letter):04X}; delete it"):
        read_name(f"Ann{letter}Berg")


def test_names_in_every_script_are_kept_and_composed() -> None:
    for name in ("Åke Öberg", "محمد", "नेहा", "O'Brien", "李雷", "Jean-Luc d’Été", "می\u200cخواهم"):
        assert read_name(f" {name}  ") == name
    assert read_name("A\u030ake") == "Åke"


def test_a_name_as_long_as_a_page_is_refused() -> None:
    with pytest.raises(NewsletterError, match="longer than 200 letters"):
        read_name("x" * 201)


def test_languages_are_written_in_their_usual_spelling() -> None:
    assert [read_language(text) for text in ("EN", " fr ", "pt-br", "zh-hant", "")] == [
        "en",
        "fr",
        "pt-BR",
        "zh-hant",
        "",
    ]
    with pytest.raises(NewsletterError, match="'English language' is not a language; write its code"):
        read_language("English language")


def test_what_is_shown_is_visible_and_short() -> None:
    assert shown("a\u200bb\n") == "a<U+200B>b<U+000A>"
    assert shown("x" * 61) == "x" * 60 + "…"
    assert shown("x" * 60) == "x" * 60
