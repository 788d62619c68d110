"""A person's name, as it stands behind what they did: one line, and one person however they write it."""

from __future__ import annotations

from newsletter.errors import NewsletterError
from newsletter.issue.folding import fold

LONGEST = 200  # characters, as the tables have room for


def named(by: str) -> str:
    """Return a name on one line. Raises NewsletterError when it is empty, too long or has no letter in it."""
    name = " ".join(by.split())
    if not any(character.isalnum() for character in name) or not name.isprintable():
        raise NewsletterError("a name stands behind this; write --by and yours")
    if max(len(name), len(folded(name))) > LONGEST:
        raise NewsletterError(f"a name may have {LONGEST} characters; write a shorter one behind --by")
    return name


def folded(name: str) -> str:
    """Fold case, accents, spaces and punctuation, so that "Ann Lee" and "ann  lée" are one person."""
    return fold(name)
