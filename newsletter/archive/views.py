"""What the templates of the archive are given: an issue's row and page, a place's page, the lists of both."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from newsletter.archive.chart import chart
from newsletter.archive.history import Archive, Archived, History, Told, address
from newsletter.config import Newsletter
from newsletter.issue import languages, titles
from newsletter.issue.countries import Countries, Place
from newsletter.issue.folding import fold
from newsletter.issue.model import Notice

FEED_ENTRIES = 50
_NEIGHBOURS = 12
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
    rows = [row(issue, settings) for issue in archive.issues]
    years = [(year, list(group)) for year, group in itertools.groupby(rows, key=lambda entry: entry["date"].year)]
    return {"years": years}


def issue_page(
    archive: Archive, settings: Newsletter, issue: Archived, newer: Archived | None, older: Archived | None
) -> dict[str, Any]:
    """Describe an issue's page."""
    translations = [(language, slug) for language, slug in sorted(issue.file.issue.translations.items())]
    return {
        "issue": issue.file.issue,
        "about": row(issue, settings),
        "preheader": titles.preheader(issue.file.issue),
        "published": titles.day_text(issue.file.published, issue.language),
        "subjects": issue.subjects,
        "pages": {subject.number: [_link(archive.by_key[p.key], issue.language) for p in subject.places]
                  for subject in issue.subjects},
        "newer": row(newer, settings) if newer else None,
        "older": row(older, settings) if older else None,
        "translations": [
            (language, archive.by_slug[slug].path) for language, slug in translations if slug in archive.by_slug
        ],
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
    region, neighbours = _neighbours(archive, countries, history)
    return {
        "place": place,
        "heading": place.heading_in(language),
        "history": history,
        "first": history.told[-1].issue.file.published,
        "latest": history.told[0].issue.file.published,
        "years": [(year, list(group)) for year, group in itertools.groupby(blocks, key=lambda b: b["date"].year)],
        "chart": chart(history, archive.issues),
        "whole": whole.heading_in(language) if whole else None,
        "whole_page": _link(archive.by_key[whole.key], language) if whole and whole.key in archive.by_key else None,
        "parts": [_link(other, language) for other in archive.histories if other.place.part_of == place.key],
        "region": region.heading_in(language) if region else None,
        "neighbours": [_link(other, language) for other in neighbours],
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


def _neighbours(archive: Archive, countries: Countries, history: History) -> tuple[Place | None, list[History]]:
    """Return the smallest region that another country with a page is in too, and those countries."""
    others = [other for other in archive.histories if other.place.kind == "country" and other != history]
    others = [other for other in others if other.place.key != history.place.part_of]
    near = []
    for key in history.place.regions:
        found = [other for other in others if key in other.place.regions]
        if found and key not in _CONTINENTS:
            near.append((sum(key in place.regions for place in countries.places), key, found))
    if not near:
        return None, []
    _, key, found = min(near, key=lambda entry: entry[:2])
    return countries.region(key), found[:_NEIGHBOURS]


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
        region.key: [_link(h, language) for h in archive.histories if region.key in h.place.regions] for region in regions
    }
    return {
        "letters": [(letter, list(group)) for letter, group in letters],
        "subjects": [_link(history, language) for history in listed if history.place.kind == "subject"],
        "regions": [
            (region.key, region.heading_in(language), members[region.key]) for region in regions if members[region.key]
        ],
    }


def feed(archive: Archive, settings: Newsletter) -> dict[str, Any]:
    """Describe the feed of issues: the newest 50."""
    entries = [
        {**row(issue, settings), "summary": titles.preheader(issue.file.issue), "issue": issue.file.issue,
         "subjects": issue.subjects}
        for issue in archive.issues[:FEED_ENTRIES]
    ]
    return {"entries": entries, "updated": _updated(archive.issues)}


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
