from __future__ import annotations

import html
import re
from urllib.parse import urlsplit

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from newsletter.issue import prose


def test_paragraphs_emphasis_links_and_hard_breaks_are_rendered() -> None:
    text = "One *two* **three**\nfour [five](https://example.org/a)\\\nsix\n\nseven"
    assert prose.render(text) == (
        '<p>One <em>two</em> <strong>three</strong>\nfour <a href="https://example.org/a">five</a><br>\nsix</p>\n'
        "<p>seven</p>\n"
    )


def test_lists_keep_their_depth_and_their_first_number() -> None:
    soup = BeautifulSoup(prose.render("3. three\n4. four\n   - inner\n   - more"), "html.parser")
    assert soup.ol is not None
    assert soup.ol["start"] == "3"
    assert [item.get_text() for item in soup.select("ol > li > ul > li")] == ["inner", "more"]


def test_quotes_are_rendered() -> None:
    assert "<blockquote>\n<p>said</p>" in prose.render("> said")


def test_headings_stand_only_where_they_are_allowed() -> None:
    assert prose.render("# Part", headings=3) == "<h3>Part</h3>\n"
    assert prose.render("### Part\n\nPart\n----", headings=3) == "<h5>Part</h5>\n<h4>Part</h4>\n"
    assert prose.render("###### Part", headings=3) == "<h6>Part</h6>\n"
    assert prose.render("# Part\n\nPart\n----") == "<p># Part</p>\n<p>Part\n----</p>\n"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a <b>bold</b> <!-- comment --> word",
        '<img src="https://example.org/p.gif" onerror="x()">',
        "`code` and ``more``",
        "***\n\n---",
        "```\nfence\n```",
        "[label]: https://example.org",
        "[label]",
    ],
)
def test_everything_else_is_shown_as_the_characters_typed(text: str) -> None:
    rendered = prose.render(text)
    shown = BeautifulSoup(rendered, "html.parser").get_text()
    assert shown.split() == text.split()
    assert set(re.findall(r"<(\w+)", rendered)) <= {"p"}


def test_an_indented_line_is_a_paragraph_and_not_code() -> None:
    assert prose.render("    indented") == "<p>indented</p>\n"


def test_a_bare_address_is_no_link_but_one_in_angle_brackets_is() -> None:
    assert "<a" not in prose.render("see https://example.org now")
    assert prose.inline("<https://example.org/é>") == '<a href="https://example.org/é">https://example.org/é</a>'
    assert prose.inline("<editors@example.org>") == '<a href="mailto:editors@example.org">editors@example.org</a>'


def test_a_target_is_handed_on_exactly_as_written() -> None:
    target = "https://example.org/Ä%20b?x=1&y='2'&z=é#Part"
    soup = BeautifulSoup(prose.inline(f"[x]({target})"), "html.parser")
    assert soup.a is not None
    assert soup.a["href"] == target
    assert [link.href for link in prose.links(f"[x]({target})")] == [target]


def test_a_text_of_one_paragraph_is_inline_and_others_stay_blocks() -> None:
    assert prose.inline("a *b*") == "a <em>b</em>"
    assert prose.inline("- a") == prose.render("- a")
    assert prose.inline("a\n\nb") == prose.render("a\n\nb")


@pytest.mark.parametrize(
    "target",
    [
        "https://example.org",
        "HTTP://example.org:8080/a?b#c",
        "https://xn--bcher-kva.example/",
        "https://bücher.example/ä",
        "http://[2001:db8::1]/",
        "mailto:editors@example.org?subject=Hello",
        "#burundi",
        "#سوريا",
    ],
)
def test_targets_for_readers_are_allowed(target: str) -> None:
    assert prose.target_fault(target) is None


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("", "this link has no target"),
        ("#", "lacks the name of its anchor"),
        ("javascript:alert(1)", "not to 'javascript:'"),
        ("JavaScript:alert(1)", "not to 'JavaScript:'"),
        ("java\nscript:alert(1)", "the character U+000A"),
        ("\u202ehttps://example.org", "the character U+202E"),
        ("data:text/html,x", "not to 'data:'"),
        ("ftp://example.org/a", "not to 'ftp:'"),
        ("https://example.org/a b", "holds a space"),
        ("https:\\\\example.org", "holds a backslash"),
        ("www.example.org", "write https://www.example.org"),
        ("example.org/report", "write https://example.org/report"),
        ("//example.org/a", "write https://example.org/a"),
        ("editors@example.org", "write mailto:editors@example.org"),
        ("localhost:8000/a", "write it in full"),
        ("report", "write it in full"),
        ("http:///a", "names no host"),
        ("https:example.org", "names no host"),
        ("http://a..b/", "names no host"),
        ("http://[::1", "names no host"),
        ("http://example.org:99999/", "names no host"),
        ("http://exa%zz.org/", "browsers cannot read"),
        ("mailto:editors", "names no mailbox"),
        ("https://example.org/" + "x" * 100 + " y", "xxx..."),
    ],
)
def test_other_targets_are_refused_with_what_to_write(target: str, message: str) -> None:
    fault = prose.target_fault(target)
    assert fault is not None
    assert message in fault
    assert "\n" not in fault
    assert len(fault) < 200


