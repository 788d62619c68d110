"""The texts of a file: what characters they may hold, and what fits on one line."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

# U+2028 and U+2029 end a line for some programs and not for others; YAML's own readers disagree about them.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_LINE_BREAK = re.compile("[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


def refused(message: str) -> PydanticCustomError:
    """Make the error a model's validator raises; its whole message is the line an editor reads."""
    return PydanticCustomError("newsletter", "{message}", {"message": message})


def as_text(value: str) -> str:
    """Bring a text from anywhere to the form that a file has it in: NFC, and no character that has no place in it."""
    found = FORBIDDEN.search(value)
    if found:
        raise refused(forbidden(found[0]))
    return unicodedata.normalize("NFC", value)


def forbidden(character: str) -> str:
    """Say that a character must go."""
    return f"the character U+{ord(character):04X} has no place in text; delete it"


def _line(value: str) -> str:
    if _LINE_BREAK.search(value):
        raise refused("this text must stand on one line, without a line break of any kind")
    if not value.strip():
        raise refused("this text is empty; write it or delete the key")
    return as_text(value).strip()


# A text that may reach a mail header or a heading: one line, not empty (RFC 5322 forbids bare CR and LF in a field).
Line = Annotated[str, AfterValidator(_line)]
