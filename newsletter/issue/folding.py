"""Folding: two spellings of one name become one text, for looking up and for printed order."""

from __future__ import annotations

import re
import unicodedata

# Letters that Unicode does not take apart into a letter and an accent.
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe"})
_APOSTROPHES = re.compile("[.'`\u00b4\u02b9\u02bb\u02bc\u02bd\u2018\u2019\u201b\u2032]")
_DASHES = re.compile("[-\u2010-\u2015\u2212_]+")
_SLASHES = re.compile(r" *[/\u2044\u2215] *")


def fold(text: str) -> str:
    """Fold case, accents, apostrophes, full stops, dashes, the spaces around a slash, and a leading "The"."""
    if not text.isascii():
        apart = unicodedata.normalize("NFKD", text.casefold())
        text = "".join(character for character in apart if not unicodedata.combining(character)).translate(_LETTERS)
    text = _DASHES.sub(" ", _APOSTROPHES.sub("", text.casefold())).replace("&", " and ")
    text = _SLASHES.sub("/", " ".join(text.split()))
    return text.removeprefix("the ")


def slug(text: str) -> str:
    """Make a name fit for an address or an anchor: lower-case words joined by hyphens; letters of any script stay."""
    return "-".join(re.findall(r"\w+", fold(text).replace("_", " ")))