def test_a_bad_link_is_a_fault_on_its_line() -> None:
    text = "One\ntwo [a](https://example.org\n'title')\nthree [b](javascript:x)\n\n- four\n- [c\n  d](example.org/x)"
    assert prose.faults(text) == (
        (3, "a link leads to http:, https:, mailto: or #anchor, not to 'javascript:'"),
        (6, "the link target 'example.org/x' is no web address; write https://example.org/x"),
    )


def test_a_bad_link_is_never_rendered_as_one() -> None:
    for target in ("javascript:alert(1)", "vbscript:x", "data:text/html,x", "file:///etc/passwd", "example.org"):
        assert "href" not in prose.render(f"[x]({target})")


def test_a_picture_in_a_text_is_refused_with_where_it_belongs() -> None:
    ((line, message),) = prose.faults("Look:\n![A hall](images/hall.jpg)")
    assert line == 1
    assert "figures" in message


def test_lists_nested_without_end_are_a_fault_and_lose_nothing_silently() -> None:
    assert prose.faults("> " * 10 + "deep") == ()
    ((line, message),) = prose.faults("One\n\n" + "> " * 5000 + "deep")
    assert line == 2
    assert "nested deeper" in message


@pytest.mark.parametrize(
    "part", ["[", "]", "[](", "![[", "**a", "*_a", "<http://", "> ", "- ", "&", "\\", "[a](b", "`"]
)
def test_ten_thousand_brackets_do_no_harm(part: str) -> None:
    text = part * (10_000 // len(part))
    prose.faults(text)
    assert isinstance(prose.render(text), str)


def test_links_know_their_neighbours() -> None:
    first, second, third = prose.links("word[glued](https://example.org/a)next\n[edge](#b), *see [in*side](#c)*")
    assert (first.label, first.line, first.before, first.after) == ("glued", 0, "d", "n")
    assert (second.label, second.line, second.before, second.after) == ("edge", 1, " ", ",")
    assert (third.label, third.before, third.after) == ("in*side", " ", "")
    (alone,) = prose.links("[alone](#a)")
    assert (alone.before, alone.after) == ("", "")


def test_plain_text_has_no_marks_and_one_line_per_block() -> None:
    text = "# Part\n\nA *b* [c](https://example.org)\nd\\\ne\n\n- one\n- two\n\n> said &amp; done"
    assert prose.plain(text, headings=True) == "Part\nA b c d e\none\ntwo\nsaid & done"
    assert prose.plain("# Part") == "# Part"


def test_the_text_part_keeps_lists_quotes_and_breaks() -> None:
    text = (
        "# Part\n\nA [b *c*](https://example.org) d\ne\\\nf\n\n9. nine\n10. ten\n    - in\n    - ner\n\n"
        "> said\n>\n> > again\n\n- loose\n\n  more\n- end"
    )
    made = prose.to_text(text, lambda label, href: f"{label} <{href}>", headings=True)
    assert made == (
        "Part\n\nA b c <https://example.org> d e\nf\n\n9. nine\n10. ten\n    * in\n    * ner\n\n"
        "> said\n>\n> > again\n\n* loose\n\n  more\n\n* end"
    )


@given(st.text(max_size=200))
def test_whatever_is_typed_is_rendered_with_known_tags_only(text: str) -> None:
    rendered = prose.render(text, headings=3)
    tags = {"p", "em", "strong", "a", "ul", "ol", "li", "blockquote", "br", "h3", "h4", "h5", "h6"}
    assert set(re.findall(r"<(\w+)", rendered)) <= tags
    prose.faults(text, headings=True)
    prose.plain(text)
    prose.to_text(text, lambda label, href: label + href)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), max_size=60))
def test_a_target_without_fault_survives_the_cleaner_exactly(path: str) -> None:
    target = f"https://example.org/{path}"
    if prose.target_fault(target) is None:
        escaped = re.sub("([<>&])", r"\\\1", target)
        cleaned = prose.inline(f"[x](<{escaped}>)")
        found = re.search(r'href="([^"]*)"', cleaned)
        assert found is not None
        assert html.unescape(found[1]) == target
        assert urlsplit(target).hostname == "example.org"
