"""An issue becomes an edition: whole, escaped, small, and the same each time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from bs4 import BeautifulSoup

from newsletter import config
from newsletter.edition import inline
from newsletter.edition.model import PREFERENCES, UNSUBSCRIBE, Edition
from newsletter.errors import FaultsError, NewsletterError
from newsletter.issue.countries import Countries

SetIssue = Callable[..., Edition]


def chosen(edition: Edition, countries: Countries, *names: str) -> frozenset[int]:
    return edition.choose(countries.follow(name) for name in names)


def jump_list(html: str) -> list[str]:
    soup = BeautifulSoup(html, "html.parser")
    return [link.get_text() for link in soup.select('ul a[href^="#"]')]


def test_a_reader_who_follows_two_countries_gets_the_lead_those_two_and_the_sections(
    project: config.Project, countries: Countries, weekly: str, set_issue: SetIssue
) -> None:
    edition = set_issue(project, weekly)
    mine = chosen(edition, countries, "Burundi", "Syria")
    html, text = edition.join_html(mine), edition.join_text(mine)
    for part in (html, text):
        assert "Voices from the rostrum" in part
        assert "345 cases" in part
        assert "put off" in part
        assert "What else is new?" in part
        assert "hosts a talk" in part
        assert "Abidjan" not in part
        assert "https://example.org/ivoire" not in part
        assert "Ivoire" not in part
        assert UNSUBSCRIBE in part
        assert PREFERENCES in part
    assert jump_list(html) == ["Burundi", "Syria"]
    assert re.findall(r"(?m)^\* (Burundi|Syria|C.*)$", text) == ["Burundi", "Syria"]


def test_a_reader_who_follows_nothing_gets_everything(
    project: config.Project, countries: Countries, weekly: str, set_issue: SetIssue
) -> None:
    edition = set_issue(project, weekly)
    everything = chosen(edition, countries)
    assert edition.join_html(everything) == edition.join_html()
    assert jump_list(edition.join_html()) == ["Burundi", "Côte d'Ivoire", "Syria"]
    assert "You follow some countries only" not in edition.join_text()
    assert "Nothing this week from" not in edition.join_text()


def test_a_reader_whose_countries_are_not_in_the_issue_is_told_so(
    project: config.Project, countries: Countries, weekly: str, set_issue: SetIssue
) -> None:
    edition = set_issue(project, weekly)
    none = chosen(edition, countries, "Yemen")
    assert none == frozenset()
    html = edition.join_html(none)
    assert jump_list(html) == []
    for part in (html, edition.join_text(none)):
        assert "Nothing this week from the countries you follow." in part
        assert "Voices from the rostrum" in part
        assert "hosts a talk" in part
        assert not any(name in part for name in ("Burundi", "Syria", "Ivoire"))


def test_a_region_brings_all_its_countries(
    project: config.Project, countries: Countries, weekly: str, set_issue: SetIssue
) -> None:
    edition = set_issue(project, weekly)
    assert {edition.subjects[n].label for n in chosen(edition, countries, "Africa")} == {"Burundi", "Côte d'Ivoire"}


class Balance(HTMLParser):
    """Fails where a page closes what it did not open."""

    void = frozenset({"meta", "br", "img", "link", "hr"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's
        if tag not in self.void:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag


def test_every_choice_of_countries_is_a_whole_page_and_a_tidy_text(
    project: config.Project, weekly: str, set_issue: SetIssue
) -> None:
    edition = set_issue(project, weekly)
    choices = [frozenset(), frozenset({0}), frozenset({1, 2}), frozenset({0, 1, 2}), None]
    for choice in choices:
        html, text = edition.join_html(choice), edition.join_text(choice)
        assert Balance(html).stack == []
        assert html.startswith("<!DOCTYPE html>")
        assert html.endswith("</html>\n")
        assert "\n\n\n" not in text
        assert not re.search(r"[ \t]\n", text)
        for part in (html, text):
            assert set(re.findall(r"__NL_\w*?__", part)) == {UNSUBSCRIBE, PREFERENCES}


NASTY = "<script>alert(\"x\")</script> & 'y'"
QUOTED = json.dumps(NASTY)

HOSTILE = f"""\
kind: weekly
period: {{start: 2016-04-18, end: 2016-04-22}}
title: {QUOTED}
preheader: {QUOTED}
authors:
  - {{name: {QUOTED}, role: {QUOTED}, organisation: {QUOTED}, note: {QUOTED}}}
