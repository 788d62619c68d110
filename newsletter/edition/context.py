"""What a theme's templates are given: the names they print, and the filters they print them with."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from newsletter import languages
from newsletter.config import Newsletter
from newsletter.edition import pieces, plaintext, themes
from newsletter.edition.model import NAME, PREFERENCES, UNSUBSCRIBE
from newsletter.edition.words import Words
from newsletter.issue import folding, prose, subjects, titles
from newsletter.issue.countries import Countries
from newsletter.issue.load import IssueFile


class Styles:
    """The theme's style sheets, each read when a template asks for it.

    `styles.style` is style.css, which is inlined; any other name is a block that is kept: `styles.dark` is
    kept/dark.css.
    """

    def __init__(self, env: themes.Environment) -> None:
        self._env = env

    def __getitem__(self, name: str) -> str:
        return themes.style(self._env, "style.css" if name == "style" else f"kept/{name}.css")


def context(file: IssueFile, settings: Newsletter, countries: Countries, phrases: Words) -> dict[str, Any]:
    """Collect what both parts of a mail are made from. `phrases` decides the language."""
    issue, language = file.issue, phrases.language
    return {
        "newsletter": settings,
        "issue": issue,
        "title": titles.printed_title(file, settings),
        "subject": titles.email_subject(file, settings),
        "preheader": titles.preheader(issue),
        "period": titles.period_text(issue.period, language) if issue.period else "",
        "number": issue.number,
        "published": titles.day_text(file.published, language),
        "language": language,
        "direction": languages.direction(language),
        "words": phrases,
        "subjects": subjects.printed(issue, countries, language),
        "online_url": settings.online_url(file.slug),
        "archive_url": settings.archive_url,
        "UNSUBSCRIBE": UNSUBSCRIBE,
        "PREFERENCES": PREFERENCES,
        "NAME": NAME,
    }


def html_only(env: themes.Environment) -> dict[str, Any]:
    """Return what only the html part is given."""
    return {
        "styles": Styles(env),
        "begin": lambda when: themes.safe(pieces.mark("html", "BEGIN", when)),
        "end": lambda when: themes.safe(pieces.mark("html", "END", when)),
    }


def text_only() -> dict[str, Any]:
    """Return what only the text part is given."""
    return {
        "begin": lambda when: pieces.mark("text", "BEGIN", when),
        "end": lambda when: pieces.mark("text", "END", when),
    }


def filters(settings: Newsletter, language: str) -> dict[str, Callable[..., Any]]:
    """Return the filters of a theme.

    Html: prose (blocks), body(level) (blocks whose '#' is a heading of that level), inline, image_url, slug.
    Text: text_prose(first, headings) and wrap(first), address (in ASCII), columns (of a terminal).
    Both: plain, day, event_time.
    """
    return {
        "prose": lambda text: themes.safe(prose.render(text)),
        "body": lambda text, level=2: themes.safe(prose.render(text, headings=level)),
        "inline": lambda text: themes.safe(prose.inline(text)),
        "plain": prose.plain,
        "day": lambda date: titles.day_text(date, language),
        "event_time": lambda event: titles.event_time_text(event, language),
        "image_url": lambda src: image_url(src, settings),
        "slug": folding.slug,
        "text_prose": plaintext.text_prose,
        "wrap": plaintext.wrap,
        "address": plaintext.ascii_address,
        "columns": plaintext.columns,
    }


def image_url(src: str, settings: Newsletter) -> str:
    """Say where readers' mail programs find a picture: below the archive, unless it has an address of its own."""
    if re.match(r"https?://", src):
        return src
    return f"{settings.url}/archive/{quote(src)}"
