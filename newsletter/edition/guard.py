"""Compare a page before and after inlining, and refuse the edition when the inliner damaged anything.

Inliners lose things without a word: premailer 3.10.0 takes `<table>` out of the link around it, drops a lower-case
doctype, and loses text below 250 levels of nesting or after a lone surrogate.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

from newsletter.edition.model import TOKENS
from newsletter.errors import NewsletterError

DOCTYPE = "<!DOCTYPE html"

# What a parser may add around what is written, without changing what a reader sees.
_IMPLIED = frozenset({"head", "tbody", "colgroup"})
# Attributes that inlining is there to change, and the marks on kept blocks.
_CHANGED = frozenset({"style", "class", "align", "valign", "bgcolor", "data-premailer", "data-css-inline"})
_NEAR = 40  # characters of text shown to say where something was damaged

# One thing found in a page, and the number of the run of text it comes after.
Found = tuple[str, int]


@dataclass
class _Reading(HTMLParser):
    """Everything of a page that must survive. The standard library's parser mends nothing, so it hides nothing."""

    text: list[str] = field(default_factory=list)
    title: list[str] = field(default_factory=list)
    hrefs: list[Found] = field(default_factory=list)
    ids: list[Found] = field(default_factory=list)
    comments: list[Found] = field(default_factory=list)
    linked: list[Found] = field(default_factory=list)
    images: list[Found] = field(default_factory=list)
    elements: list[Found] = field(default_factory=list)
    order: list[Found] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []
        self.inside = ""
        self.keep = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag in ("style", "title"):
            self.inside, self.keep = tag, values.get("data-premailer") == "ignore"
            if tag == "style":
                self.blocks.append("")
        elif tag not in _IMPLIED:
            if tag == "a" and "href" in values:
                self.links.append(values["href"])
            self.note(tag, values, len(self.text))

    def note(self, tag: str, values: dict[str, str], here: int) -> None:
        if "href" in values:
            self.hrefs.append((values["href"], here))
        if "id" in values:
            self.ids.append((values["id"], here))
        self.linked.append((f"<{tag}> in {f'the link {self.links[-1]}' if self.links else 'no link'}", here))
        if tag == "img":
            size = " ".join(f'{name}="{values[name]}"' for name in ("width", "height") if name in values)
            self.images.append((f"<img {size}>" if size else "<img> without a size", here))
        rest = "".join(f' {name}="{values[name]}"' for name in sorted(values) if name not in _CHANGED)
        self.elements.append((f"<{tag}{rest}>", here))
        self.order.append((f"<{tag}>", here))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "title"):
            if tag == "style" and self.keep:
                self.kept.append(self.blocks[-1])
            self.inside, self.keep = "", False
        elif tag == "a" and self.links:
            self.links.pop()

    def handle_data(self, data: str) -> None:
        if self.inside == "style":
            self.blocks[-1] += data
        elif self.inside == "title":
            self.title.append(data)
        else:
            self.text.append(data)
            if data.strip(_SPACE):
                self.order.append((_squeezed(data), len(self.text)))

    def handle_comment(self, data: str) -> None:
        self.comments.append((f"<!--{data}-->", len(self.text)))
        self.order.append((f"<!--{data}-->", len(self.text)))

    def unknown_decl(self, data: str) -> None:
        self.handle_comment(f"[{data}]")

    def near(self, here: int) -> str:
        """Say where in the page something stands: the words before it."""
        words = _squeezed("".join(self.text[:here]))[-_NEAR:]
        return f"after '{words}'" if words else "at the start of the page"


_SPACE = " \t\n\r\f"  # what HTML collapses; a no-break space is text


def _squeezed(text: str) -> str:
    return " ".join(word for word in re.split(f"[{_SPACE}]+", text) if word)


def compare(before: str, after: str, template: str) -> None:
    """Raise NewsletterError, naming the template, when inlining turned `before` into a page that says less.

    Compared are the doctype, the text, hrefs in order, ids, comments, the link around each element, image sizes, all
    other attributes, the order of everything, kept style blocks byte for byte, and the number of each reader's token.
    """
    damage = next(_damages(before, after), None)
    if damage:
        raise NewsletterError(f"{template}: {damage}")


def _damages(before: str, after: str) -> Iterator[str]:
    if not before.lstrip().startswith(DOCTYPE):
        yield f"the page must start with {DOCTYPE}>, in upper case; the inliner drops any other"
    if not after.startswith(DOCTYPE):
        yield "the inliner dropped the doctype"
    for token in TOKENS:
        if before.count(token) != after.count(token):
            yield f"the inliner made {after.count(token)} of {before.count(token)} fields {token}"
    old, new = _read(before), _read(after)
    yield from _text_damage(old, new)
    for what, was, now in (
        ("a link's address", old.hrefs, new.hrefs),
        ("an id", old.ids, new.ids),
        ("a comment", old.comments, new.comments),
        ("the link around an element", old.linked, new.linked),
        ("the size of an image", old.images, new.images),
        ("an element", old.elements, new.elements),
        ("the order", old.order, new.order),
    ):
        yield from _list_damage(what, old, was, now)
    yield from _style_damage(old, new)


def _read(page: str) -> _Reading:
    reading = _Reading()
    reading.feed(page)
    reading.close()
    return reading


def _text_damage(old: _Reading, new: _Reading) -> Iterator[str]:
    if _squeezed("".join(old.title)) != _squeezed("".join(new.title)):
        yield "the inliner changed the title"
    was, now = _squeezed("".join(old.text)), _squeezed("".join(new.text))
    if was != now:
        same = next(n for n, pair in enumerate(itertools.zip_longest(was, now)) if pair[0] != pair[1])
        start = max(0, same - _NEAR)
        yield f"the inliner changed text after '{was[start:same]}': '{was[same : same + _NEAR]}'"


def _list_damage(what: str, old: _Reading, was: Sequence[Found], now: Sequence[Found]) -> Iterator[str]:
    for number, (item, here) in enumerate(was):
        became = now[number][0] if number < len(now) else "nothing"
        if item != became:
            yield f"the inliner changed {what} {old.near(here)}: {_short(item)} became {_short(became)}"
    if len(now) > len(was):
        yield f"the inliner added {what}: {_short(now[len(was)][0])}"


def _short(item: str) -> str:
    return item if len(item) <= 120 else f"{item[:120]}…"


def _style_damage(old: _Reading, new: _Reading) -> Iterator[str]:
    left = iter(new.blocks)
    for number, block in enumerate(old.kept, 1):
        if not any(block == other for other in left):  # goes on where the last one was found: the order counts
            yield f"the inliner changed kept style block {number}, which starts with '{_squeezed(block)[:_NEAR]}'"