credits: {QUOTED}
disclaimer: {QUOTED}
notices: [{QUOTED}]
actions: [{{text: {QUOTED}, url: 'https://example.org/?a="<b>&c'}}]
lead:
  kicker: {QUOTED}
  title: {QUOTED}
  body: {QUOTED}
  figures: [{{src: 'images/"><script>.png', alt: {QUOTED}, caption: {QUOTED}, credit: {QUOTED}}}]
  actions: [{{text: {QUOTED}, url: 'https://example.org/'}}]
updates:
  Burundi:
    heading: {QUOTED}
    label: {QUOTED}
    intro: {QUOTED}
    updates:
      - text: {QUOTED}
        kicker: {QUOTED}
        headline: {QUOTED}
        source: {{name: {QUOTED}, url: 'https://example.org/a?"<b>', date: 2016-04-18}}
  Syria:
    style: headlines
    updates: [{{text: {QUOTED}, headline: {QUOTED}}}]
  Iraq:
    style: paragraphs
    updates: [{{text: {QUOTED}, kicker: {QUOTED}}}]
sections:
  - title: {QUOTED}
    items:
      - {QUOTED}
      - event: {{title: {QUOTED}, host: {QUOTED}, place: {QUOTED}, start: 2016-04-28 18:00, timezone: UTC,
          url: 'https://example.org/e', summary: {QUOTED}}}
      - publication: {{title: {QUOTED}, organisations: [{QUOTED}], url: 'https://example.org/p', summary: {QUOTED}}}
