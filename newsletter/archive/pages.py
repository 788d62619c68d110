"""The files of the archive: what each one is made from, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from newsletter.archive import views
from newsletter.archive.chart import chart
from newsletter.archive.history import Archive, Archived, History
from newsletter.archive.press import Press
from newsletter.archive.publish import Page, digest
from newsletter.config import Newsletter
from newsletter.issue.countries import Countries

Values = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class Pages:
    """Lists the pages of an archive."""

    press: Press
    archive: Archive
    countries: Countries

    @property
    def settings(self) -> Newsletter:
        """The newsletter's settings."""
        return self.press.settings

    def all(self) -> Iterator[Page]:
        """List every page, feed and the style sheet."""
        archive, settings = self.archive, self.settings
        everything = [text for issue in archive.issues for text in _identity(issue)]
        yield Page("style.css", self.press.digest, self.press.style)
        yield self._page("index.html", "index.html", everything, lambda: views.index(archive, settings))
        yield self._page("feed.xml", "feed.xml", everything, lambda: views.feed(archive, settings))
        yield self._page(
            "countries/index.html",
            "countries.html",
            everything,
            lambda: views.countries_page(archive, settings, self.countries),
        )
        for issue in archive.issues:
            yield self._issue(issue)
        for history in archive.histories:
            yield from self._country(history)

    def _page(self, path: str, template: str, made_from: Sequence[str], values: Values, language: str = "") -> Page:
        return Page(
            path,
            digest(self.press.digest, template, *made_from),
            lambda: self.press.page(template, path, language or self.settings.language, values()),
        )

    def _issue(self, issue: Archived) -> Page:
        near = (issue, *self.archive.beside(issue))
        made_from = [text for other in near for text in _identity(other)]
        made_from += [history.path for history in self._named(issue)]
        made_from += [other.path for other in self.archive.translations(issue)]
        return self._page(
            issue.path,
            "issue.html",
            made_from,
            lambda: views.issue_page(self.archive, self.settings, issue),
            issue.language,
        )

    def _named(self, issue: Archived) -> Iterator[History]:
        places = (place for subject in issue.subjects for place in subject.places)
        return (self.archive.by_key[place.key] for place in places if place.key in self.archive.by_key)

    def _country(self, history: History) -> Iterator[Page]:
        archive, settings = self.archive, self.settings
        told = [text for entry in history.told for text in _identity(entry.issue)]
        around = [other.path for other in archive.histories]
        yield self._page(
            history.path,
            "country.html",
            [*told, *around, repr(chart(history, archive.originals))],
            lambda: views.country_page(archive, settings, self.countries, history),
        )
        yield self._page(
            history.feed_path,
            "country.xml",
            told,
            lambda: views.country_feed(archive, settings, history),
        )


def _identity(issue: Archived | None) -> tuple[str, str]:
    """Return what an issue's row and text are made from; its slug dates an issue that names no day."""
    return (issue.file.slug, issue.digest) if issue else ("", "")
