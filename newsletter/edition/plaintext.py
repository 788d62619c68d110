"""Set plain text for the text part of a mail: lines of 72 columns, hanging indents, links whole and numbered."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit, urlunsplit

from newsletter.issue import prose

WIDTH = 72  # columns; leaves room for two levels of "> " in 78 (RFC 5322, 2.1.1)

_NARROWEST = 24  # columns a deep indent leaves for words
_PREFIX = re.compile(r"(?P<quote>(?:> ?)*)(?P<indent> *)(?P<mark>(?:[*-]|\d{1,9}[.)]|\[\d+\]) )?")
_ASCII_SAFE = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
# Where a line of Chinese or Japanese may not break (the common core of UAX #14, classes CL, CP, EX, NS and OP).
_NOT_FIRST = frozenset("、。，．：；！？）」』】〉》〕］｝’”…ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ%％")
_NOT_LAST = frozenset("（「『【〈《〔［｛‘“")


def ascii_address(url: str) -> str:
    """Write a web address in the letters every mail program understands: A-labels (RFC 5891) and %-escapes (RFC 3987).

    An address that is ASCII already comes back as it was.
    """
    if url.isascii():
        return url
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        label = host if host.isascii() else host.encode("idna").decode("ascii")
        place = parts.netloc.lower().rfind(host.lower())
        netloc = parts.netloc[:place] + label + parts.netloc[place + len(host) :]
    except (UnicodeError, ValueError):
        return quote(url, safe=_ASCII_SAFE)
    return quote(urlunsplit(parts._replace(netloc=netloc)), safe=_ASCII_SAFE)


@dataclass
class _Links:
    """Collects the links of one block, numbering them from 1; the same address keeps its number."""

    addresses: list[str] = field(default_factory=list)

    def __call__(self, label: str, href: str) -> str:
        if href.startswith("#"):  # leads to a place in the html
            return label
        address = ascii_address(href)
        if label in (href, address, address.removeprefix("mailto:")):
            return address.removeprefix("mailto:")
        if address not in self.addresses:
            self.addresses.append(address)
        return f"{label}\N{NO-BREAK SPACE}[{self.addresses.index(address) + 1}]"

    def lines(self) -> Iterator[str]:
        for number, address in enumerate(self.addresses, 1):
            yield f"[{number}] {address}"


def text_prose(text: str, first: str = "", headings: bool = False) -> str:
    """Set one text as a block: wrapped, its links numbered from 1 and listed under it, so that they go where it goes.

    `first` is what the first line starts with ("* "); all others are indented by as much.
    """
    links = _Links()
    body = prose.to_text(text, links, headings)
    listed = "\n".join(links.lines())
    gap = "\n\n" if "\n\n" in body else "\n"
    return wrap(f"{body}{gap}{listed}" if listed else body, first)


def wrap(text: str, first: str = "", width: int = WIDTH) -> str:
    """Wrap each line of a text, its own bullet, number, quote or indent hanging; addresses are never broken.

    `first` is what the first line starts with; all others are indented by as much.
    """
    rest = " " * columns(first)
    lines = [wrapped for line in text.split("\n") for wrapped in _line(line, width - len(rest))]
    return "\n".join(f"{rest if number else first}{line}".rstrip(" ") for number, line in enumerate(lines))


def _line(line: str, width: int) -> Iterator[str]:
    match = _PREFIX.match(line)
    prefix = match[0] if match else ""
    hanging = (match["quote"] + " " * (len(prefix) - len(match["quote"]))) if match else ""
    room = max(width - columns(prefix), _NARROWEST)
    current, used = "", 0
    for space, word in _words(line[len(prefix) :]):
        needed = columns(word)
        if current and used + len(space) + needed > room:
            yield prefix + current
            prefix, current, used = hanging, word, needed
        else:
            current += (space if current else "") + word
            used += (len(space) if used else 0) + needed
    yield prefix + current


def _words(text: str) -> Iterator[tuple[str, str]]:
    """Split at spaces (not at no-break spaces), and between ideographs, giving the space before each word."""
    for word in text.split(" "):
        if not word:
            continue
        parts = [word] if "://" in word or word.startswith("mailto:") else list(_ideographs(word))
        yield " ", parts[0]
        for part in parts[1:]:
            yield "", part


def _ideographs(word: str) -> Iterator[str]:
    start = 0
    for place in range(1, len(word)):
        before, after = word[place - 1], word[place]
        if (
            not (_wide(before) or _wide(after))
            or after in _NOT_FIRST
            or before in _NOT_LAST
            or unicodedata.combining(after)
        ):
            continue
        yield word[start:place]
        start = place
    yield word[start:]


def _wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def columns(text: str) -> int:
    """Count the columns a text takes in a terminal: ideographs two, combining marks and invisible signs none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 2 if _wide(c) else 1 for c in text)


def tidy(text: str) -> str:
    """Take the spaces off the ends of lines and more than one blank line out of a rendered text part."""
    lines = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n") + "\n"
