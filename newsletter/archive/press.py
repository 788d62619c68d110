"""Renders the archive's pages: the templates of templates/archive, phrases in the page's language, relative links."""

from __future__ import annotations

import datetime as dt
import functools
import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from newsletter import __version__, languages
from newsletter.archive.history import address
from newsletter.archive.publish import digest
from newsletter.config import Project
from newsletter.edition import themes, words
from newsletter.issue import prose, titles

THEME = "archive"
# What a page may load: its style sheet and its own pictures. Nothing else, from nowhere else, and no script at all.
POLICY = "default-src 'none'; img-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'"
_WEB = re.compile(r"https?://", re.IGNORECASE)
_CODE = (Path(__file__).parent, Path(titles.__file__).parent)


class Press:
    """Renders templates for one build. `digest` covers what all pages share: templates, phrases, settings, code."""

    def __init__(self, project: Project) -> None:
        self.settings = project.settings
        self._env = themes.environment(project.templates, THEME, mail=False)
        self._folders = (project.templates / THEME, themes.built_in() / THEME, project.templates, themes.built_in())
        self._words: dict[str, words.Words] = {}
        self.digest = digest(__version__, project.source.data, *_contents(self._folders), *_code())

    def words(self, language: str) -> words.Words:
        """Return the phrases of a language: the archive's, then those of the mails."""
        if language not in self._words:
            self._words[language] = words.read(self._folders, language)
        return self._words[language]

    def style(self) -> bytes:
        """Return the style sheet."""
        return themes.loader(self._env).read("style.css").encode()

    def page(self, template: str, path: str, language: str, values: Mapping[str, Any]) -> bytes:
        """Render the page that stands at `path`, in a language."""
        env = self._env.overlay()
        env.filters = {**self._env.filters, **self.filters(path, language)}
        context = {
            "newsletter": self.settings,
            "words": self.words(language),
            "language": language,
            "direction": languages.direction(language),
            "root": _root(path),
            "path": path,
            "policy": POLICY,
            "canonical": address(self.settings, path),
            "address": functools.partial(address, self.settings),
            **values,
        }
        return themes.render(env, template, context).encode()

    def filters(self, path: str, language: str) -> dict[str, Any]:
        """Return the filters of a page's templates.

        `prose`, `inline` and `body` take the page that the text's own #anchors are on, "" for this one.
        """
        root = _root(path)
        return {
            "prose": lambda text, page="": _anchored(prose.render(text), page),
            "inline": lambda text, page="": _anchored(prose.inline(text), page),
            "body": lambda text, level=3: _anchored(prose.render(text, headings=level), ""),
            "plain": prose.plain,
            "day": lambda date: titles.day_text(date, language),
            "period": lambda day, by: _period(day, by, language),
            "event_time": lambda event: titles.event_time_text(event, language),
            "own_picture": lambda src: None if _WEB.match(src) else root + quote(src),
            "link": lambda target: root + quote(target),
            "direction": languages.direction,
        }


def _period(day: dt.date, by: str, language: str) -> str:
    """Write what a bar of a chart stands for."""
    if by == "year":
        return str(day.year)
    return titles.month_text(day, language) if by == "month" else titles.day_text(day, language)


def _root(path: str) -> str:
    """Return the way from a page to the archive's folder."""
    return "../" * path.count("/")


def _anchored(rendered: str, page: str) -> Any:
    """Make links to an anchor lead to the page it is on, for a text that is shown on another one."""
    if page:
        rendered = rendered.replace('<a href="#', f'<a href="{html.escape(page)}#')
    return themes.safe(rendered)


def _contents(folders: tuple[Path, ...]) -> list[bytes]:
    """Return everything in the folders of templates and phrases that pages are made from, names included."""
    archive, mails = folders[:2], folders[2:]
    files = [path for folder in archive for path in sorted(folder.rglob("*")) if path.is_file()]
    files += [path for folder in mails for path in sorted((folder / "words").glob("*.yaml"))]
    return [part for path in files for part in (path.name.encode(), path.read_bytes())]


def _code() -> list[bytes]:
    """Return the code that makes pages, so that a newer program makes them anew."""
    return [path.read_bytes() for folder in _CODE for path in sorted(folder.glob("*.*")) if path.is_file()]
