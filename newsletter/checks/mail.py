"""Checks of the finished mail: sizes, ways out, and nothing that watches readers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from newsletter.checks.finding import check
from newsletter.checks.proof import Proof, Spot
from newsletter.edition.model import PREFERENCES, TOKENS, UNSUBSCRIBE

if TYPE_CHECKING:
    from bs4 import Tag

LARGE = 90_000
CLIPPED = 102_400  # bytes; Gmail shows no more, and the footer with the way out is what it cuts off
STYLES = 16_384  # bytes; Gmail drops every style beyond

_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|opacity\s*:\s*0(?![.\d])|font-size\s*:\s*0(?![.\d])|"
    r"max-height\s*:\s*0(?![.\d])|mso-hide\s*:\s*all|text-indent\s*:\s*-\d{3,}",
    re.IGNORECASE,
)
_INVISIBLE = re.compile("[\\s\u00a0\u00ad\u034f\u200b-\u200f\u2007\u2060\ufeff]+")
_SMALL = re.compile(r"font-size\s*:\s*(\d+(?:\.\d+)?)px", re.IGNORECASE)
_FORBIDDEN = (
    "script",
    "form",
    "input",
    "iframe",
    "object",
    "embed",
    "svg",
    "video",
    "audio",
    "canvas",
    "base",
    "applet",
)
_STYLE_FETCH = re.compile(r"@import|@font-face|url\(\s*[\"']?\s*(?:https?:)?//", re.IGNORECASE)


def _style(tag: Tag) -> str:
    return str(tag.get("style") or "")


def _hides(tag: Tag) -> bool:
    return tag.has_attr("hidden") or bool(_HIDING.search(_style(tag)))


def _hidden(tag: Tag) -> bool:
    return any(_hides(each) for each in (tag, *tag.parents))


def _words(tag: Tag) -> str:
    """Return the words a tag holds, without the invisible padding of a preheader."""
    return " ".join(_INVISIBLE.sub(" ", tag.get_text()).split())


@check("mail-large", "warn")
def mail_large(proof: Proof) -> Iterator[Spot]:
    """The html is near the size at which Gmail cuts a mail off (102,400 bytes). Shorten it in time."""
    size = len(proof.html.encode())
    if LARGE < size <= CLIPPED:
        yield proof.spot(f"the html has {size:,} bytes; over {CLIPPED:,} Gmail cuts it off")


@check("mail-clipped", "block")
def mail_clipped(proof: Proof) -> Iterator[Spot]:
    """The html is larger than Gmail shows (102,400 bytes): readers would lose the end, and with it the way to leave."""
    size = len(proof.html.encode())
    if size > CLIPPED:
        yield proof.spot(
            f"the html has {size:,} bytes; Gmail cuts it off after {CLIPPED:,}; shorten or split the issue"
        )


@check("styles-large", "block")
def styles_large(proof: Proof) -> Iterator[Spot]:
    """The style blocks together are larger than Gmail takes (16,384 bytes); it would drop all styles behind that."""
    size = sum(len(style.get_text().encode()) for style in proof.page.find_all("style"))
    if size >= STYLES:
        yield proof.spot(f"the style blocks have {size:,} bytes; Gmail takes fewer than {STYLES:,}")


@check("styles-nested", "block")
def styles_nested(proof: Proof) -> Iterator[Spot]:
    """A style block holds an @-rule inside an @-rule; Gmail then drops the whole block."""
    for style in proof.page.find_all("style"):
        depth, inside = 0, 0
        for mark in re.finditer(r"[{}]|@[\w-]+", style.get_text()):
            if mark[0].startswith("@") and inside:
                yield proof.spot(f"a style block holds {mark[0]} inside another @-rule; write them one after the other")
                break
            depth += {"{": 1, "}": -1}.get(mark[0], 0)
            inside = depth + 1 if mark[0].startswith("@") else inside if depth else 0


@check("unsubscribe-hidden", "block")
def unsubscribe_hidden(proof: Proof) -> Iterator[Spot]:
    """Every copy must show how to leave, in both parts, in letters of 11 pixels or more. The law asks for it."""
    links = [link for link in _shown(proof, UNSUBSCRIBE) if _words(link)]
    if not links:
        yield proof.spot("the html shows no link to leave the list; the theme must set one")
    elif all(_size(link) < 11 for link in links):
        yield proof.spot(f"the link to leave is set in {_size(links[0]):g} pixels; 11 are the least")
    if UNSUBSCRIBE not in proof.text:
        yield proof.spot("the text part does not say how to leave the list; the theme must")


def _shown(proof: Proof, token: str) -> list[Tag]:
    """Return the links that lead to a reader's own page and can be seen."""
    return [link for link in proof.page_links if token in str(link["href"]) and not _hidden(link)]


def _size(tag: Tag) -> float:
    """Return the size of a tag's letters in pixels, taken from it or what it stands in; 16 when nothing says."""
    for each in (tag, *tag.parents):
        found = _SMALL.search(_style(each))
        if found:
            return float(found[1])
    return 16


@check("preferences-missing", "warn")
def preferences_missing(proof: Proof) -> Iterator[Spot]:
    """Readers who get too much need a way to follow fewer countries; without it they leave."""
    shown = _shown(proof, PREFERENCES)
    if not shown or PREFERENCES not in proof.text:
        yield proof.spot(
            f"the {'text part' if shown else 'html'} has no link to what a reader follows; the theme must set one"
        )


