from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from newsletter import config
from newsletter.archive import site
from newsletter.archive.chart import Chart, chart
from newsletter.archive.history import Archive, collect
from newsletter.issue import folder
from newsletter.issue.countries import Countries


def archive(root: Path, issues: dict[str, str]) -> Archive:
    for path in (root / "issues").glob("*.yaml"):
        path.unlink()
    for slug, text in issues.items():
        (root / "issues" / f"{slug}.yaml").write_text(text, "utf-8")
    project = config.load(root)
    countries = Countries.from_settings(project.settings)
    return collect(folder.load_all(project, countries), project.settings, countries)


def drawn(made: Archive, key: str) -> Chart | None:
    return chart(made.by_key[key], made.originals)


def issues_every(weeks: int, count: int) -> dict[str, str]:
    days = (dt.date(2000, 1, 7) + dt.timedelta(weeks=weeks * number) for number in range(count))
    return {day.isoformat(): "{updates: {Syria: [News.]}}" for day in days}


def test_histories_are_sorted_by_heading_and_newest_first(root: Path) -> None:
    made = archive(
        root,
        {
            "2016-01-01": "{updates: {Yemen: [a], Côte d'Ivoire: [a], Croatia: [a]}}",
            "2016-01-08": "{updates: {Yemen: [a, b]}}",
        },
    )
    assert [history.name for history in made.histories] == ["cote-divoire", "croatia", "yemen"]
    yemen = made.by_key["YEM"]
    assert [told.issue.file.slug for told in yemen.told] == ["2016-01-08", "2016-01-01"]
    assert (yemen.count, yemen.issues, yemen.counts["2016-01-08"]) == (3, 2, 2)


def test_a_page_of_a_place_whose_name_is_taken_is_named_by_its_key(root: Path) -> None:
    settings = (root / "newsletter.yaml").read_text("utf-8").replace("Burma/Myanmar", "Burma Myanmar")
    (root / "newsletter.yaml").write_text(
        settings.replace("subjects:", 'subjects:\n  "Burma+Myanmar": {}\n  Index: {}'), "utf-8"
    )
    made = archive(root, {"2016-01-01": '{updates: {"Burma+Myanmar": [a], MMR: [a], Index: [a]}}'})
    assert {history.place.key: history.name for history in made.histories} == {
        "MMR": "burma-myanmar",
        "burma-myanmar": "subject-burma-myanmar",
        "index": "subject-index",
    }


def test_a_translation_may_be_named_by_either_side(root: Path) -> None:
    made = archive(
        root,
        {
            "2016-01-01": "{updates: {Syria: [a]}}",
            "2016-01-01-fr": "{language: fr, translations: {en: 2016-01-01}, updates: {Syria: [a]}}",
            "2016-01-01-es": "{language: es, translations: {fr: 2016-01-01-fr, en: nowhere}, updates: {Mali: [a]}}",
            "2016-01-08": "{translations: {fr: 2016-01-08-fr}, updates: {Syria: [a]}}",
            "2016-01-08-fr": "{language: fr, updates: {Syria: [a]}}",
        },
    )
    assert [issue.file.slug for issue in made.originals] == ["2016-01-08", "2016-01-01-es", "2016-01-01"]
    french = made.by_slug["2016-01-08-fr"]
    assert [other.file.slug if other else None for other in made.beside(french)] == [None, "2016-01-01-fr"]
    assert [other.file.slug for other in made.translations(made.by_slug["2016-01-01"])] == ["2016-01-01-fr"]
    assert [other.file.slug for other in made.translations(made.by_slug["2016-01-01-es"])] == ["2016-01-01-fr"]


def test_one_issue_draws_no_chart(root: Path) -> None:
    assert drawn(archive(root, {"2016-01-01": "{updates: {Syria: [a]}}"}), "SYR") is None


def test_bars_stand_for_issues_while_they_are_few(root: Path) -> None:
    made = archive(
        root,
        {
            "2016-01-01": "{updates: {Syria: [a, b, c, d]}}",
            "2016-01-08": "{updates: {Mali: [a]}}",
            "2016-01-12-note": "{kind: notice, title: A note, body: Words.}",
            "2016-01-15": "{updates: {Syria: [a]}}",
        },
    )
    found = drawn(made, "SYR")
    assert found is not None
    assert found.by == "issue"
    assert [(bar.count, bar.height, bar.y, bar.target) for bar in found.bars] == [
        (4, 40, 0, "2016-01-01"),
        (0, 0, 40, None),
        (1, 10, 30, "2016-01-15"),
    ]
    assert found.width == len(found.bars) * found.step
    assert 0 < found.gap < found.step


def test_a_single_update_is_seen_beside_a_busy_week(root: Path) -> None:
    busy = ", ".join(f"update {number}" for number in range(100))
    made = archive(root, {"2016-01-01": f"{{updates: {{Syria: [{busy}]}}}}", "2016-01-08": "{updates: {Syria: [a]}}"})
    found = drawn(made, "SYR")
    assert found is not None
    assert found.bars[1].height == 3


@pytest.mark.parametrize(
    ("weeks", "count", "by", "bars"), [(1, 60, "issue", 60), (1, 70, "month", 17), (13, 70, "year", 18)]
)
def test_bars_grow_from_issues_to_months_to_years(root: Path, weeks: int, count: int, by: str, bars: int) -> None:
    found = drawn(archive(root, issues_every(weeks, count)), "SYR")
    assert found is not None
    assert (found.by, len(found.bars), sum(bar.count for bar in found.bars)) == (by, bars, count)
    assert found.width <= 640


def test_a_month_without_an_issue_is_a_gap_and_a_bar_leads_to_the_newest_of_its_issues(root: Path) -> None:
    found = drawn(archive(root, {**issues_every(1, 61), "2002-01-04": "{updates: {Syria: [News.]}}"}), "SYR")
    assert found is not None
    assert (found.by, found.bars[0].target, found.bars[-1].target) == ("month", "2000-01-28", "2002-01-04")
    assert (found.bars[-2].count, found.bars[-2].target) == (0, None)


@pytest.mark.parametrize(
    ("weeks", "said"),
    [(1, "Updates per month · January 2000 – May 2001"), (13, "Updates per year · 2000 – 2017")],
)
def test_a_long_history_says_its_months_or_years_in_words(
    root: Path, build: Callable[[], site.Report], out: Path, weeks: int, said: str
) -> None:
    archive(root, {slug: f"number: 1\n{text[1:-1]}\n" for slug, text in issues_every(weeks, 70).items()})
    build()
    assert said in (out / "countries/syria.html").read_text("utf-8")
