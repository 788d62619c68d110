"""Checks of the finished html for readers who listen to it, enlarge it or look at it without pictures."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from newsletter.checks.finding import check
from newsletter.checks.proof import Proof, Spot
from newsletter.issue import prose

_SAID = re.compile(r"\S")  # an alt that says something
_HEADING = re.compile(r"h[1-6]")
_MARKED = re.compile(r"^ {0,3}(#{1,6})[ \t][^\n]*", re.MULTILINE)


@check("heading-order", "warn")
def heading_order(proof: Proof) -> Iterator[Spot]:
    """Screen readers jump from heading to heading: a mail has one main heading, and no level is left out below it."""
    headings = [(int(tag.name[1]), " ".join(tag.get_text(" ").split())) for tag in proof.page.find_all(_HEADING)]
    mains = [words for level, words in headings if level == 1]
    if len(mains) != 1:
        shown = f": {', '.join(mains)}" if mains else ""
        yield proof.spot(f"the mail has {len(mains)} main headings (h1){shown}; one is right")
    for (above, _), (level, words) in itertools.pairwise(headings):
        if level > above + 1:
            yield _too_deep(proof, words, level - above - 1)


def _too_deep(proof: Proof, words: str, levels: int) -> Spot:
    """Make a spot at a heading that an editor wrote in a body, or one for the theme."""
    for seen in proof.texts:
        for match in _MARKED.finditer(seen.passage.text) if seen.passage.kind == "body" else ():
            if " ".join(prose.plain(match[0], headings=True).split()) == words and len(match[1]) > levels:
                message = f"the heading '{words}' is too deep; write '{match[1][levels:]}' for '{match[1]}'"
                return proof.place(seen, message, match.start(1), match.end())
    return proof.spot(f"the heading '{words}' is too deep; no level may be left out between it and the one above")


@check("heading-empty", "warn")
def heading_empty(proof: Proof) -> Iterator[Spot]:
    """A heading without words is announced as a heading and then silence."""
    for tag in proof.page.find_all(_HEADING):
        if not tag.get_text(strip=True) and not tag.find("img", alt=_SAID):
            yield proof.spot(f"a heading ({tag.name}) has no words")


@check("language-missing", "block")
def language_missing(proof: Proof) -> Iterator[Spot]:
    """The html does not say its language or direction; a screen reader guesses, and Arabic starts on the wrong side."""
    page = proof.page.html
    for name in ("lang", "dir"):
        if not page or not page.get(name):
            yield proof.spot(f"the mail's <html> has no '{name}'; the theme must set it")


@check("image-alt", "block")
def image_alt(proof: Proof) -> Iterator[Spot]:
    """An <img> in the finished mail has no alt at all, so its file name is read aloud. Ornaments carry alt=""."""
    for image in proof.page.find_all("img"):
        if not image.has_attr("alt"):
            yield proof.spot(f"the picture {image.get('src')} has no alt in the mail; the theme must set it")


@check("link-empty", "warn")
def link_empty(proof: Proof) -> Iterator[Spot]:
    """A link without words or a described picture cannot be heard, nor seen with pictures off."""
    for link in proof.page_links:
        if not link.get_text(strip=True) and not link.find("img", alt=_SAID):
            yield proof.spot(f"the link to {link['href']} has no words")


@check("layout-table", "warn")
def layout_table(proof: Proof) -> Iterator[Spot]:
    """A table that only arranges things is read aloud as data, row and column, unless it says role="presentation"."""
    bad = [
        t for t in proof.page.find_all("table") if t.get("role") not in ("presentation", "none") and not t.find("th")
    ]
    if bad:
        yield proof.spot(f'{len(bad)} layout tables lack role="presentation"; the theme must set it')
