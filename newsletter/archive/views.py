"""What the templates of the archive are given: an issue's row and page, a place's page, the lists of both."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from newsletter import languages
from newsletter.archive.chart import chart
from newsletter.archive.history import Archive, Archived, History, Told, address
from newsletter.config import Newsletter
from newsletter.issue import titles
from newsletter.issue.countries import Countries
from newsletter.issue.folding import fold
from newsletter.issue.model import Notice

FEED_ENTRIES = 50
_REGIONS = 3
_CONTINENTS = frozenset({"africa", "americas", "asia", "europe", "oceania"})


def row(issue: Archived, settings: Newsletter) -> dict[str, Any]:
    """Describe an issue in a list of issues, in its own language."""
    file, language = issue.file, issue.language
    lead = getattr(file.issue, "lead", None)
    title = titles.printed_title(file, settings)
    period = file.issue.period
    when = titles.period_text(period, language) if period else titles.day_text(file.published, language)
    return {
        "path": issue.path,
        "slug": file.slug,
        "date": file.published,
        "number": file.issue.number,
        "title": title,
        "when": when,
        # What tells issues apart: the lead's title, or its own one where it has no lead.
        "headline": lead.title if lead else file.issue.title,
        "labels": [subject.label for subject in issue.subjects],
        "notice": isinstance(file.issue, Notice),
        "language": language,
        "direction": languages.direction(language),
    }


def index(archive: Archive, settings: Newsletter) -> dict[str, Any]:
    """Describe the first page: every issue, by year."""
    rows = [{**row(issue, settings), "translations": _translations(archive, issue)} for issue in archive.originals]
    years = [(year, list(group)) for year, group in itertools.groupby(rows, key=lambda entry: entry["date"].year)]
    return {"years": years}


def issue_page(archive: Archive, settings: Newsletter, issue: Archived) -> dict[str, Any]:
    """Describe an issue's page."""
    newer, older = archive.beside(issue)
    about = row(issue, settings)
    # The masthead names the newsletter already; a title made from the usual pattern needs not say it again.
    bare = about["title"].removeprefix(settings.name).strip(" :,–—·")
    return {
        **_matter(issue),
        "about": about,
        "printed_title": bare or about["title"],
        "preheader": titles.preheader(issue.file.issue),
        "published": titles.day_text(issue.file.published, issue.language),
        "subjects": issue.subjects,
        "pages": {
            subject.number: [
                _link(archive.by_key[place.key], issue.language)
                for place in subject.places
                if place.key in archive.by_key
            ]
            for subject in issue.subjects
        },
        "newer": row(newer, settings) if newer else None,
        "older": row(older, settings) if older else None,
        "translations": _translations(archive, issue),
    }


def _translations(archive: Archive, issue: Archived) -> list[tuple[str, str]]:
    return [(other.language, other.path) for other in archive.translations(issue)]


def _matter(issue: Archived) -> dict[str, Any]:
    """Return an issue with what only some kinds have: a lead, a body, sections."""
    content = issue.file.issue
    return {
        "issue": content,
        "lead": getattr(content, "lead", None),
        "body": getattr(content, "body", None),
        "sections": getattr(content, "sections", ()),
    }


def _link(history: History, language: str) -> dict[str, Any]:
    return {
        "path": history.path,
        "heading": history.place.heading_in(language),
        "label": history.place.label,
        "count": history.count,
        "latest": history.told[0].issue.file.published,
        "kind": history.place.kind,
    }


def country_page(archive: Archive, settings: Newsletter, countries: Countries, history: History) -> dict[str, Any]:
    """Describe a place's page: what every issue said about it, its parts, what it is part of, its neighbours."""
    language, place = settings.language, history.place
    whole = countries.by_key(place.part_of) if place.part_of else None
    blocks = [_block(archive, settings, history, list(told)) for _, told in _by_issue(history.told)]
    return {
        "place": place,
        "heading": place.heading_in(language),
        "history": history,
        "first": history.told[-1].issue.file.published,
        "latest": history.told[0].issue.file.published,
        "years": [(year, list(group)) for year, group in itertools.groupby(blocks, key=lambda b: b["date"].year)],
        "chart": chart(history, archive.originals),
        "whole": whole.heading_in(language) if whole else None,
        "whole_page": _link(archive.by_key[whole.key], language) if whole and whole.key in archive.by_key else None,
        "parts": [_link(other, language) for other in archive.histories if other.place.part_of == place.key],
        "near": _near(archive, settings, countries, history),
    }


