"""What may stand as a reader's name, language and time zone: they reach headers, pages and spreadsheets."""

from __future__ import annotations

import re
import unicodedata
import zoneinfo
from collections.abc import Mapping
from functools import cache

from newsletter.errors import NewsletterError

LONGEST_NAME = 200

_LINE_BREAK = re.compile("[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# Controls, what turns the direction of the text around it, half characters, what Unicode says is none.
_NO_PLACE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")


def read_name(raw: str) -> str:
    """Accept a name: one line of text, NFC, without space at its ends. Raises NewsletterError."""
    if _LINE_BREAK.search(raw.strip(" ")):
        raise NewsletterError(f"the name '{shown(raw)}' holds a line break; write it on one line")
    found = _NO_PLACE.search(raw)
    if found:
        raise NewsletterError(f"the name '{shown(raw)}' holds the character U+{ord(found[0]):04X}; delete it")
    name = unicodedata.normalize("NFC", raw).strip()
    if len(name) > LONGEST_NAME:
        raise NewsletterError(f"the name '{shown(name)}' is longer than {LONGEST_NAME} letters; shorten it")
    return name


def read_language(raw: str) -> str:
    """Accept a language tag in its usual spelling (fr, pt-BR), or nothing. Raises NewsletterError."""
    text = raw.strip()
    if not text:
        return ""
    if not _LANGUAGE.fullmatch(text):
        raise NewsletterError(f"'{shown(text)}' is not a language; write its code, like en, fr or ar")
    first, *rest = text.split("-")
    return "-".join([first.lower(), *(part.upper() if len(part) == 2 else part for part in rest)])


def read_timezone(raw: str) -> str:
    """Accept a time zone by its IANA name, in its usual spelling, or nothing. Raises NewsletterError."""
    text = raw.strip()
    if text and text.casefold() not in _zones():
        raise NewsletterError(f"'{shown(text)}' is not a time zone; write its IANA name, like America/New_York")
    return _zones()[text.casefold()] if text else ""


@cache
def _zones() -> Mapping[str, str]:
    """Return the names of all zones by their folded form; those that mean nothing or this machine's are left out."""
    return {name.casefold(): name for name in zoneinfo.available_timezones() - {"Factory", "localtime"}}


def shown(text: str, longest: int = 60) -> str:
    """Make a text fit to stand in a message: what cannot be seen is spelled out, what is too long is cut."""
    spelled = "".join(
        letter if letter == " " or unicodedata.category(letter)[0] not in "CZ" else f"<U+{ord(letter):04X}>"
        for letter in text[: longest + 1]
    )
    return spelled if len(text) <= longest else f"{spelled[:longest]}…"
