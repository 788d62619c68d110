"""The bars on a country's page: how much each issue, month or year said about it, gaps included."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from newsletter.archive.history import Archived, History

_MOST_ISSUES = 60
_MOST_MONTHS = 180
_WIDTH = 640
_HEIGHT = 40
_LEAST = 3  # a single update beside a busy week is still seen

_Counted = tuple[dt.date, int, str]


@dataclass(frozen=True)
class Bar:
    """A column, oldest first: how many updates, its height of 40, what it stands for, and the id it leads to."""

    x: int
    height: int
    count: int
    day: dt.date
    target: str | None

    @property
    def y(self) -> int:
        """Where its top stands, from above."""
        return _HEIGHT - self.height


@dataclass(frozen=True)
class Chart:
    """Bars in a drawing `width` wide and 40 high; `by` says what a bar stands for."""

    by: Literal["issue", "month", "year"]
    bars: tuple[Bar, ...]
    width: int
    step: int

    @property
    def gap(self) -> int:
        """The room between two bars."""
        return max(1, self.step // 4)


def chart(history: History, issues: Sequence[Archived]) -> Chart | None:
    """Draw a place's history over all issues of the archive; None where there is nothing to compare."""
    with_subjects = [issue for issue in reversed(issues) if issue.subjects]
    counted = [
        (issue.file.published, history.counts.get(issue.file.slug, 0), issue.file.slug) for issue in with_subjects
    ]
    if len(counted) < 2:
        return None
    if len(counted) <= _MOST_ISSUES:
        return _drawn("issue", counted)
    months = _summed(counted, lambda day: day.replace(day=1))
    if len(months) <= _MOST_MONTHS:
        return _drawn("month", months)
    return _drawn("year", _summed(counted, lambda day: day.replace(month=1, day=1)))


def _summed(counted: Sequence[_Counted], period: Callable[[dt.date], dt.date]) -> list[_Counted]:
    """Add up by period, with a 0 for every period in between; the newest issue of a period is where its bar leads."""
    sums: dict[dt.date, tuple[int, str]] = {}
    for day, count, slug in counted:
        before, target = sums.get(period(day), (0, ""))
        sums[period(day)] = (before + count, slug if count else target)
    found: list[_Counted] = []
    day, last = min(sums), max(sums)
    while day <= last:
        if period(day) == day:
            found.append((day, *sums.get(day, (0, ""))))
        day += dt.timedelta(days=1)
    return found


def _drawn(by: Literal["issue", "month", "year"], counted: Sequence[_Counted]) -> Chart:
    most = max(count for _, count, _ in counted)
    step = max(4, min(20, _WIDTH // len(counted)))
    bars = tuple(
        Bar(
            x=number * step,
            height=max(_LEAST, round(_HEIGHT * count / most)) if count else 0,
            count=count,
            day=day,
            target=slug if count else None,
        )
        for number, (day, count, slug) in enumerate(counted)
    )
    return Chart(by, bars, step * len(bars), step)
