"""The next issue's file to begin with."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from newsletter import config
from newsletter.issue import titles
from newsletter.issue.countries import Countries
from newsletter.issue.load import IssueFile, parse
from newsletter.issue.skeleton import day_after, skeleton


def issue(text: str, slug: str = "2016-04-22") -> IssueFile:
    return parse(Path(f"{slug}.yaml"), text.encode(), Countries())


@pytest.mark.parametrize("day", range(18, 25))
def test_any_day_of_a_week_starts_the_issue_of_its_monday_to_friday(project: config.Project, day: int) -> None:
    slug, text = skeleton(project.settings, dt.date(2016, 4, day), None)
    assert slug == "2016-04-22"
    file = issue(text, slug)
    assert file.published == dt.date(2016, 4, 22)
    assert titles.printed_title(file, project.settings) == "The Protection Weekly: 18–22 April 2016"


def test_the_number_follows_the_last_one(project: config.Project) -> None:
    slug, text = skeleton(project.settings, dt.date(2016, 4, 29), issue("number: 245\n"))
    assert issue(text, slug).issue.number == 246
    slug, text = skeleton(project.settings, dt.date(2016, 4, 29), issue("kind: weekly\n"))
    assert issue(text, slug).issue.number is None


def test_the_next_issue_is_about_the_week_after_the_last_ones(project: config.Project) -> None:
    late = issue("published: 2016-04-25\nperiod: {start: 2016-04-18, end: 2016-04-22}\n")
    assert skeleton(project.settings, day_after(late), late)[0] == "2016-04-29"
    assert day_after(issue("number: 1\n")) == dt.date(2016, 4, 29)


def test_a_year_may_end_within_the_week(project: config.Project) -> None:
    slug, text = skeleton(project.settings, dt.date(2016, 12, 31), None)
    assert slug == "2016-12-30"
    slug, text = skeleton(project.settings, dt.date(2016, 1, 1), None)
    assert issue(text, slug).issue.period is not None
    assert "start: 2015-12-28, end: 2016-01-01" in text


def test_each_part_is_explained_and_what_is_commented_out_is_right_too(
    project: config.Project, countries: Countries
) -> None:
    _, text = skeleton(project.settings, dt.date(2016, 4, 22), None)
    assert text.count("\n#") > 10
    lines = [
        line.replace("# ", "", 1)
        for line in text.splitlines()
        if not line.lstrip().startswith("#") or line.lstrip("# ").startswith(KEYS)
    ]
    file = parse(Path("2016-04-22.yaml"), "\n".join(lines).encode(), countries)
    assert file.issue.notices
    assert file.issue.preheader
    assert file.issue.number == 1
    assert len(file.issue.sections[0].items) == 2  # type: ignore[attr-defined]
    assert file.issue.lead.figures  # type: ignore[attr-defined]
    assert file.issue.lead.actions  # type: ignore[attr-defined]


KEYS = (
    "preheader:", "number:", "notices:", "- There", "sections:", "- title", "items:", "- Somebody", "- event:",
    "title:", "host:", "start:", "end:", "timezone:", "place:", "url:", "figures:", "- {", "actions:",
)  # fmt: skip
