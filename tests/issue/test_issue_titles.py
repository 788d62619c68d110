"""What an issue is called, and its days and hours in words."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from newsletter import config
from newsletter.issue import titles
from newsletter.issue.countries import Countries
from newsletter.issue.load import IssueFile, parse
from newsletter.issue.model import Event, Notice, Period, Weekly

SETTINGS = config.Newsletter.model_validate(
    {
        "name": "The Weekly",
        "sender": {"name": "The Weekly", "address": "weekly@example.org"},
        "address": ["1 Example Street"],
        "reason": "You subscribed.",
        "url": "https://news.example.org",
        "lists": {"weekly": {"title": "The Weekly"}},
    }
)
WEEK = "period: {start: 2016-04-18, end: 2016-04-22}\n"


def period(start: str, end: str) -> Period:
    return Period.model_validate({"start": start, "end": end})


def issue(text: str) -> IssueFile:
    return parse(Path("2016-05-01.yaml"), text.encode(), Countries())


def titled(pattern: str, text: str) -> str:
    return titles.printed_title(issue(text), SETTINGS.model_copy(update={"title": pattern}))


@pytest.mark.parametrize(
    ("start", "end", "language", "text"),
    [
        ("2016-04-18", "2016-04-22", "en", "18–22 April 2016"),
        ("2015-06-29", "2015-07-03", "en", "29 June – 3 July 2015"),
        ("2015-12-28", "2016-01-01", "en", "28 December 2015 – 1 January 2016"),
        ("2016-04-22", "2016-04-22", "en", "22 April 2016"),
        ("2016-04-18", "2016-04-22", "en-US", "April 18 – 22, 2016"),
        ("2016-04-18", "2016-04-22", "fr", "18–22 avril 2016"),
        ("2015-06-29", "2015-07-03", "fr", "29 juin – 3 juillet 2015"),
        ("2016-04-18", "2016-04-22", "es", "18–22 de abril de 2016"),
        ("2015-06-29", "2015-07-03", "es", "29 de junio – 3 de julio de 2015"),
        ("2016-04-18", "2016-04-22", "ar", "18–22 أبريل 2016"),
        ("2016-04-18", "2016-04-22", "ru", "18–22 апреля 2016 г."),
        ("2016-04-18", "2016-04-22", "zh", "2016年4月18日至22日"),
        ("2015-12-28", "2016-01-01", "zh", "2015年12月28日至2016年1月1日"),
        ("2016-04-18", "2016-04-22", "de", "18.–22. April 2016"),
        ("2016-04-22", "2016-04-18", "en", "22–18 April 2016"),
    ],
)
def test_a_period_reads_as_people_write_it(start: str, end: str, language: str, text: str) -> None:
    assert titles.period_text(period(start, end), language) == text


@pytest.mark.parametrize(
    "language", ["ar", "en", "es", "fr", "ru", "zh", "de", "pt-BR", "fa", "he", "sw", "hi", "ja", "my"]
)
@pytest.mark.parametrize("end", ["2015-12-29", "2016-01-01", "2015-12-28"])
def test_every_language_writes_every_kind_of_period(language: str, end: str) -> None:
    text = titles.period_text(period("2015-12-28", end), language)
    assert text.strip() == text
    assert not set(text) & set("\u2009\u202f\u00a0\n")
    assert "28" in text or not text.isascii()


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "1 April 2016"),
        ("en-US", "April 1, 2016"),
        ("fr", "1 avril 2016"),
        ("ru", "1 апреля 2016 г."),
        ("zh", "2016年4月1日"),
    ],
)
def test_a_day_reads_as_people_write_it(language: str, text: str) -> None:
    assert titles.day_text(dt.date(2016, 4, 1), language) == text


def test_a_month_reads_as_people_write_it() -> None:
    assert titles.month_text(dt.date(2016, 4, 1), "en") == "April 2016"
    assert titles.month_text(dt.date(2016, 4, 1), "fr") == "avril 2016"


def event(**changes: Any) -> Event:
    keys = {"title": "x", "start": "2016-04-28 18:00", "end": "2016-04-28 20:00", "timezone": "America/Montreal"}
    return Event.model_validate({key: value for key, value in {**keys, **changes}.items() if value})


@pytest.mark.parametrize(
    ("changes", "language", "text"),
    [
        ({}, "en", "Thursday, 28 April 2016, 18:00–20:00, Montreal Time"),
        ({"end": None}, "en", "Thursday, 28 April 2016, 18:00, Montreal Time"),
        (
            {"end": "2016-04-29 01:30"},
            "en",
            "Thursday, 28 April 2016, 18:00 – Friday, 29 April 2016, 01:30, Montreal Time",
        ),
        ({"timezone": "UTC"}, "en", "Thursday, 28 April 2016, 18:00–20:00, UTC"),
        ({"timezone": "Etc/GMT"}, "en", "Thursday, 28 April 2016, 18:00–20:00, GMT"),
        ({"timezone": "America/New_York"}, "fr", "jeudi 28 avril 2016, 18:00–20:00, heure : New York"),
        ({"timezone": "Africa/Cairo"}, "ar", "الخميس، 28 أبريل 2016، 18:00–20:00، توقيت القاهرة"),
    ],
)
def test_the_hours_of_an_event_are_those_of_its_place(changes: dict[str, Any], language: str, text: str) -> None:
    assert titles.event_time_text(event(**changes), language) == text


def test_an_issues_own_title_stands_as_it_is() -> None:
    assert titled("{name}", f"{WEEK}title: 'A {{name}} of its own'\n") == "A {name} of its own"


@pytest.mark.parametrize(
    ("pattern", "numbered", "bare"),
    [
        ("{name}: {period}", "The Weekly: 18–22 April 2016", "The Weekly: 18–22 April 2016"),
        ("{name} No. {number}: {period}", "The Weekly No. 245: 18–22 April 2016", "The Weekly: 18–22 April 2016"),
        (
            "{name}, issue {number} ({period})",
            "The Weekly, issue 245 (18–22 April 2016)",
            "The Weekly (18–22 April 2016)",
        ),
        ("{name} #{number} – {period}", "The Weekly #245 – 18–22 April 2016", "The Weekly – 18–22 April 2016"),
        ("{number}. {name}", "245. The Weekly", "The Weekly"),
        ("Issue {number}: {name}", "Issue 245: The Weekly", "The Weekly"),
        ("{name} ({number}), {period}", "The Weekly (245), 18–22 April 2016", "The Weekly, 18–22 April 2016"),
        ("{name}: {period} (no. {number})", "The Weekly: 18–22 April 2016 (no. 245)", "The Weekly: 18–22 April 2016"),
        ("{name} {number}", "The Weekly 245", "The Weekly"),
        ("{name} {{x}} n° {number}", "The Weekly {x} n° 245", "The Weekly {x}"),
        ("{number}/{number} {name}", "245/245 The Weekly", "The Weekly"),
        ("No. {number}", "No. 245", "The Weekly: 18–22 April 2016"),
    ],
)
def test_a_title_that_wants_a_number_does_without_it_gracefully(pattern: str, numbered: str, bare: str) -> None:
    assert titled(pattern, f"{WEEK}number: 245\n") == numbered
    assert titled(pattern, WEEK) == bare


def test_without_a_period_the_day_of_publication_stands_for_it() -> None:
    assert titled("{name}: {period}", "number: 1\n") == "The Weekly: 1 May 2016"


def test_the_title_speaks_the_issues_language() -> None:
    assert titled("{name}: {period}", f"{WEEK}language: fr\n") == "The Weekly: 18–22 avril 2016"


def test_the_mails_subject_is_the_issues_own_or_its_title() -> None:
    assert titles.email_subject(issue(f"{WEEK}subject: '#R2P'\n"), SETTINGS) == "#R2P"
    assert titles.email_subject(issue(WEEK), SETTINGS) == "The Weekly: 18–22 April 2016"


def lead(body: str) -> Weekly:
    return Weekly.model_validate({"lead": {"title": "x", "body": body}, "updates": {"Syria": ["Another."]}})


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("One sentence. And another.", "One sentence."),
        ("[Linked](https://example.org/a.b) *words* here! More.", "Linked words here!"),
        ("# A heading\n\nOne.", "A heading"),
        ("No end in sight\n\nSecond paragraph.", "No end in sight"),
        ("Over two\nlines. More.", "Over two lines."),
        ("Mr. Ban and Dr. No met St. Nicholas. Then they left.", "Mr. Ban and Dr. No met St. Nicholas."),
        ("The U.N. Security Council met J. Doe. More.", "The U.N. Security Council met J. Doe."),
        ("It cost 1.5 million. More.", "It cost 1.5 million."),
        ("He said “no.” She left.", "He said “no.”"),
        ("Really?! Yes.", "Really?!"),
        ("It was no. 5 of e.g. seven things. More.", "It was no. 5 of e.g. seven things."),
        ("ماذا حدث؟ لا شيء.", "ماذا حدث؟"),
        ("第一句。第二句。", "第一句。"),
        ("a" * 200, "a" * 149 + "…"),
        ("word " * 40, ("word " * 29).strip() + "…"),
    ],
)
def test_the_preheader_is_the_first_sentence_of_the_lead(body: str, sentence: str) -> None:
    assert titles.preheader(lead(body)) == sentence
    assert len(sentence) <= 150


def test_the_preheader_is_the_issues_own_where_it_has_one() -> None:
    assert titles.preheader(lead("One. Two.").model_copy(update={"preheader": "Mine"})) == "Mine"


def test_the_preheader_of_a_notice_is_from_its_body_and_without_a_lead_from_the_first_text() -> None:
    assert titles.preheader(Notice(title="x", body="One. Two.")) == "One."
    assert titles.preheader(Weekly.model_validate({"updates": {"Syria": ["An update. More."]}})) == "An update."
    assert titles.preheader(Weekly()) == ""