@check("text-links", "block")
def text_links(proof: Proof) -> Iterator[Spot]:
    """The text part must lead wherever the html leads; some readers see only that."""
    for href in dict.fromkeys(str(link["href"]) for link in proof.page_links):
        if not href.startswith("#") and href.removeprefix("mailto:") not in proof.text:
            mine = next((link for link in proof.links if link.href == href), None)
            message = f"the text part lacks the link to {href}"
            yield proof.at(mine, message) if mine else proof.spot(message)


@check("image-query", "block")
def image_query(proof: Proof) -> Iterator[Spot]:
    """A picture's address with a '?' can tell who opened the mail, and when. Readers here may be at risk."""
    for image in proof.page.find_all("img"):
        source = str(image.get("src") or "")
        if "?" in source or any(token in source for token in TOKENS):
            mine = next((place for place, figure in proof.figures if figure.src == source), ())
            yield proof.spot(f"the picture {source} carries a query; give it an address without '?'", mine)


@check("tracking-pixel", "block")
def tracking_pixel(proof: Proof) -> Iterator[Spot]:
    """A picture of one pixel serves to see who opens the mail; this newsletter does not watch its readers."""
    for image in proof.page.find_all("img"):
        style = _style(image).replace(" ", "")
        tiny = [str(image.get(side) or "").removesuffix("px") in ("0", "1") for side in ("width", "height")]
        tiny = [
            flag or bool(re.search(rf"(?:^|;){side}:[01]px", style))
            for flag, side in zip(tiny, ("width", "height"), strict=True)
        ]
        if all(tiny) or _hidden(image):
            yield proof.spot(f"the picture {image.get('src')} cannot be seen and could only watch readers; delete it")


@check("foreign-resource", "block")
def foreign_resource(proof: Proof) -> Iterator[Spot]:
    """The mail may load pictures and nothing else: no fonts, style sheets, scripts, forms or frames from anywhere."""
    for tag in proof.page.find_all(_FORBIDDEN):
        yield proof.spot(f"the mail holds <{tag.name}>, which mail programs refuse; the theme must do without")
    for tag in proof.page.find_all(_loads):
        value = next(str(tag[name]) for name in ("href", "background", "poster", "srcset") if tag.has_attr(name))
        yield proof.spot(f"the mail loads {value} by <{tag.name}>; only pictures (<img src>) may be loaded")
    styles = [style.get_text() for style in proof.page.find_all("style")]
    styles += [_style(tag) for tag in proof.page.find_all(style=True)]
    for match in filter(None, map(_STYLE_FETCH.search, styles)):
        yield proof.spot(f"a style loads something from elsewhere ('{match[0]}'); the theme must do without")


def _loads(tag: Tag) -> bool:
    return (tag.name == "link" and tag.has_attr("href")) or any(map(tag.has_attr, ("background", "poster", "srcset")))


@check("hidden-text", "block")
def hidden_text(proof: Proof) -> Iterator[Spot]:
    """Text that is in the mail but not shown is what spam does; only the preheader may be hidden."""
    preheader = " ".join(_INVISIBLE.sub(" ", proof.edition.preheader).split())
    for tag in proof.page.find_all(_hides):
        words = _words(tag)
        if words and words != preheader and not any(_hides(above) for above in tag.parents):
            shown = words if len(words) <= 40 else f"{words[:37]}..."
            yield proof.spot(f"the mail holds hidden text: '{shown}'; the theme must show or delete it")


@check("online-missing", "warn")
def online_missing(proof: Proof) -> Iterator[Spot]:
    """A mail that a program shows badly needs a link to the same issue online, the same for every reader."""
    url = proof.project.settings.online_url(proof.file.slug)
    if not any(link["href"] == url and not _hidden(link) for link in proof.page_links):
        yield proof.spot(f"the html has no link to the issue online ({url}); the theme must set one")


@check("address-missing", "block")
def address_missing(proof: Proof) -> Iterator[Spot]:
    """Every copy must carry the sender's postal address, in both parts. The law asks for it in many countries."""
    body = proof.page.body or proof.page
    for part, words in (("html", _flat(body.get_text(" "))), ("text part", _flat(proof.text))):
        for line in proof.project.settings.address:
            if _flat(line) not in words:
                yield proof.setting(
                    f"the {part} lacks '{line}' of the postal address; the theme must print it", "address"
                )


def _flat(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip()


@check("token-misplaced", "block")
def token_misplaced(proof: Proof) -> Iterator[Spot]:
    """A reader's own address for leaving may stand in its links alone; anywhere else it would tell others who reads."""
    for tag in proof.page.find_all(lambda tag: any(token in str(tag.get("href") or "") for token in TOKENS)):
        if tag.name != "a" or tag["href"] not in (UNSUBSCRIBE, PREFERENCES):
            yield proof.spot(f"a reader's field stands inside the address {tag['href']}; it must be the whole address")
    for text in proof.page.find_all(string=re.compile("__NL_(?:UNSUBSCRIBE|PREFERENCES)__")):
        if text.parent and text.parent.name != "a":
            yield proof.spot("a reader's own link is printed as text in the html; put it into a link")


@check("doctype-missing", "block")
def doctype_missing(proof: Proof) -> Iterator[Spot]:
    """Without '<!DOCTYPE html>' as the very first thing mail programs fall back to the rules of 1998."""
    if not proof.html.startswith("<!DOCTYPE html>"):
        yield proof.spot("the html does not start with '<!DOCTYPE html>'; the theme must, in these capitals")
