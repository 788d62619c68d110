"""The weekly theme's text part: handsome in 72 columns, whole, and without gaps where subjects are left out."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup

from newsletter.edition.model import PREFERENCES, UNSUBSCRIBE, Edition

NAMES = ("everything", "arabic", "notice", "real")
every_edition = pytest.mark.parametrize("name", NAMES)
CHOICES = (None, frozenset(), frozenset({0}), frozenset({1}), frozenset({0, 2}), frozenset({0, 1, 2}))


@every_edition
def test_lines_are_72_columns_at_most_unless_an_address_is_longer(editions: dict[str, Edition], name: str) -> None:
    text = editions[name].join_text()
    assert [line for line in text.splitlines() if len(line) > 72 and "://" not in line] == []


@every_edition
def test_the_text_part_has_every_link_of_the_html_part(editions: dict[str, Edition], name: str) -> None:
    page = BeautifulSoup(editions[name].join_html(), "lxml")
    links = {link["href"] for link in page.find_all("a", href=True) if not link["href"].startswith("#")}
    text = editions[name].join_text()
    assert {link for link in links if link not in text} == set()


@pytest.mark.parametrize("chosen", CHOICES, ids=str)
def test_no_choice_of_countries_leaves_a_gap_or_a_mark(
    editions: dict[str, Edition], chosen: frozenset[int] | None
) -> None:
    text = editions["everything"].join_text(chosen)
    assert "\n\n\n" not in text
    assert text == text.strip("\n") + "\n"
    left = text.replace(UNSUBSCRIBE, "").replace(PREFERENCES, "")
    assert "__" not in left
    assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_every_heading_is_underlined_as_long_as_it_is_and_stands_between_blank_lines(
    editions: dict[str, Edition],
) -> None:
    lines = ["", *editions["real"].join_text().splitlines()]
    rules = [n for n, line in enumerate(lines) if re.fullmatch("=+|-{3,71}", line)]
    assert len(rules) == 1 + 1 + 1 + 14 + 1  # title, lead, jump list, countries, section
    for at in rules:
        assert len(lines[at]) == len(lines[at - 1])
        assert lines[at - 2] == lines[at + 1] == ""


def test_updates_hang_under_their_bullets_with_their_links_and_sources(editions: dict[str, Edition]) -> None:
    assert (
        "* New report\n  A headline in a bullet\n  With text after\N{NO-BREAK SPACE}[1].\n  [1] https://example.org/a\n"
        "  Source: OHCHR, 18 April 2016\n  https://example.org/b\n\n* First paragraph.\n\n  Second paragraph"
    ) in editions["everything"].join_text()


def test_an_event_and_a_publication_say_what_when_and_where(editions: dict[str, Edition]) -> None:
    text = editions["everything"].join_text()
    assert re.search(
        r"\+ Event\n  Avoiding catastrophe\n  .*28 April 2016.*18:00.*\n  Montreal\n  Host: A member institute\n"
        r"  A summary of what it is about\.\n  https://example\.org/e\n\n",
        text,
    )
    report = (
        "+ Publication\n  A report\n  A centre, Another, 20 April 2016\n  Two sentences.\n  https://example.org/r\n"
    )
    assert report in text
    assert "+ Publication\n  A bare report\n\n" in text


def test_a_reader_of_one_country_gets_it_in_the_list_too_and_learns_of_the_rest(editions: dict[str, Edition]) -> None:
    text = editions["everything"].join_text(frozenset({1}))
    assert "Catch up on developments in …\n=============================\n\n* Mali\n\n! You follow some" in text
    assert "Mali\n----\n\nOne paragraph" in text
    assert "Burundi" not in text
    assert "What else is new?" in text


def test_a_reader_of_countries_that_are_not_in_it_is_told_so(editions: dict[str, Edition]) -> None:
    text = editions["everything"].join_text(frozenset())
    assert "Nothing this week from the countries you follow.\n\n! You follow some" in text
    assert "Catch up" not in text


def test_nothing_is_escaped_as_in_html(editions: dict[str, Edition]) -> None:
    for edition in editions.values():
        assert not re.search(r"&(amp|lt|gt|quot|#\d+|nbsp);", edition.join_text())