def _by_issue(told: Iterable[Told]) -> Iterable[tuple[str, Iterable[Told]]]:
    return itertools.groupby(told, key=lambda entry: entry.issue.file.slug)


def _block(archive: Archive, settings: Newsletter, history: History, told: Sequence[Told]) -> dict[str, Any]:
    """Describe what one issue said about a place; it may stand there alone and in a group."""
    return {
        **row(told[0].issue, settings),
        "told": [
            {
                "subject": entry.subject,
                "page": f"../{entry.issue.path}",
                "with": [
                    _link(archive.by_key[place.key], settings.language)
                    for place in entry.subject.places
                    if place != history.place
                ],
                "renamed": fold(entry.subject.heading)
                not in {fold(history.place.heading), fold(history.place.heading_in(entry.issue.language))},
            }
            for entry in told
        ],
    }


def _near(archive: Archive, settings: Newsletter, countries: Countries, history: History) -> list[dict[str, Any]]:
    """Return the regions a place shares with other countries that have a page, the smallest regions first.

    At most three; a region that would name the same countries as a smaller one is left out, and so is a continent.
    """
    place = history.place
    others = [other for other in archive.histories if other.place.kind == "country"]
    others = [other for other in others if other.place.key not in (place.key, place.part_of)]
    sizes = {key: sum(key in other.regions for other in countries.places) for key in place.regions}
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for key in sorted(sizes, key=lambda key: (sizes[key], key)):
        region = countries.region(key)
        members = [other for other in others if key in other.place.regions]
        names = tuple(other.place.key for other in members)
        if region and members and key not in _CONTINENTS and names not in found:
            heading = region.heading_in(settings.language)
            found[names] = {"heading": heading, "places": [_link(other, settings.language) for other in members]}
    return list(found.values())[:_REGIONS]


def countries_page(archive: Archive, settings: Newsletter, countries: Countries) -> dict[str, Any]:
    """Describe the list of places: by name, with parts under their country, and by region."""
    language = settings.language
    parts: dict[str, list[History]] = {}
    for history in archive.histories:
        if history.place.part_of and history.place.part_of in archive.by_key:
            parts.setdefault(history.place.part_of, []).append(history)
    nested = {part.place.key for group in parts.values() for part in group}
    listed = [history for history in archive.histories if history.place.key not in nested]
    entries = [
        {**_link(history, language), "parts": [_link(part, language) for part in parts.get(history.place.key, ())]}
        for history in listed
        if history.place.kind != "subject"
    ]
    letters = itertools.groupby(entries, key=lambda entry: fold(entry["heading"])[:1].upper())
    regions = sorted(countries.regions, key=lambda region: fold(region.heading_in(language)))
    members = {
        region.key: [_link(h, language) for h in archive.histories if region.key in h.place.regions]
        for region in regions
    }
    return {
        "letters": [(letter, list(group)) for letter, group in letters],
        "subjects": [_link(history, language) for history in listed if history.place.kind == "subject"],
        "regions": [
            (region.key, region.heading_in(language), members[region.key])
            for region in regions
            if members[region.key] and region.key not in _CONTINENTS
        ],
    }


def feed(archive: Archive, settings: Newsletter) -> dict[str, Any]:
    """Describe the feed of issues: the newest 50."""
    entries = [
        {
            **row(issue, settings),
            **_matter(issue),
            "summary": titles.preheader(issue.file.issue),
            "subjects": issue.subjects,
            "translations": _translations(archive, issue),
        }
        for issue in archive.originals[:FEED_ENTRIES]
    ]
    return {"entries": entries, "updated": _updated(archive.originals)}


def country_feed(archive: Archive, settings: Newsletter, history: History) -> dict[str, Any]:
    """Describe the feed of a place: what the newest 50 issues that name it said."""
    blocks = [_block(archive, settings, history, list(told)) for _, told in _by_issue(history.told)]
    return {
        "history": history,
        "heading": history.place.heading_in(settings.language),
        "page": address(settings, history.path),
        "entries": blocks[:FEED_ENTRIES],
        "updated": _updated([told.issue for told in history.told]),
    }


def _updated(issues: Sequence[Archived]) -> dt.date:
    """Return the newest day; a feed without entries still needs one (RFC 4287, 4.1.1)."""
    return max((issue.file.published for issue in issues), default=dt.date(1970, 1, 1))
