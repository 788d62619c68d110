"""The weekly theme as mail programs and screen readers take it apart: its structure, its size, what w3m makes of it."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Comment, Doctype

from newsletter.edition.model import PREFERENCES, UNSUBSCRIBE, Edition

MAILS = ("everything", "arabic", "notice", "real", "less", "none")
IN_ORDER = """
The Protection Weekly
No. 245: 18–22 April 2016
Read online
There is no issue next week
In focus
A lead with everything in it
Nine chairs
UN Photo
• one
• two
1. deep
Sign the appeal
Catch up on developments in …
• Burundi
• Mali
• Syria
Burundi
• New report
A headline in a bullet
Source: OHCHR, 18 April 2016
Back to top
Mali
Syria
Talks stall in Geneva
What else is new?
• First text item.
Avoiding catastrophe
A member institute
A report
By Ana Example
Unsubscribe
https://example.org/market
https://example.org/e
"""
every_mail = pytest.mark.parametrize("name", MAILS)


def soup(mail: str) -> BeautifulSoup:
    return BeautifulSoup(mail, "lxml")


@every_mail
def test_a_mail_starts_with_the_doctype_and_says_its_language(mails: dict[str, str], name: str) -> None:
    page = soup(mails[name])
    assert mails[name].startswith("<!DOCTYPE html>")
    assert isinstance(page.contents[0], Doctype)
    for element in (page.html, page.find(role="article")):
        assert element["lang"] == ("ar" if name == "arabic" else "en")
        assert element["dir"] == ("rtl" if name == "arabic" else "ltr")
    assert page.find("meta", charset="utf-8")
    for scheme in ("color-scheme", "supported-color-schemes"):
        assert page.find("meta", attrs={"name": scheme})["content"] == "light dark"


@every_mail
def test_headings_start_with_one_h1_and_skip_no_level(mails: dict[str, str], name: str) -> None:
    levels = [int(heading.name[1]) for heading in soup(mails[name]).find_all(re.compile("^h[1-6]$"))]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


@every_mail
def test_every_table_is_for_layout_and_every_cell_names_its_background(mails: dict[str, str], name: str) -> None:
    page = soup(mails[name])
    ghosts = [
        soup(comment.split(">", 1)[1]) for comment in page.find_all(string=lambda text: isinstance(text, Comment))
    ]
    for part in (page, *ghosts):
        assert all(table["role"] == "presentation" for table in part.find_all("table"))
        assert all(re.fullmatch("#[0-9a-f]{6}", cell["bgcolor"]) for cell in part.find_all("td"))


@every_mail
def test_every_picture_has_a_text_and_a_width(mails: dict[str, str], name: str) -> None:
    assert all(image["alt"] and image["width"] == "536" for image in soup(mails[name]).find_all("img"))


@every_mail
def test_nothing_stands_in_a_mail_that_clients_strip_or_that_tracks(mails: dict[str, str], name: str) -> None:
    page = soup(mails[name])
    assert not page.find_all(["script", "form", "svg", "link", "iframe", "video", "input", "object"])
    assert not re.search(r"url\(|@import|@font-face|\bposition:|\bfloat:|background-image", mails[name])
    assert not [image["src"] for image in page.find_all("img") if "?" in image["src"]]


@every_mail
def test_only_cells_have_padding_where_outlook_must_see_it(mails: dict[str, str], name: str) -> None:
    padded = {element.name for element in soup(mails[name]).find_all(style=re.compile(r"(?<!-)\bpadding"))}
    assert padded <= {"td", "body", "ul", "ol", "blockquote", "a"}


@every_mail
def test_style_blocks_are_small_and_nest_no_at_rule_in_another(mails: dict[str, str], name: str) -> None:
    blocks = re.findall(r"<style[^>]*>(.*?)</style>", mails[name], re.DOTALL)
    assert len(blocks) == 4  # three kept, one in a comment for Outlook
    assert sum(len(block.encode()) for block in blocks) < 16_384
    for block in blocks:
        depth, at_rules = 0, []
        for found in re.finditer(r"[{}]|@[a-z-]+", block):
            if found[0].startswith("@"):
                at_rules.append(depth)
            depth += {"{": 1, "}": -1}.get(found[0], 0)
        assert depth == 0
        assert set(at_rules) <= {0}


@every_mail
def test_outlook_gets_a_table_of_fixed_width_and_96_pixels_an_inch(mails: dict[str, str], name: str) -> None:
    assert mails[name].count("<!--[if mso]>") == mails[name].count("<![endif]-->") == 3
    assert "<o:PixelsPerInch>96</o:PixelsPerInch>" in mails[name]
    assert re.search(r'<!--\[if mso\]><table [^>]*width="600"', mails[name])
    assert soup(mails[name]).find("table", style=re.compile("max-width:600px"))["width"] == "100%"


@every_mail
def test_only_the_preheader_is_hidden_and_it_comes_first(mails: dict[str, str], name: str) -> None:
    page = soup(mails[name])
    hidden = page.find_all(style=re.compile(r"display:\s*none|visibility|opacity:0|max-height:0"))
    assert hidden == [page.body.find(True)]
    assert hidden[0].get_text().strip()


@every_mail
def test_the_footer_says_who_why_and_how_to_leave(mails: dict[str, str], name: str) -> None:
    page = soup(mails[name])
    links = [link["href"] for link in page.find_all("a", href=True)]
    assert links.count(UNSUBSCRIBE) == 1
    assert PREFERENCES in links
    assert "https://news.example.org/archive/issues/2016-04-22.html" in links
    assert "https://news.example.org/archive/index.html" in links
    text = page.get_text(" ")
    assert "You receive this because you subscribed at news.example.org." in text
    assert all(line in text for line in ("Example Coalition", "1 Example Street", "New York NY 10017"))


@every_mail
def test_every_link_into_the_mail_finds_its_place_by_name_and_by_id(mails: dict[str, str], name: str) -> None:
    page = soup(mails[name])
    for link in page.select('a[href^="#"]'):
        place = page.find("a", attrs={"name": link["href"][1:]})
        assert place["id"] == place["name"]
        assert place.get_text() == ""


def test_a_reader_of_one_country_gets_it_in_the_jump_list_too_and_learns_of_the_rest(mails: dict[str, str]) -> None:
    page = soup(mails["less"])
    assert [item.get_text() for item in page.find("ul", class_="jump").find_all("li")] == ["Mali"]
    assert not page.find(string=re.compile("Burundi|Syria"))
    assert page.find(string="Read the full issue").parent["href"].endswith("/2016-04-22.html")
    assert page.find(string="Change what you follow").parent["href"] == PREFERENCES
    assert page.find(string="What else is new?")


def test_a_reader_of_countries_that_are_not_in_it_is_told_so_and_gets_the_rest(mails: dict[str, str]) -> None:
    page = soup(mails["none"])
    assert page.find(string="Nothing this week from the countries you follow.")
    assert not page.find("ul", class_="jump")
    assert page.find(string="A lead with everything in it")
    assert page.find(string="What else is new?")


def test_a_reader_of_everything_is_told_nothing_about_following(mails: dict[str, str]) -> None:
    assert "You follow some countries only" not in mails["everything"]
    assert "Nothing this week" not in mails["everything"]


def test_a_button_is_padded_for_outlook_on_its_cell_and_for_others_on_its_link(mails: dict[str, str]) -> None:
    link = soup(mails["everything"]).find("a", href="https://example.org/appeal")
    assert "mso-padding-alt:13px 24px" in link.parent["style"]
    assert "padding:13px 24px" in link["style"]


def test_a_title_of_its_own_stands_under_the_masthead(set_in_theme: Callable[[str], Edition], everything: str) -> None:
    page = soup(set_in_theme(f"title: A week of decisions\n{everything}").join_html())
    assert page.h1.get_text() == "A week of decisions"
    assert page.find(string="The Protection Weekly")
    assert "No. 245 · 18–22 April 2016" in page.get_text()


def test_forty_five_updates_with_links_and_sources_stay_under_70_kilobytes(
    set_in_theme: Callable[[str], Edition],
) -> None:
    link = "https://example.org/reports/2016/april/a-report-on-the-week"
    text = (
        f"Observers in the capital [published a report of many pages]({link}) on what they had seen in the week. " * 2
    )
    source = '{name: Office of Reports, url: "https://example.org/office", date: 2016-04-18}'
    places = [
        "Burundi",
        "Chad",
        "Egypt",
        "Iraq",
        "Kenya",
        "Libya",
        "Mali",
        "Niger",
        "Nigeria",
        "Somalia",
        "Sudan",
        "Syria",
        "Togo",
        "Yemen",
        "Zambia",
    ]
    subjects = "".join(f"  {place}:\n" + f'    - text: "{text}"\n      source: {source}\n' * 3 for place in places)
    lead = "lead:\n  title: A long lead\n  body: >-\n    " + "Words of the lead article. " * 100 + "\n"
    edition = set_in_theme(f"period: {{start: 2016-04-18, end: 2016-04-22}}\nnumber: 1\n{lead}updates:\n{subjects}")
    assert edition.join_html().count("<li") == 45 + len(places)
    assert len(edition.join_html().encode()) < 70_000


def test_a_mail_without_pictures_or_styles_reads_in_order(mails: dict[str, str], w3m: str, tmp_path: Path) -> None:
    page = tmp_path / "mail.html"
    page.write_text(mails["everything"], "utf-8")
    command = [w3m, "-dump", "-cols", "80", "-O", "UTF-8", "-T", "text/html", "-o", "display_link_number=1"]
    shown = subprocess.run([*command, str(page)], capture_output=True, text=True, timeout=60, check=True).stdout
    shown = re.sub(r"\[\d+\](?!https)", "", shown)  # numbers of links; their list is below
    at = -1
    for part in IN_ORDER.strip().splitlines():
        found = shown.find(part, at + 1)
        assert found > at, f"'{part}' does not follow in:\n{shown}"
        at = found
