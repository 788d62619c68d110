"""Lines of 72 columns in every script, with links that stay whole."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.edition.plaintext import WIDTH, ascii_address, columns, text_prose, tidy, wrap

LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"


def test_lines_are_wrapped_at_72_columns() -> None:
    lines = wrap(LONG).split("\n")
    assert [len(line) <= WIDTH for line in lines] == [True, True]
    assert len(lines[0]) > WIDTH - 10
    assert " ".join(lines) == LONG


def test_bullets_numbers_and_indents_hang() -> None:
    for bullet in ("* ", "- ", "10. ", "3) ", "[1] ", "  * "):
        first, second = wrap(bullet + LONG).split("\n")
        assert first.startswith(f"{bullet}one")
        assert re.match(rf" {{{len(bullet)}}}\S", second)


def test_a_quotes_mark_stands_before_each_of_its_lines() -> None:
    lines = wrap(f"> > * {LONG}\n>").split("\n")
    assert lines[0].startswith("> > * one")
    assert lines[1].startswith("> >   ")
    assert lines[2] == ">"


def test_what_comes_first_is_given_once_and_hangs() -> None:
    assert wrap("a\n\nb", "* ") == "* a\n\n  b"
    assert all(len(line) <= WIDTH for line in wrap(LONG, "    * ").split("\n"))


def test_an_address_is_never_broken() -> None:
    address = "https://example.org/" + "a-b/" * 40
    assert address in wrap(f"{LONG} {address} {LONG}").split("\n")
    assert f"* {address}" in wrap(f"* {address}").split("\n")


def test_words_at_a_no_break_space_stay_together() -> None:
    text = f"{'x' * 66} 345\N{NO-BREAK SPACE}cases"
    assert wrap(text) == f"{'x' * 66}\n345\N{NO-BREAK SPACE}cases"


def test_chinese_breaks_between_ideographs_but_not_before_a_full_stop() -> None:
    text = "联合国安全理事会" * 10 + "。" + "代表们" * 8
    lines = wrap(text).split("\n")
    assert all(columns(line) <= WIDTH + 2 for line in lines)
    assert "".join(lines) == text
    assert not any(line.startswith("。") for line in lines)
    edge = "字" * 36 + "。「字」"
    assert wrap(edge).split("\n") == ["字" * 35, "字。「字」"]


def test_arabic_breaks_at_spaces_and_its_marks_take_no_room() -> None:
    text = " ".join(["السُّودان"] * 20)
    assert columns("السُّودان") == 7
    lines = wrap(text).split("\n")
    assert " ".join(lines) == text
    assert all(columns(line) <= WIDTH for line in lines)
    assert max(columns(line) for line in lines) > 60


@given(
    st.lists(st.text("abc é*->1. 字。\N{NO-BREAK SPACE}", max_size=90), max_size=5), st.sampled_from(["", "* ", "    "])
)
def test_wrapping_changes_nothing_but_spaces_and_line_breaks(lines: list[str], first: str) -> None:
    text = "\n".join(lines)
    wrapped = wrap(text, first)

    def bare(value: str) -> str:
        return re.sub(r"[ \n>]", "", value)

    assert bare(wrapped) == bare(first + text)


def test_links_are_numbered_and_listed_under_their_block() -> None:
    text = "The government [released](https://example.org/a) 83 people and [met](https://example.org/b) the envoy."
    assert text_prose(text, "* ") == (
        "* The government released\N{NO-BREAK SPACE}[1] 83 people and met\N{NO-BREAK SPACE}[2] the envoy.\n"
        "  [1] https://example.org/a\n"
        "  [2] https://example.org/b"
    )


def test_each_block_numbers_its_links_from_one() -> None:
    assert "[1] https://example.org/b" in text_prose("see [b](https://example.org/b)")


def test_the_same_address_keeps_its_number() -> None:
    text = text_prose("[a](https://example.org/x) and [b](https://example.org/x)").replace("\N{NO-BREAK SPACE}", " ")
    assert text == "a [1] and b [1]\n[1] https://example.org/x"


def test_an_address_that_is_its_own_label_stands_in_place() -> None:
    assert text_prose("<https://example.org/a> or <mailto:e@example.org>") == "https://example.org/a or e@example.org"
    assert text_prose("[e@example.org](mailto:e@example.org)") == "e@example.org"


def test_a_link_to_a_place_in_the_mail_is_its_label() -> None:
    assert text_prose("see [Burundi](#burundi)") == "see Burundi"


def test_the_list_of_links_stands_apart_from_several_paragraphs() -> None:
    text = text_prose("# Title\n\nOne [a](https://example.org/a).\n\n* two\n* three\n", headings=True)
    assert text == "Title\n\nOne a\N{NO-BREAK SPACE}[1].\n\n* two\n* three\n\n[1] https://example.org/a"


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://example.org/a'b(c)?d=e&f=%20#g", "https://example.org/a'b(c)?d=e&f=%20#g"),
        ("https://bücher.example/é", "https://xn--bcher-kva.example/%C3%A9"),
        ("https://u@BÜCHER.example:8443/?q=ü#ß", "https://u@xn--bcher-kva.example:8443/?q=%C3%BC#%C3%9F"),
        ("https://example.org/%C3%A9/é", "https://example.org/%C3%A9/%C3%A9"),
        ("mailto:jörg@example.org", "mailto:j%C3%B6rg@example.org"),
        (f"https://{'ü' * 70}.example/", f"https://{'%C3%BC' * 70}.example/"),
        ("https://[ü/", "https://[%C3%BC/"),
    ],
)
def test_addresses_are_written_in_ascii(written: str, sent: str) -> None:
    assert ascii_address(written) == sent
    assert ascii_address(sent) == sent


def test_a_rendered_part_has_no_trailing_spaces_and_single_blank_lines() -> None:
    assert tidy("\n\na  \n \n\t\n\nb\n\n\n") == "a\n\nb\n"
