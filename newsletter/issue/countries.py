"""Countries, their parts and regions: what a name means, what it is printed as, and what to write instead.

A name is looked up exactly, after folding case, accents, apostrophes, dashes and slashes; a suggestion is never
applied by itself. The table is made by scripts/make_countries.py from the OCHA taxonomy and the territory
containment of Unicode CLDR 41, under the house's own headings and aliases.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal

from newsletter.config import SETTINGS_FILE, HeadingSettings, Newsletter
from newsletter.errors import NewsletterError
from newsletter.issue.folding import fold, slug

Kind = Literal["country", "part", "subject", "region"]
_GROUP = " / "
_LIKENESS = 0.72  # of difflib: "Sirya" and "Yemn" find their country, "Foo" finds none


@dataclass(frozen=True, slots=True)
class Place:
    """A country or territory, a part of one, a subject the house declared, or a region.

    `key` is what readers follow: an ISO 3166-1 alpha-3 code ("SYR"; Kosovo is the user-assigned "XKX"), for a part the
    country's code and a name ("SDN-DARFUR"), for subjects and regions a slug. `sort` is the text it is sorted by.
    `regions` are the keys of every region it is in. `names` maps a language (ar, en, es, fr, ru, zh) to its name.
    """

    key: str
    kind: Kind
    heading: str
    label: str
    sort: str
    aliases: tuple[str, ...] = ()
    part_of: str | None = None
    regions: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict, hash=False)

    def heading_in(self, language: str) -> str:
        """Return the house heading for English and languages without a name, else the name in that language."""
        base = language.partition("-")[0].lower()
        return self.heading if base == "en" else self.names.get(base, self.heading)


@dataclass(frozen=True)
class _Table:
    """The built-in table as it ships; folded names map to keys."""

    places: Mapping[str, Place]
    regions: Mapping[str, Place]
    names: Mapping[str, str]
    region_names: Mapping[str, str]
    ambiguous: Mapping[str, tuple[str, ...]]
    two_letters: Mapping[str, str]


@functools.cache
def _table() -> _Table:
    raw = json.loads(resources.files(__package__).joinpath("countries.json").read_bytes())
    countries = {row["key"]: _place(row, "country", tuple(row["regions"])) for row in raw["countries"]}
    parts = {row["key"]: _place(row, "part", countries[row["part_of"]].regions) for row in raw["parts"]}
    return _Table(
        places={**countries, **parts},
        regions={row["key"]: _place(row, "region", ()) for row in raw["regions"]},
        names=raw["names"],
        region_names=raw["region_names"],
        ambiguous={name: tuple(keys) for name, keys in raw["ambiguous"].items()},
        two_letters=raw["two_letters"],
    )


def _place(row: Mapping[str, Any], kind: Kind, regions: tuple[str, ...]) -> Place:
    heading = row["heading"]
    return Place(
        key=row["key"],
        kind=kind,
        heading=heading,
        label=row.get("label", heading),
        sort=row.get("sort", heading),
        aliases=tuple(row["aliases"]),
        part_of=row.get("part_of"),
        regions=regions,
        names=row.get("names", {}),
    )


class Countries:
    """The places a newsletter may name: the built-in table, its house's headings, and its declared subjects."""

    def __init__(self, settings: Newsletter | None = None) -> None:
        self._built_in = _table()
        self._places = dict(self._built_in.places)
        self._names = dict(self._built_in.names)
        if settings is not None:
            self._set_headings(settings.countries)
            self._declare(settings.subjects)

    @classmethod
    def from_settings(cls, settings: Newsletter) -> Countries:
        """Make the table of a newsletter. Raises NewsletterError for headings of unknown countries."""
        return cls(settings)

    @property
    def places(self) -> tuple[Place, ...]:
        """Every country, part and declared subject, in the order of their keys' table."""
        return tuple(self._places.values())

    @property
    def regions(self) -> tuple[Place, ...]:
        """Every region, those of M49 and those of the house."""
        return tuple(self._built_in.regions.values())

    def place(self, name: str) -> Place | None:
        """Return what a name or an alpha-3 code means; None when it is unknown or means several places."""
        key = self._names.get(fold(name))
        return self._places[key] if key else None

    def resolve(self, name: str) -> tuple[Place, ...] | None:
        """Return the place a heading names, or the places of a group joined by " / "; None when one is unknown."""
        place = self.place(name)
        if place:
            return (place,)
        found = [self.place(part) for part in name.split(_GROUP)]
        places = tuple(dict.fromkeys(place for place in found if place))
        return places if len(places) == len(found) else None

    def fault(self, name: str) -> str | None:
        """Say why a heading cannot stand, and what to write; None when it can."""
        if self.resolve(name):
            return None
        parts = name.split(_GROUP)
        if len(parts) > 1:
            faults = [fault for fault in map(self._name_fault, parts) if fault]
            return faults[0] if faults else f"'{name}' names one country twice; write it once"
        return self._name_fault(name)

    def _name_fault(self, name: str) -> str | None:
        folded = fold(name)
        if self.place(name):
            return None
        if folded in self._built_in.ambiguous:
            return f"'{name}' may mean several places; write {self._choice(self.suggestions(name))}"
        if folded in self._built_in.two_letters:
            place = self._places[self._built_in.two_letters[folded]]
            return f"'{name}' is a two-letter code, which is too easily a word; write {place.heading} or {place.key}"
        if folded in self._built_in.region_names:
            return (
                f"'{name}' is a region, not a country; to print updates under it, declare it under 'subjects' in "
                f"{SETTINGS_FILE}"
            )
        group = name.split("/")
        if len(group) > 1 and all(self.place(part) for part in group):
            return f"'{name}' is no country; for a group put spaces around the stroke: '{_GROUP.join(group)}'"
        near = self.suggestions(name)
        hint = (
            f"did you mean {self._choice(near)}?"
            if near
            else f"a subject of another kind is declared in {SETTINGS_FILE}"
        )
        return f"no country is called '{name}'; {hint}"

    @staticmethod
    def _choice(names: tuple[str, ...]) -> str:
        return " or ".join(f"'{name}'" for name in names)

    def suggestions(self, name: str) -> tuple[str, ...]:
        """Return at most three headings that the name may have been meant for, the likeliest first."""
        folded = fold(name)
        if folded in self._built_in.ambiguous:
            keys = self._built_in.ambiguous[folded]
        elif folded in self._built_in.two_letters:
            keys = (self._built_in.two_letters[folded],)
        else:
            candidates = [text for text in self._names if len(text) > 3]  # three letters are a code, near everything
            keys = tuple(self._names[near] for near in difflib.get_close_matches(folded, candidates, 6, _LIKENESS))
        return tuple(dict.fromkeys(self._places[key].heading for key in keys))[:3]

    def by_key(self, key: str) -> Place | None:
        """Return the place or region with a key."""
        return self._places.get(key) or self._built_in.regions.get(key)

    def region(self, key: str) -> Place | None:
        """Return the region with a key; a subject declared under a region's name does not hide it."""
        return self._built_in.regions.get(key)

    def follow(self, name: str) -> str:
        """Return the key a reader follows for the name of a country, part, declared subject or region.

        Raises NewsletterError, with suggestions, for anything else.
        """
        place = self.place(name)
        if place:
            return place.key
        folded = fold(name)
        region = self._built_in.region_names.get(folded) or self._built_in.region_names.get(folded.replace("-", " "))
        if region:
            return region
        near = difflib.get_close_matches(folded, self._built_in.region_names, 1, 0.85)
        if near and not self.suggestions(name):
            heading = self._built_in.regions[self._built_in.region_names[near[0]]].heading
            raise NewsletterError(f"no country or region is called '{name}'; did you mean '{heading}'?")
        raise NewsletterError(self._name_fault(name) or f"no country or region is called '{name}'")

    def _set_headings(self, headings: Mapping[str, HeadingSettings]) -> None:
        seen: dict[str, str] = {}
        for name, own in headings.items():
            place = self.place(name)
            if place is None:
                raise NewsletterError(f"{SETTINGS_FILE}: countries: {self._name_fault(name)}")
            if place.key in seen:
                raise NewsletterError(
                    f"{SETTINGS_FILE}: countries: '{seen[place.key]}' and '{name}' are one country; keep one of them"
                )
            seen[place.key] = name
            self._add(_with_headings(place, own), "countries")

    def _declare(self, subjects: Mapping[str, HeadingSettings]) -> None:
        for name, own in subjects.items():
            known = self.place(name)
            if known:
                what = (
                    f"declared twice, as '{known.heading}'" if known.kind == "subject" else "a country's name already"
                )
                raise NewsletterError(f"{SETTINGS_FILE}: subjects: '{name}' is {what}; give it another name")
            if not slug(name):
                raise NewsletterError(f"{SETTINGS_FILE}: subjects: '{name}' has no letter to name its page by")
            if slug(name) in self._places:
                other = self._places[slug(name)].heading
                raise NewsletterError(
                    f"{SETTINGS_FILE}: subjects: '{name}' is too like '{other}'; give it another name"
                )
            self._names[fold(name)] = slug(name)
            self._add(_with_headings(Place(slug(name), "subject", name, name, name), own), "subjects")

    def _add(self, place: Place, where: str) -> None:
        self._places[place.key] = place
        for name in (place.heading, place.label):
            folded = fold(name)
            if folded in self._built_in.two_letters:
                continue  # a house may print "US" or "UK", and still writes "USA" in its files
            owner = self._names.setdefault(folded, place.key)
            if owner != place.key:
                taken = self._places[owner].heading
                raise NewsletterError(f"{SETTINGS_FILE}: {where}: '{name}' is the name of {taken} already")


def _with_headings(place: Place, own: HeadingSettings) -> Place:
    heading = own.heading or place.heading
    # Who renames a country says what the jump list prints too, unless a label of its own stands beside it.
    label = own.label or (own.heading or place.label)
    sort = own.sort or (own.heading or place.sort)
    return dataclasses.replace(place, heading=heading, label=label, sort=sort)
