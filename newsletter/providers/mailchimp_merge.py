"""How the tokens of a batch become Mailchimp's merge fields, and how text that only looks like a tag does not."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Mapping
from dataclasses import dataclass

from newsletter.providers.base import Batch, Recipient

READER = "NL_READER"  # the field that brings a reader's id back in reports

# What begins a tag is broken up. No way of writing it as text is documented (2026), and a merge field that stands for
# it would be a tag again for whoever merges twice. In html a character reference does it; elsewhere WORD JOINER, which
# has no width and allows no line break.
_BAR_IN_HTML, _BAR_IN_TEXT = "&#124;", "\u2060|"


@dataclass(frozen=True)
class Fields:
    """The tokens that a batch shows, in plain text and in html: a field each, for values in html are escaped."""

    in_text: tuple[str, ...]
    in_html: tuple[str, ...]

    def names(self) -> dict[str, str]:
        """Return the audience's fields that are needed, by tag: the name people see."""
        told = {READER: "Newsletter: reader"}
        told |= {_tag(token, "T"): f"Newsletter: {_plain(token)}" for token in self.in_text}
        return told | {_tag(token, "H"): f"Newsletter: {_plain(token)} in html" for token in self.in_html}

    def values(self, recipient: Recipient) -> dict[str, str]:
        """Return what a reader's fields hold."""
        own = recipient.values
        return {
            READER: str(recipient.reader),
            **{_tag(token, "T"): _guarded(own[token], _BAR_IN_TEXT) for token in self.in_text},
            **{_tag(token, "H"): _guarded(html.escape(own[token]), _BAR_IN_HTML) for token in self.in_html},
        }

    def place(self, content: str) -> str:
        """Write the tokens of plain text as tags."""
        return _placed(content, {token: _tag(token, "T") for token in self.in_text}, _BAR_IN_TEXT)

    def place_html(self, content: str) -> str:
        """Do the same for html."""
        return _placed(content, {token: _tag(token, "H") for token in self.in_html}, _BAR_IN_HTML)


def fields_of(batch: Batch, *texts: str) -> Fields:
    """Find the tokens that a batch shows; `texts` are its plain ones. What it does not show does not leave us."""
    known = batch.recipients[0].values
    return Fields(
        tuple(token for token in known if any(token in text for text in texts)),
        tuple(token for token in known if token in batch.merge.html),
    )


def _tag(token: str, kind: str) -> str:
    """Name the field of a token: a tag has ten characters at most (vendor's page on audience fields, 2026)."""
    return "NL" + hashlib.sha256(token.encode()).hexdigest()[:7].upper() + kind


def _plain(token: str) -> str:
    return token.removeprefix("__NL_").strip("_").lower()


def _guarded(text: str, bar: str) -> str:
    return text.replace("*|", "*" + bar)


def _placed(content: str, tags: Mapping[str, str], bar: str) -> str:
    written = _guarded(content, bar)
    for token, tag in tags.items():
        # A bar that follows would begin a tag together with the star that ends ours.
        written = written.replace(f"{token}|", f"*|{tag}|*{bar}").replace(token, f"*|{tag}|*")
    return written
