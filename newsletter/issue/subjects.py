"""Subjects as they are printed: their order, heading, label, anchor, and the keys readers follow them by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from newsletter.errors import NewsletterError
from newsletter.issue.countries import Countries, Place
from newsletter.issue.folding import fold, slug
from newsletter.issue.model import Issue, Subject, Update, Weekly

__all__ = ["PrintedSubject", "fold", "printed"]


@dataclass(frozen=True)
class PrintedSubject:
    """A subject in its printed place. `number` counts from 0 in printed order; `name` is the key in the file.

    `anchor` is unique in the issue and ASCII, so that it works as a link in every mail program. `keys` are the keys
    of its places, of what they are part of, and of every region they are in.
    """

    number: int
    name: str
    heading: str
    label: str
    anchor: str
    sort_key: str
    keys: frozenset[str]
    places: tuple[Place, ...]
    style: str
    intro: str | None
    updates: tuple[Update, ...]


def printed(issue: Issue, countries: Countries, language: str) -> tuple[PrintedSubject, ...]:
    """Return an issue's subjects in printed order; () for kinds without subjects.

    The order is alphabetical by heading, folded, a leading "The" dropped, `sort` overriding. Raises NewsletterError
    for a name the table does not know, which a loaded issue never holds.
    """
    if not isinstance(issue, Weekly):
        return ()
    found = [(_places(name, subject, countries), name, subject) for name, subject in issue.updates.items()]
    headed = [(_heading(places, name, subject, language), places, name, subject) for places, name, subject in found]
    ordered = sorted(headed, key=lambda entry: (_sort_key(entry[0], entry[1], entry[3], language), fold(entry[2])))
    anchors = _anchors((heading, places) for heading, places, _, _ in ordered)
    return tuple(
        PrintedSubject(
            number=number,
            name=name,
            heading=heading,
            label=_label(heading, places, subject, language),
            anchor=next(anchors),
            sort_key=_sort_key(heading, places, subject, language),
            keys=frozenset(_keys(places)),
            places=places,
            style=subject.style,
            intro=subject.intro,
            updates=subject.updates,
        )
        for number, (heading, places, name, subject) in enumerate(ordered)
    )


def _places(name: str, subject: Subject, countries: Countries) -> tuple[Place, ...]:
    """Return the places of a subject: those its name means, then those it lists; a listing one may be called anything.

    A heading like "Lake Chad" with its countries listed belongs to those alone.
    """
    named = countries.resolve(name)
    if named is None and not subject.countries:
        raise NewsletterError(countries.fault(name) or f"no country is called '{name}'")
    listed: list[Place] = list(named or ())
    for entry in subject.countries:
        places = countries.resolve(entry)
        if places is None:
            raise NewsletterError(countries.fault(entry) or f"no country is called '{entry}'")
        listed.extend(places)
    return tuple(dict.fromkeys(listed))


def _own_name(name: str, subject: Subject, places: tuple[Place, ...]) -> bool:
    """Say whether a subject that lists its countries goes by the name it was given in the file."""
    return bool(subject.countries) and fold(name) not in {fold(place.heading) for place in places}


def _heading(places: tuple[Place, ...], name: str, subject: Subject, language: str) -> str:
    if subject.heading:
        return subject.heading
    if _own_name(name, subject, places):
        return name
    return " / ".join(place.heading_in(language) for place in places)


def _label(heading: str, places: tuple[Place, ...], subject: Subject, language: str) -> str:
    if subject.label:
        return subject.label
    if heading != " / ".join(place.heading_in(language) for place in places):
        return heading
    return " / ".join(_short(place, language) for place in places)


def _short(place: Place, language: str) -> str:
    """Return the house label where the heading is the house's too, else the name: labels are English abbreviations."""
    heading = place.heading_in(language)
    return place.label if heading == place.heading else heading


def _sort_key(heading: str, places: tuple[Place, ...], subject: Subject, language: str) -> str:
    if subject.sort:
        return fold(subject.sort)
    if len(places) == 1 and heading == places[0].heading == places[0].heading_in(language):
        return fold(places[0].sort)
    return fold(heading)


def _keys(places: Iterable[Place]) -> Iterator[str]:
    for place in places:
        yield place.key
        yield from place.regions
        if place.part_of:
            yield place.part_of


def _anchors(headings: Iterable[tuple[str, tuple[Place, ...]]]) -> Iterator[str]:
    used: set[str] = set()
    for heading, places in headings:
        candidates = (slug(heading), slug(" ".join(place.heading for place in places)))
        base = next((text for text in candidates if text and text.isascii()), "subject")
        anchor, count = base, 1
        while anchor in used:
            count += 1
            anchor = f"{base}-{count}"
        used.add(anchor)
        yield anchor
