"""How the tokens of a batch become Mailgun's recipient variables, and how text that only looks like one does not."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass

from newsletter.providers.base import Batch, Recipient

# Text that Mailgun would take for one of its own variables: %recipient.x%, %recipient_email%, %unsubscribe_url% ...
_THEIR_VARIABLES = re.compile(r"%(?=recipient\b|[a-z]+(?:_[a-z]+)+%)[a-z]", re.IGNORECASE)


@dataclass(frozen=True)
class Variables:
    """How the tokens of a batch are called on Mailgun's side: those in html apart, for their values are escaped.

    `starts` are the beginnings ("%r") of what only looks like a variable. Each becomes a variable of its own, so that
    nothing that is sent has a name which Mailgun knows, whatever it replaces first.
    """

    prefix: str
    tokens: tuple[str, ...]
    in_html: tuple[str, ...]
    starts: tuple[str, ...]

    def name(self, token: str, suffix: str = "") -> str:
        """Call a token by its name on the other side."""
        return self.prefix + token.removeprefix("__NL_").strip("_").lower() + suffix

    def place(self, content: str) -> str:
        """Write the tokens of a text as Mailgun's variables, and keep from it what only looks like one."""
        return self._place(content, {token: self.name(token) for token in self.tokens})

    def place_html(self, content: str) -> str:
        """Do the same for html."""
        return self._place(content, {token: self.name(token, "_html") for token in self.in_html})

    def values(self, recipient: Recipient) -> dict[str, str]:
        """Return what a reader's variables stand for."""
        own = recipient.values
        return {
            f"{self.prefix}reader": str(recipient.reader),
            **{f"{self.prefix}start{number}": start for number, start in enumerate(self.starts)},
            **{self.name(token): own[token] for token in self.tokens},
            **{self.name(token, "_html"): html.escape(own[token]) for token in self.in_html},
        }

    def _place(self, content: str, names: Mapping[str, str]) -> str:
        starts = {start: f"%recipient.{self.prefix}start{number}%" for number, start in enumerate(self.starts)}
        written = _THEIR_VARIABLES.sub(lambda found: starts[found[0]], content)
        for token, name in names.items():
            written = written.replace(token, f"%recipient.{name}%")
        return written


def variables(batch: Batch) -> Variables:
    """Choose names that no text of the batch speaks of, so that no text can be taken for a variable of ours."""
    merge = batch.merge
    texts = [merge.subject, merge.sender, merge.reply_to or "", merge.text, *(value for _, value in merge.headers)]
    known = batch.recipients[0].values
    tokens = tuple(token for token in known if any(token in text for text in texts))
    in_html = tuple(token for token in known if token in merge.html)
    texts.append(merge.html)
    starts = tuple(sorted({start for text in texts for start in _THEIR_VARIABLES.findall(text)}))
    texts += [value for recipient in batch.recipients for value in recipient.values.values()]
    prefix = "nl_"
    while any(f"recipient.{prefix}" in text for text in texts):
        prefix = f"nl{prefix}"
    return Variables(prefix, tokens, in_html, starts)
