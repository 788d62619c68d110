"""Countries on the desk: what a name means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from newsletter import config
from newsletter.errors import NewsletterError
from newsletter.issue.countries import Countries, Place
from newsletter.issue.folding import fold


def country_table(start: Path) -> Countries:
    """Return the project's country table; the built-in one where there is no project."""
    try:
        root = config.find(start)
    except NewsletterError:
        return Countries()
    return Countries.from_settings(config.load(root).settings)


def named(table: Countries, name: str) -> tuple[Place, ...]:
    """Return what a name means: a place, the places of a group, or a region; all of them for no name."""
    if not name:
        return (*table.places, *table.regions)
    found = table.resolve(name)
    if found:
        return found
    try:
        place = table.by_key(table.follow(name))
    except NewsletterError:
        return ()
    return (place,) if place else ()


def record(place: Place) -> Mapping[str, Any]:
    """Return what `newsletter countries --format json` says of a place."""
    values = {field.name: getattr(place, field.name) for field in fields(place)}
    return values | {"names": dict(place.names)}


def describe(table: Countries, place: Place) -> str:
    """Describe a place for a person, a line a property."""
    regions = [region.heading for key in place.regions if (region := table.by_key(key))]
    whole = table.by_key(place.part_of) if place.part_of else None
    parts = [part.heading for part in table.places if part.part_of == place.key]
    members = [one.label for one in table.places if place.kind == "region" and place.key in one.regions]
    members.sort(key=fold)
    names = [f"{name} ({language})" for language, name in sorted(place.names.items())]
    rows = (
        ("heading", place.heading),
        ("label", place.label),
        ("key", place.key),
        ("kind", place.kind),
        ("part of", whole.heading if whole else ""),
        ("parts", ", ".join(parts)),
        ("regions", ", ".join(regions)),
        ("holds", ", ".join(members)),
        ("also called", ", ".join(place.aliases)),
        ("names", ", ".join(names)),
    )
    return "\n".join(f"{title + ':':<13}{value}" for title, value in rows if value)
