"""What checks look at: an issue's texts and links with their places in the file, and its mail parsed once."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from newsletter.config import Project
from newsletter.edition.model import Edition
from newsletter.errors import NewsletterError
from newsletter.issue import folder, prose
from newsletter.issue.countries import Countries
from newsletter.issue.folder import IssueFile
from newsletter.issue.load import load
from newsletter.issue.model import Action, Figure, Item, Update, Weekly
from newsletter.issue.passages import Passage, passages
from newsletter.source import Location

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

FILLER = "\ue000"  # stands where a link's marks and target stood; neither a letter, nor a space, nor punctuation

_TARGET = re.compile(r"\]\((?:[^()\\\n]|\\.|\([^()\n]*\))*\)|<(?:https?|mailto):[^>\s]*>", re.IGNORECASE)
_LINE_BREAK = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True)
class Spot:
    """One thing a check found, before it is given the check's code and level."""

    message: str
    file: str
    line: int


@dataclass(frozen=True)
class Seen:
    """A text as a reader's eye meets it: as long as the text written, but with links' marks and targets filled."""

    passage: Passage
    text: str

    @property
    def location(self) -> Location:
        """Where the text stands in the file."""
        return self.passage.location

    def around(self, start: int, end: int, width: int = 14) -> str:
        """Quote a place with a few letters on both sides, cut at words, on one line."""
        left = self.text[max(0, start - width) : start]
        right = self.text[end : end + width]
        if start > width:
            left = re.sub(r"^\S*\s", "", left)
        if end + width < len(self.text):
            right = re.sub(r"\s\S*$", "", right)
        return re.sub(r"\n+", " ", left + self.text[start:end] + right).replace(FILLER, "").strip(" ")