"""


def hostile_settings(project: config.Project) -> config.Project:
    path = project.root / "newsletter.yaml"
    text = path.read_text()
    text = text.replace("name: The Protection Weekly\n", f"name: {QUOTED}\n", 1)
    text = re.sub(r"(?m)^reason: .*$", lambda _: f"reason: {QUOTED}", text)
    text = re.sub(r"(?m)^address: .*$", lambda _: f"address: [{QUOTED}, {QUOTED}]", text)
    path.write_text(text)
    return config.load(project.root)


@pytest.mark.parametrize("kind", ["weekly", "notice"])
def test_no_template_passes_on_markup_that_somebody_typed(
    project: config.Project, set_issue: SetIssue, kind: str
) -> None:
    notice = f"kind: notice\npublished: 2016-04-22\ntitle: {QUOTED}\nbody: {QUOTED}\nactions: [{{text: {QUOTED}, url: 'https://example.org/'}}]\n"
    edition = set_issue(hostile_settings(project), HOSTILE if kind == "weekly" else notice)
    html, text = edition.join_html(), edition.join_text()
    soup = BeautifulSoup(html, "html.parser")
    assert soup.find("script") is None
    assert "<script" not in html.lower()
    assert {name for tag in soup.find_all(True) for name in tag.attrs if name.startswith("on")} == set()
    assert NASTY in soup.get_text()
    assert "&amp;amp;" not in html
    assert "&amp;lt;" not in html
    flowed = " ".join(text.split())
    assert NASTY in flowed
    assert "&lt;" not in text
    assert "&#" not in text


def test_a_name_of_the_settings_is_escaped_too(project: config.Project, weekly: str, set_issue: SetIssue) -> None:
    html = set_issue(hostile_settings(project), weekly).join_html()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 4


SENTENCE = (
    "The High Commissioner for Human Rights [{verb}]({url}) on {day} that armed groups had driven at least "
    "{count} people from their homes. He asked the authorities to open the road to the camps."
)


def long_weekly(count: int = 45) -> str:
    """A weekly of `count` updates of one and a half sentences with a link each, over 15 countries."""
    names = [
        *("Afghanistan", "Burma/Myanmar", "Burundi", "Central African Republic", "Colombia", "Iraq", "Kenya", "Libya"),
        *("Mali", "Nigeria", "Pakistan", "South Sudan", "Syria", "Ukraine", "Yemen"),
    ]
    lines = [
        "kind: weekly",
        "period: {start: 2016-04-18, end: 2016-04-22}",
        "number: 245",
        "lead:",
        "  title: A title of some words",
    ]
    lines += [
        "  body: |",
        *[
            "    " + SENTENCE.format(verb="said", url="https://example.org/lead", day="Monday", count=1)
            for _ in range(6)
        ],
    ]
    lines.append("updates:")
    for place, name in enumerate(names):
        lines.append(f"  {name}:")
        for number in range(place, count, len(names)):
            url = f"https://www.example.org/en/news/2016/04/displacement-report-{number:03}"
            lines.append("    - " + SENTENCE.format(verb="reported", url=url, day="Tuesday", count=number + 100))
    lines += ["sections:", "  - title: What else is new?", "    items:"]
    lines += [f"      - A member [hosts a talk](https://example.org/talk/{n}) on prevention." for n in range(4)]
    return "\n".join(lines) + "\n"


def test_a_weekly_of_45_updates_stays_under_70_kilobytes(project: config.Project, set_issue: SetIssue) -> None:
    edition = set_issue(project, long_weekly())
    html = edition.join_html()
    assert html.count("displacement-report") == 45
    assert len(html.encode()) < 70_000, len(html.encode())
    styles = "".join(re.findall(r"<style[^>]*>(.*?)</style>", html, re.DOTALL))
    assert len(styles.encode()) < 16_384


def test_every_link_of_the_html_is_in_the_text(project: config.Project, weekly: str, set_issue: SetIssue) -> None:
    weekly = weekly.replace("https://example.org/talk", "https://bücher.example.org/é?a=1&b=2")
    edition = set_issue(project, weekly)
    soup = BeautifulSoup(edition.join_html(), "html.parser")
    hrefs = {link["href"] for link in soup.select("a[href]") if not link["href"].startswith("#")}
    assert "https://xn--bcher-kva.example.org/%C3%A9?a=1&b=2" in hrefs
    text = edition.join_text()
    assert [href for href in hrefs if href not in text] == []


@pytest.mark.parametrize("engine", ["premailer", "css-inline"])
def test_making_an_edition_writes_nothing_on_stderr(
    project: config.Project, weekly: str, set_issue: SetIssue, engine: inline.Engine, capfd: pytest.CaptureFixture[str]
) -> None:
    set_issue(project, weekly, engine=engine)
    assert capfd.readouterr() == ("", "")


def test_an_arabic_weekly_runs_from_right_to_left(project: config.Project, weekly: str, set_issue: SetIssue) -> None:
    edition = set_issue(project, f"language: ar\n{weekly}")
    html = BeautifulSoup(edition.join_html(), "html.parser")
    assert html.html is not None
    assert (html.html["lang"], html.html["dir"], edition.language) == ("ar", "rtl", "ar")
    assert "سوريا" in edition.join_text()


def test_the_same_issue_gives_the_same_edition(plain_theme: config.Project, weekly: str, set_issue: SetIssue) -> None:
    assert set_issue(plain_theme, weekly) == set_issue(plain_theme, weekly)


@pytest.mark.parametrize(
    "change",
    ["issue", "weekly.html", "weekly.txt", "style.css", "kept/dark.css", "words", "settings"],
)
def test_whatever_a_copy_is_made_from_changes_the_digest(
    plain_theme: config.Project, weekly: str, set_issue: SetIssue, change: str
) -> None:
    project = plain_theme
    before = set_issue(project, weekly).digest
    assert re.fullmatch(r"[0-9a-f]{64}", before)
    if change == "issue":
        weekly += "# a comment\n"
    elif change == "words":
        (project.templates / "words").mkdir()
        (project.templates / "words" / "en.yaml").write_text("unsubscribe: Leave\n")
    elif change == "settings":
        path = project.root / "newsletter.yaml"
        path.write_text(path.read_text().replace("reason: You", "reason: Since you"))
        project = config.load(project.root)
    else:
        path = project.templates / "plain" / change
        path.write_text(path.read_text() + "\n")
    assert set_issue(project, weekly).digest != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("folder: outbox}", "folder: elsewhere}"),
        ("newsletter.db", "other.db"),
        ("file:secret.key", "env:OTHER"),
        ("# The settings", "# These are the settings"),
    ],
)
def test_settings_that_no_copy_shows_do_not_change_the_digest(
    plain_theme: config.Project, weekly: str, set_issue: SetIssue, old: str, new: str
) -> None:
    before = set_issue(plain_theme, weekly).digest
    path = plain_theme.root / "newsletter.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    assert set_issue(config.load(plain_theme.root), weekly).digest == before


def test_a_template_file_that_is_not_used_does_not_change_the_digest(
    plain_theme: config.Project, weekly: str, set_issue: SetIssue
) -> None:
    before = set_issue(plain_theme, weekly).digest
    (plain_theme.templates / "plain" / "spare.html").write_text("spare")
    assert set_issue(plain_theme, weekly).digest == before


@pytest.mark.parametrize(
    "text",
    ["__NL_NAME__", r"\_\_NL\_BEGIN\_S0\_\_", "&#95;&#95;NL_END_S0__", "https://example.org/__NL_UNSUBSCRIBE__"],
)
def test_nobody_can_type_a_readers_field_into_an_issue(
    project: config.Project, weekly: str, set_issue: SetIssue, text: str
) -> None:
    with pytest.raises(FaultsError, match=r"2016-04-22\.yaml:7: '__NL_' marks readers' own fields") as caught:
        set_issue(project, weekly.replace("Candidates", f"{text} Candidates"))
    assert len(caught.value.faults) == 1


def test_nobody_can_type_a_readers_field_into_the_settings(
    project: config.Project, weekly: str, set_issue: SetIssue
) -> None:
    path = project.root / "newsletter.yaml"
    path.write_text(path.read_text().replace("reason: You", "reason: __NL_NAME__ You"))
    with pytest.raises(FaultsError, match=r"newsletter\.yaml:1: '__NL_' marks"):
        set_issue(config.load(project.root), weekly)


def refusal(project: config.Project, weekly: str, set_issue: SetIssue) -> str:
    with pytest.raises(NewsletterError) as caught:
        set_issue(project, weekly)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{project.root}/", "")


def test_a_theme_without_a_template_for_the_kind_is_named_with_the_line_of_the_settings(
    plain_theme: config.Project, weekly: str, set_issue: SetIssue
) -> None:
    (plain_theme.templates / "plain" / "weekly.txt").unlink()
    assert refusal(plain_theme, weekly, set_issue) == (
        "newsletter.yaml:11: there is no template 'weekly.txt'; put it into templates/plain/"
    )


def test_an_undefined_name_in_a_projects_template_is_named_with_its_line(
    plain_theme: config.Project, weekly: str, set_issue: SetIssue
) -> None:
    path = plain_theme.templates / "plain" / "weekly.html"
    path.write_text(path.read_text().replace("{{ title }}", "{{ titel }}"))
    assert refusal(plain_theme, weekly, set_issue) == "templates/plain/weekly.html:5: nothing is called 'titel' here"


def test_damage_by_the_inliner_is_named_with_the_template(
    plain_theme: config.Project, weekly: str, set_issue: SetIssue
) -> None:
    path = plain_theme.templates / "plain" / "weekly.html"
    whole = path.read_text()
    path.write_text(whole.replace("<h1>", '<a href="https://example.org/"><table><tr><td>x</td></tr></table></a><h1>'))
    assert refusal(plain_theme, weekly, set_issue).startswith(
        "templates/plain/weekly.html: the inliner changed the link around an element"
    )
    path.write_text(whole.replace("<h1>", '<p style="p"><h1>'))
    assert refusal(plain_theme, weekly, set_issue).startswith(
        "templates/plain/weekly.html: premailer cannot inline this page"
    )
    path.write_text(whole.replace("{{ end(", "{{ begin("))
    assert refusal(plain_theme, weekly, set_issue).startswith("templates/plain/weekly.html: begin(")


def test_a_picture_is_shown_from_the_archive_unless_it_has_an_address(
    project: config.Project, weekly: str, set_issue: SetIssue
) -> None:
    figures = "  figures: [{src: images/a b.png, alt: A}, {src: 'https://example.org/c.png', alt: C}]\n"
    edition = set_issue(project, weekly.replace("  title: Voices", f"{figures}  title: Voices"))
    assert 'src="https://news.example.org/archive/images/a%20b.png"' in edition.join_html()
    assert 'src="https://example.org/c.png"' in edition.join_html()


def test_a_project_overrides_one_template_of_the_built_in_theme(project: config.Project, set_issue: SetIssue) -> None:
    (project.templates / "weekly").mkdir()
    (project.templates / "weekly" / "notice.txt").write_text(
        "Ours: {{ title }}, {{ issue.title|slug }} {{ UNSUBSCRIBE }}\n"
    )
    edition = set_issue(project, "kind: notice\npublished: 2016-04-22\ntitle: No issue\nbody: Next week.\n", "n")
    assert edition.join_text() == f"Ours: No issue, no-issue {UNSUBSCRIBE}\n"
    assert "Next week." in edition.join_html()
    assert (edition.subject, edition.preheader, edition.subjects) == ("No issue", "Next week.", ())
