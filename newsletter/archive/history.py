"""The archive's matter: its issues in order, and what each of them said about each place."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from newsletter.archive.publish import digest
from newsletter.config import Newsletter
from newsletter.issue.countries import Countries, Place
from newsletter.issue.folding import fold, slug
from newsletter.issue.load import IssueFile
from newsletter.issue.subjects import PrintedSubject, printed


@dataclass(frozen=True)
class Archived:
    """An issue in the archive, with its subjects in printed order. `digest` is that of its file.

    `translates` is the slug of the issue in the archive's own language that says the same.
    """

    file: IssueFile
    language: str
    subjects: tuple[PrintedSubject, ...]
    digest: str
    translates: str | None = None

    @property
    def path(self) -> str:
        """Where its page stands in the archive's folder."""
        return f"issues/{self.file.slug}.html"


@dataclass(frozen=True)
class Told:
    """What one issue said under one subject."""

    issue: Archived
    subject: PrintedSubject


@dataclass(frozen=True)
class History:
    """All the archive holds about one place, newest first. `name` is that of its page, without folder and ending."""

    place: Place
    name: str
    told: tuple[Told, ...]

    @property
    def path(self) -> str:
        """Where its page stands in the archive's folder."""
        return f"countries/{self.name}.html"

    @property
    def feed_path(self) -> str:
        """Where its feed stands."""
        return f"countries/{self.name}.xml"

    @functools.cached_property
    def counts(self) -> Mapping[str, int]:
        """How many updates each issue has, by slug; issues without one are not in it."""
        found: dict[str, int] = {}
        for told in self.told:
            slug_told = told.issue.file.slug
            found[slug_told] = found.get(slug_told, 0) + len(told.subject.updates)
        return found

    @property
    def count(self) -> int:
        """How many updates there are."""
        return sum(self.counts.values())

    @property
    def issues(self) -> int:
        """How many issues they are from."""
        return len(self.counts)


@dataclass(frozen=True)
class Archive:
    """All issues, newest first, and the history of every place they name, by heading in the archive's language."""

    issues: tuple[Archived, ...]
    histories: tuple[History, ...]

    @functools.cached_property
    def originals(self) -> tuple[Archived, ...]:
        """The issues that are no translation of another one: what lists, histories and feeds go through."""
        return tuple(issue for issue in self.issues if issue.translates is None)

    def beside(self, issue: Archived) -> tuple[Archived | None, Archived | None]:
        """Return the next and the previous issue; for a translation those in its own language."""
        return self._beside[issue.file.slug]

    @functools.cached_property
    def _beside(self) -> Mapping[str, tuple[Archived | None, Archived | None]]:
        chains: dict[str, list[Archived]] = {}
        for issue in self.issues:
            chains.setdefault(issue.language if issue.translates else "", []).append(issue)
        return {
            issue.file.slug: (newer, older)
            for chain in chains.values()
            for newer, issue, older in zip([None, *chain], chain, [*chain[1:], None], strict=False)
        }

    def translations(self, issue: Archived) -> tuple[Archived, ...]:
        """Return the issues that say the same in other languages, by language."""
        original = issue.translates or issue.file.slug
        slugs = {original, *self._translated.get(original, ()), *issue.file.issue.translations.values()}
        found = (self.by_slug[slug] for slug in slugs if slug in self.by_slug and slug != issue.file.slug)
        return tuple(sorted(found, key=lambda other: (other.language, other.file.slug)))

    @functools.cached_property
    def _translated(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for issue in self.issues:
            if issue.translates:
                found.setdefault(issue.translates, []).append(issue.file.slug)
        return found

    @functools.cached_property
    def by_slug(self) -> Mapping[str, Archived]:
        """The issues by slug."""
        return {issue.file.slug: issue for issue in self.issues}

    @functools.cached_property
    def by_key(self) -> Mapping[str, History]:
        """The histories by the key of their place."""
        return {history.place.key: history for history in self.histories}


def collect(files: Iterable[IssueFile], settings: Newsletter, countries: Countries) -> Archive:
    """Put the issues of a newsletter in order, and collect what they say about each place."""
    issues = archived(files, settings, countries)
    return Archive(issues, histories([issue for issue in issues if not issue.translates], settings.language))


def archived(files: Iterable[IssueFile], settings: Newsletter, countries: Countries) -> tuple[Archived, ...]:
    """Return the issues newest first, each with its subjects."""
    ordered = sorted(files, key=lambda file: (file.published, file.slug), reverse=True)
    translates = _originals(ordered, settings.language)
    return tuple(
        Archived(
            file=file,
            language=file.issue.language or settings.language,
            subjects=printed(file.issue, countries, file.issue.language or settings.language),
            digest=digest(file.source.data),
            translates=translates.get(file.slug),
        )
        for file in ordered
    )


def _originals(files: Sequence[IssueFile], language: str) -> dict[str, str]:
    """Map each translation's slug to the slug of the issue in the archive's language; either may name the other."""
    own = {file.slug for file in files if (file.issue.language or language) == language}
    others = {file.slug for file in files} - own
    found: dict[str, str] = {}
    for file in files:
        for slug_named in file.issue.translations.values():
            for original, translation in ((file.slug, slug_named), (slug_named, file.slug)):
                if original in own and translation in others:
                    found.setdefault(translation, original)
    return found


def histories(issues: Sequence[Archived], language: str) -> tuple[History, ...]:
    """Return the history of every place the issues name, sorted by heading in a language.

    A group's updates belong to each of its countries; those of a part only to the part, whose country links to it.
    """
    told: dict[Place, list[Told]] = {}
    for issue in issues:
        for subject in issue.subjects:
            for place in subject.places:
                told.setdefault(place, []).append(Told(issue, subject))
    places = sorted(told, key=lambda place: (fold(_sorted_by(place, language)), place.key))
    names = _names(places)
    return tuple(History(place, names[place.key], tuple(told[place])) for place in places)


def _sorted_by(place: Place, language: str) -> str:
    heading = place.heading_in(language)
    return place.sort if heading == place.heading else heading


def _names(places: Iterable[Place]) -> dict[str, str]:
    """Name each place's page by its English heading, which is in addresses for good; by its key where that is taken."""
    names: dict[str, str] = {}
    for place in sorted(places, key=lambda place: place.key):
        name = slug(place.heading)
        taken = not name or name == "index" or name in names.values()
        names[place.key] = f"{place.kind}-{slug(place.key)}" if taken else name
    return names


def address(settings: Newsletter, path: str) -> str:
    """Return the public address of a file of the archive."""
    return f"{settings.url}/archive/{quote(path)}"
