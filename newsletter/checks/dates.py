"""Checks of an issue's days and numbers: period, slug, title, sequence, events."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

from newsletter.checks.finding import check
from newsletter.checks.proof import Proof, Spot
from newsletter.issue.load import dated

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_YEAR = re.compile(r"(?<![\w.,/-])(?:19|20)\d\d(?![\w/-])")
_NUMBERED = re.compile(r"(?:\bNo\.?|\bnumber|\bissue|#|№|\bn°)\s*(\d{1,6})\b", re.IGNORECASE)
_DAY = re.compile(rf"\b(\d{{1,2}}) ({'|'.join(_MONTHS)})\b")


def _titles(proof: Proof) -> Iterator[tuple[str, str]]:
    for key in ("title", "subject"):
        text = getattr(proof.file.issue, key)
        if text:
            yield key, text


@check("period-order", "block")
def period_order(proof: Proof) -> Iterator[Spot]:
    """The period ends before it starts; the title printed from it would be wrong."""
    period = proof.file.issue.period
    if period and period.end < period.start:
        yield proof.spot(
            f"the period ends on {period.end}, before it starts on {period.start}; swap or mend them", ("period",)
        )


@check("period-overlap", "warn")
def period_overlap(proof: Proof) -> Iterator[Spot]:
    """The period starts before the last weekly's has ended, so one of the two is likely wrong."""
    period, previous = proof.file.issue.period, proof.previous
    if period and previous and previous.issue.period and period.start <= previous.issue.period.end:
        message = (
            f"the period starts on {period.start}, but {previous.slug} covers the days to {previous.issue.period.end}"
        )
        yield proof.spot(message, ("period",))


@check("period-missing", "info")
def period_missing(proof: Proof) -> Iterator[Spot]:
    """A weekly without a period is printed with its day of publication only."""
    if proof.weekly and not proof.weekly.period:
        yield proof.spot("the weekly has no period; write 'period: {start: 2016-04-18, end: 2016-04-22}'")


@check("title-date", "warn")
def title_date(proof: Proof) -> Iterator[Spot]:
    """The title or subject names a day or a year that is not the issue's; it was likely copied from an older one."""
    issue, published = proof.file.issue, proof.file.published
    first = issue.period.start if issue.period else published
    last = max(issue.period.end if issue.period else published, published)
    days = {first + dt.timedelta(n) for n in range(min(max((last - first).days, 0), 400) + 1)} | {published}
    for key, text in _titles(proof):
        for match in _YEAR.finditer(text):
            if int(match[0]) not in {day.year for day in days}:
                yield proof.spot(f"the {key} says {match[0]}, but the issue is of {published.year}: '{text}'", (key,))
        for match in _DAY.finditer(text):
            if (int(match[1]), _MONTHS.index(match[2]) + 1) not in {(day.day, day.month) for day in days}:
                yield proof.spot(f"the {key} says {match[0]}, which is no day of this issue: '{text}'", (key,))


@check("title-number", "warn")
def title_number(proof: Proof) -> Iterator[Spot]:
    """The title or subject carries another number than the issue."""
    number = proof.file.issue.number
    for key, text in _titles(proof):
        for match in _NUMBERED.finditer(text):
            if number and int(match[1]) != number:
                yield proof.spot(f"the {key} says '{match[0]}', but the issue's number is {number}", (key,))


@check("number-sequence", "warn")
def number_sequence(proof: Proof) -> Iterator[Spot]:
    """The issue's number does not follow the last weekly's; libraries and readers count on it."""
    previous = proof.previous
    if not proof.weekly or not previous or not previous.issue.number:
        return
    expected, number = previous.issue.number + 1, proof.weekly.number
    if number != expected:
        said = f"the number is {number}" if number else "the issue has no number"
        yield proof.spot(
            f"{said}, but {previous.slug} was number {previous.issue.number}; write 'number: {expected}'", ("number",)
        )


@check("slug-date", "warn")
def slug_date(proof: Proof) -> Iterator[Spot]:
    """The file's name starts with another day than the issue is published on; links to it would mislead for good."""
    named, published = dated(proof.file.slug), proof.file.published
    if named and named != published:
        key = "published" if proof.file.issue.published else "period"
        message = (
            f"the file is called {proof.file.slug}, but the issue is published on {published}; mend one of the two"
        )
        yield proof.spot(message, (key,))


@check("event-order", "block")
def event_order(proof: Proof) -> Iterator[Spot]:
    """An event ends before it starts, or at the very minute; one of its two times is wrong."""
    for place, item in proof.items:
        event = item.event
        if event and event.end and event.end <= event.start:
            hours = f"{event.end:%Y-%m-%d %H:%M}, not after its start at {event.start:%Y-%m-%d %H:%M}"
            message = f"'{event.title}' ends at {hours}"
            yield proof.spot(message, (*place, "event", "end"))


@check("event-past", "warn")
def event_past(proof: Proof) -> Iterator[Spot]:
    """An event is over before the issue reaches anybody."""
    for place, item in proof.items:
        event = item.event
        if event and (event.end or event.start).date() < proof.file.published:
            message = (
                f"'{event.title}' is on {event.start:%Y-%m-%d}, before the issue is published on {proof.file.published}"
            )
            yield proof.spot(message, (*place, "event", "start"))


@check("source-date", "warn")
def source_date(proof: Proof) -> Iterator[Spot]:
    """A source or publication is dated after the issue that reports on it."""
    dates = [((*place, "source", "date"), update.source) for place, _, update in proof.updates]
    dates += [((*place, "source", "date"), item.source) for place, item in proof.items]
    found = [(place, source.name, source.date) for place, source in dates if source]
    papers = ((place, item.publication) for place, item in proof.items)
    found += [((*place, "publication", "date"), paper.title, paper.date) for place, paper in papers if paper]
    for where, name, day in found:
        if day and day > proof.file.published:
            yield proof.spot(f"'{name}' is dated {day}, after the issue is published on {proof.file.published}", where)


@check("translation-missing", "warn")
def translation_missing(proof: Proof) -> Iterator[Spot]:
    """The issue names a translation that is not in the folder, so the archive would link nothing."""
    for language, slug in proof.file.issue.translations.items():
        if not (proof.project.issues / f"{slug}.yaml").is_file():
            yield proof.spot(
                f"there is no issue {slug} to be the translation into '{language}'", ("translations", language)
            )
