"""The edition: what every reader's copy is joined from.

An edition is made once. Its html and text are cut into pieces; a piece that belongs to one subject is left out of the
copies of readers who do not follow it. Reader's fields stand in the pieces as tokens of capitals and underscores, the
one form that survives inliners, addresses and quoted-printable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

UNSUBSCRIBE = "__NL_UNSUBSCRIBE__"
PREFERENCES = "__NL_PREFERENCES__"
NAME = "__NL_NAME__"
TOKENS = (UNSUBSCRIBE, PREFERENCES, NAME)

# When a piece is part of a copy. "S0", "S1", ... : when the copy holds the subject of that number.
ALWAYS = ""
ANY = "ANY"  # when the copy holds at least one subject
NONE = "NONE"  # when the issue has subjects and the copy holds none of them
LESS = "LESS"  # when the copy leaves at least one subject out


@dataclass(frozen=True)
class Piece:
    """A run of html or text, and when it is part of a copy."""

    content: str
    when: str = ALWAYS


@dataclass(frozen=True)
class SubjectKeys:
    """A subject of the edition in printed order: its label, and every key it is followed by.

    The keys are those of the countries table: the country's code, the part's key, regions', the declared subject's.
    """

    label: str
    keys: frozenset[str]


@dataclass(frozen=True)
class Edition:
    """One issue set in one theme. `digest` is the sha256 of all that went into it, in hexadecimal."""

    slug: str
    subject: str
    preheader: str
    language: str
    html: tuple[Piece, ...]
    text: tuple[Piece, ...]
    subjects: tuple[SubjectKeys, ...]
    digest: str

    @property
    def seen(self) -> str:
        """The sha256 of what people look at before a send: all that went into the edition, and all that came out."""
        parts = [self.digest, self.subject, self.preheader]
        for piece in (*self.html, *self.text):
            parts += [piece.when, piece.content]
        whole = hashlib.sha256()
        for part in (str(len(self.html)), *parts):
            data = part.encode()
            whole.update(len(data).to_bytes(8, "big") + data)
        return whole.hexdigest()

    def choose(self, follows: Iterable[str]) -> frozenset[int]:
        """Return the numbers of the subjects a reader gets. No followed key at all means all of them."""
        keys = frozenset(follows)
        everything = frozenset(range(len(self.subjects)))
        if not keys:
            return everything
        return frozenset(n for n in everything if self.subjects[n].keys & keys)

    def join_html(self, chosen: frozenset[int] | None = None) -> str:
        """Join the html of a copy with the chosen subjects (all, when None), its tokens still in place."""
        return self._join(self.html, chosen)

    def join_text(self, chosen: frozenset[int] | None = None) -> str:
        """Join the text part in the same way."""
        return self._join(self.text, chosen)

    def pieces(self, part: tuple[Piece, ...], chosen: frozenset[int] | None = None) -> tuple[Piece, ...]:
        """Return the pieces of a part that belong to a copy with the chosen subjects (all, when None)."""
        shown = frozenset(range(len(self.subjects))) if chosen is None else chosen
        parts = {ALWAYS, *(f"S{number}" for number in shown)}
        if self.subjects:
            parts.add(ANY if shown else NONE)
        if len(shown) < len(self.subjects):
            parts.add(LESS)
        return tuple(piece for piece in part if piece.when in parts)

    def _join(self, part: tuple[Piece, ...], chosen: frozenset[int] | None) -> str:
        return "".join(piece.content for piece in self.pieces(part, chosen))