@dataclass(frozen=True)
class Link:
    """A link an editor wrote, in a text (`prose`) or under a key of its own.

    `owner` is the place of the update, the item or the article it belongs to.
    """

    label: str
    href: str
    location: Location
    owner: Location
    prose: bool
    offset: int = 0
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Proof:
    """Everything a check may look at: the issue as written and the edition made from it."""

    project: Project
    countries: Countries
    file: IssueFile
    edition: Edition

    def spot(self, message: str, location: Location = (), offset: int = 0, *words: str) -> Spot:
        """Make a spot in the issue's file.

        `offset` counts line breaks into the text there. The first of `words` that stands between that line and the
        end of the value says more, because a text folded over several lines no longer knows where its lines broke.
        """
        line = self.file.line(location, offset)
        end = bisect.bisect_right(self._starts, line)
        last = self._starts[end] - 1 if end < len(self._starts) else len(self._lines)
        for looked_for in filter(None, words):
            for number in range(line, last + 1):
                if looked_for in self._lines[number - 1]:
                    return Spot(message, self.file.file, number)
        return Spot(message, self.file.file, line)

    def at(self, link: Link, message: str) -> Spot:
        """Make a spot at a link."""
        return self.spot(message, link.location, link.offset, f"{link.label}]({link.href}", link.href)

    def place(self, seen: Seen, message: str, start: int, end: int) -> Spot:
        """Make a spot at a place in a text."""
        words = seen.passage.text[start:end].split("\n")[0]
        return self.spot(message, seen.location, seen.text.count("\n", 0, start), words)

    def matches(self, pattern: re.Pattern[str]) -> Iterator[tuple[Seen, re.Match[str]]]:
        """Yield each place in a text of the issue that a pattern matches."""
        for seen in self.texts:
            for match in pattern.finditer(seen.text):
                yield seen, match

    def setting(self, message: str, *location: str | int) -> Spot:
        """Make a spot in the settings file."""
        return Spot(message, self.project.file, self.project.source.line(location))

    @cached_property
    def weekly(self) -> Weekly | None:
        """The issue, when it is a weekly."""
        return self.file.issue if isinstance(self.file.issue, Weekly) else None

    @property
    def english(self) -> bool:
        """Whether the rules of English writing hold."""
        return self.edition.language.lower().startswith("en")

    @cached_property
    def texts(self) -> tuple[Seen, ...]:
        """Every text of the issue."""
        return tuple(Seen(passage, _seen(passage)) for passage in passages(self.file.issue))

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """Every link an editor wrote, in the order of the file's keys."""
        return (*(link for seen in self.texts for link in _prose_links(seen.passage)), *self._key_links())

    @cached_property
    def figures(self) -> tuple[tuple[Location, Figure], ...]:
        """Every picture and its place."""
        lead = self.weekly.lead if self.weekly else None
        return tuple((("lead", "figures", n), figure) for n, figure in enumerate(lead.figures if lead else ()))

    @cached_property
    def updates(self) -> tuple[tuple[Location, str, Update], ...]:
        """Every update, with its place and the subject it is written under."""
        subjects = self.weekly.updates if self.weekly else {}
        return tuple(
            (("updates", name, "updates", n), name, update)
            for name, subject in subjects.items()
            for n, update in enumerate(subject.updates)
        )

    @cached_property
    def items(self) -> tuple[tuple[Location, Item], ...]:
        """Every entry of the sections, with its place."""
        sections = self.weekly.sections if self.weekly else ()
        return tuple(
            (("sections", s, "items", n), item)
            for s, section in enumerate(sections)
            for n, item in enumerate(section.items)
        )

    @cached_property
    def actions(self) -> tuple[tuple[Location, Action], ...]:
        """Every call to action, with its place."""
        lead = self.weekly.lead if self.weekly else None
        own = ((("actions", n), action) for n, action in enumerate(self.file.issue.actions))
        return (*own, *((("lead", "actions", n), action) for n, action in enumerate(lead.actions if lead else ())))

    @cached_property
    def previous(self) -> IssueFile | None:
        """The weekly before this one, when it is in the folder and can be read."""
        paths = folder.paths(self.project.issues)
        here = next((n for n, path in enumerate(paths) if path.stem == self.file.slug), len(paths))
        for path in paths[here + 1 :]:
            try:
                earlier = load(path, self.countries)
            except NewsletterError:
                continue  # its own check says what is wrong with it
            if isinstance(earlier.issue, Weekly) and earlier.published < self.file.published:
                return earlier
        return None

    @cached_property
    def html(self) -> str:
        """The html of a copy that holds every subject, reader's fields as tokens."""
        return self.edition.join_html()

    @cached_property
    def text(self) -> str:
        """The text part of a copy that holds every subject."""
        return self.edition.join_text()

    @cached_property
    def page(self) -> BeautifulSoup:
        """The html, parsed."""
        from bs4 import BeautifulSoup  # noqa: PLC0415 - its import takes longer than most checks together

        return BeautifulSoup(self.html, "lxml")

    @cached_property
    def page_links(self) -> list[Tag]:
        """Every link of the html. No CSS selectors here: compiling them takes longer than all checks together."""
        return list(self.page.find_all("a", href=True))

    @cached_property
    def _lines(self) -> list[str]:
        return _LINE_BREAK.split(self.file.source.data.decode("utf-8"))

    @cached_property
    def _starts(self) -> list[int]:
        return sorted(set(self.file.source.lines.values()))

    def _key_links(self) -> Iterator[Link]:
        for place, action in self.actions:
            yield Link(action.text, action.url, place, place[:1], prose=False)
        for place, _, update in self.updates:
            if update.source:
                yield Link(update.source.name, update.source.url, (*place, "source", "url"), place, prose=False)
        for place, item in self.items:
            for key, name, url in _item_links(item):
                yield Link(name, url, (*place, key, "url"), place, prose=False)


def _item_links(item: Item) -> Iterator[tuple[str, str, str]]:
    if item.source:
        yield "source", item.source.name, item.source.url
    if item.event and item.event.url:
        yield "event", item.event.title, item.event.url
    if item.publication and item.publication.url:
        yield "publication", item.publication.title, item.publication.url


def _seen(passage: Passage) -> str:
    if passage.kind == "line":
        return passage.text
    return _TARGET.sub(lambda match: FILLER * len(match[0]), passage.text)


def _prose_links(passage: Passage) -> Iterator[Link]:
    if passage.kind == "line":
        return
    for found in prose.links(passage.text, headings=passage.kind == "body"):
        yield Link(
            label=found.label,
            href=found.href,
            location=passage.location,
            owner=passage.location[: 4 if passage.location[0] in ("updates", "sections") else 1],
            prose=True,
            offset=found.line,
            before=found.before,
            after=found.after,
        )
