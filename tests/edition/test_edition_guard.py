"""The guard finds what inliners really damage, and lets a page pass that says the same."""

from __future__ import annotations

import pytest

from newsletter.edition import guard, inline
from newsletter.edition.model import UNSUBSCRIBE
from newsletter.errors import NewsletterError


def page(body: str, head: str = "<style>p { color: red }</style>", doctype: str = "<!DOCTYPE html>") -> str:
    top = f'{doctype}\n<html lang="en"><head><meta charset="utf-8"><title>T</title>{head}</head>'
    return f"{top}<body>{body}</body></html>\n"


def damage(before: str, after: str | None = None) -> str:
    """Return what the guard says about a page that premailer really inlined (or that `after` gives)."""
    with pytest.raises(NewsletterError, match=r"^weekly\.html: [^\n]+$") as caught:
        guard.compare(before, inline.inline(before) if after is None else after, "weekly.html")
    return str(caught.value).removeprefix("weekly.html: ")


WHOLE = (
    "<!--[if mso]><table><tr><td><![endif]--><p id='p'>a &amp; b &nbsp; “é” ع<br> <br/> &lt;i&gt; </p>"
    "<!--[if !mso]><!--><p>a</p><!--<![endif]--><!--__NL_BEGIN_S0__--><ul>\n<li>a\n<li>b</ul><!--__NL_END_S0__-->"
    "<table><tr><td nowrap width='20' style='width: 30px'>x<tr><td><img src='a.png' alt='' width='5'></table>"
    f"<a href='{UNSUBSCRIBE}'>go</a> <a name='top' id='top'></a>"
    "<a href='https://example.org/?a=1&amp;b=2'>x <b>y</b></a>"
)
KEPT = '<style data-premailer="ignore" data-css-inline="keep">@media screen{a > b{content:"\\201C"}}</style>'


@pytest.mark.parametrize("engine", ["premailer", "css-inline"])
def test_a_page_that_says_the_same_passes(engine: inline.Engine) -> None:
    before = page(WHOLE, f"<style>p {{ color: red }}</style>{KEPT}")
    after = inline.inline(before, engine)
    assert "color" in after
    guard.compare(before, after, "weekly.html")


def test_premailer_takes_a_table_out_of_the_link_around_it() -> None:
    before = page('<p>Before it</p><a href="https://example.org/a"><table><tr><td>t</td></tr></table></a>')
    assert damage(before) == (
        "the inliner changed the link around an element after 'Before it': "
        "<table> in the link https://example.org/a became <table> in no link"
    )


def test_premailer_drops_a_lower_case_doctype() -> None:
    before = page("x", doctype="<!doctype html>")
    assert "doctype" not in inline.inline(before)
    assert damage(before).startswith("the page must start with <!DOCTYPE html>, in upper case")


def test_a_doctype_that_goes_missing_is_noticed() -> None:
    before = page("x")
    assert damage(before, before.replace("<!DOCTYPE html>", "")) == "the inliner dropped the doctype"


def test_premailer_loses_text_below_250_levels() -> None:
    before = page("<p>first words</p>" + "<div>" * 300 + "lost" + "</div>" * 300)
    assert damage(before) == "the inliner changed text after 'first words': 'lost'"


def test_premailer_loses_text_after_a_lone_surrogate() -> None:
    assert damage(page("before\ud800after")).startswith("the inliner changed text after 'before': '")


def test_premailer_crashes_on_a_style_that_is_spelled_like_a_selector() -> None:
    with pytest.raises(NewsletterError, match=r"^premailer cannot inline this page: TypeError"):
        inline.inline(page('<p style="p">x</p>'))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<title>T<", "<title>U<", "the inliner changed the title"),
        ("go</a>", "stay</a>", "the inliner changed text after '"),
        ("&nbsp; “", " “", "the inliner changed text after 'a & b ': '\N{NO-BREAK SPACE} “é”"),
        ("a=1&amp;b=2", "a=1", "the inliner changed a link's address after '"),
        ("id='top'", "id='bottom'", "the inliner changed an id after '"),
        ("<!--__NL_END_S0__-->", "", "the inliner changed a comment after '"),
        ("<!--[if mso]>", "<!--[if mso 9]>", "the inliner changed a comment at the start of the page: <!--[if mso]>"),
        ("<img src='a.png' alt='' width='5'>", "<img src='a.png' alt='' width='30'>", "size of an image"),
        ("width='5'", "", '<img width="5"> became <img> without a size'),
        ("alt=''", "alt='b'", "the inliner changed an element after '"),
        ("<b>y</b>", "<i>y</i>", "<b> in the link https://example.org/?a=1&b=2 became <i> in"),
        ("<b>y</b>", "<b>y</b><i></i>", "the inliner added"),
        ("<br> <br/>", "<br>", "became"),
        (' lang="en"', "", 'an element at the start of the page: <html lang="en"> became <html>'),
        (f"'{UNSUBSCRIBE}'", "''", "the inliner made 0 of 1 fields __NL_UNSUBSCRIBE__"),
        ("screen", "print", "kept style block 1, which starts with '@media screen{a > b{"),
        (KEPT, "", "kept style block 1"),
    ],
)
def test_each_thing_that_changes_is_named(old: str, new: str, message: str) -> None:
    before = page(WHOLE, KEPT)
    assert old in before
    assert message in damage(before, before.replace(old, new, 1))


def test_a_mark_that_moves_past_its_text_is_noticed() -> None:
    before = page("<!--__NL_BEGIN_S0__--><p>a</p><!--__NL_END_S0__--><p>b</p>")
    after = page("<!--__NL_BEGIN_S0__--><p>a</p><p>b</p><!--__NL_END_S0__-->")
    assert damage(before, after).startswith("the inliner changed the order after 'a': <!--__NL_END_S0__--> became <p>")


def test_kept_blocks_that_change_places_are_noticed() -> None:
    one, two = KEPT, KEPT.replace("screen", "print")
    assert "kept style block 2" in damage(page("x", one + two), page("x", two + one))


def test_a_declaration_of_sgml_counts_as_a_comment() -> None:
    before = page("<![if !mso]><p>x</p><![endif]>")
    assert "a comment" in damage(before, page("<p>x</p>"))


def test_a_long_address_does_not_make_a_long_message() -> None:
    before = page(f'<a href="https://example.org/{"a" * 400}">x</a>')
    assert len(damage(before, before.replace("aaaa", "bbbb", 1))) < 400
