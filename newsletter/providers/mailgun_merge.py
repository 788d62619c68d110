"""How the tokens of a batch become Mailgun's recipient variables, and how text that only looks like one does not."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring

from newsletter.providers.base import Batch, Recipient

# Text that Mailgun would take for one of its own variables: %recipient.x%, %recipient_email%, %unsubscribe_url% ...
_THEIR_VARIABLES = re.compile(r"%(?=recipient\b|[a-z]+(?:_[a-z]+)+%)[a-z]", re.IGNORECASE)


@dataclass(frozen=True)
class Variables:
    """How the tokens of a batch are called on Mailgun's side.

    Those whose values are escaped in html have a second name there. `starts` are the beginnings ("%r") of what only
    looks like a variable. Each becomes a variable of its own, so that nothing that is sent has a name which Mailgun
    knows, whatever it replaces first.
    """

    prefix: str
    tokens: Mapping[str, str]  # token -> its name
    escaped: Mapping[str, str]
    starts: Mapping[str, str]

    def place(self, content: str) -> str:
        """Write the tokens of a text as Mailgun's variables, and keep from it what only looks like one."""
        return self._place(content, self.tokens)

    def place_html(self, content: str) -> str:
        """Do the same for html."""
        return self._place(content, {**self.tokens, **self.escaped})

    def values(self, recipients: Iterable[Recipient]) -> str:
        """Write what the readers' variables stand for, in JSON: a thousand readers a request, so line by line."""
        fixed = "".join(f",{encode_basestring(name)}:{encode_basestring(start)}" for start, name in self.starts.items())
        names = [(token, f',"{name}":', self.escaped.get(token)) for token, name in self.tokens.items()]
        lines = []
        for recipient in recipients:
            line = f'{encode_basestring(recipient.address)}:{{"{self.prefix}reader":"{recipient.reader}"{fixed}'
            for token, name, in_html in names:
                value = recipient.values[token]
                line += name + encode_basestring(value)
                if in_html:
                    line += f',"{in_html}":{encode_basestring(html.escape(value))}'
            lines.append(line + "}")
        return "{" + ",".join(lines) + "}"

    def _place(self, content: str, names: Mapping[str, str]) -> str:
        written = _THEIR_VARIABLES.sub(lambda found: f"%recipient.{self.starts[found[0]]}%", content)
        for token, name in names.items():
            written = written.replace(token, f"%recipient.{name}%")
        return written


def variables(batch: Batch) -> Variables:
    """Choose names that no text of the batch speaks of, so that no text can be taken for a variable of ours."""
    merge = batch.merge
    texts = [merge.subject, merge.sender, merge.reply_to or "", merge.text, *(value for _, value in merge.headers)]
    known = batch.recipients[0].values
    texts.append(merge.html)
    tokens = [token for token in known if any(token in text for text in texts)]
    escaped = [token for token in tokens if token in merge.html and _any_escaped(batch, token)]
    starts = sorted({start for text in texts for start in _THEIR_VARIABLES.findall(text)})
    texts += [value for recipient in batch.recipients for value in recipient.values.values()]
    prefix = "nl_"
    said = "\0".join(texts)
    while f"recipient.{prefix}" in said:
        prefix = f"nl{prefix}"
    return Variables(
        prefix,
        {token: _name(prefix, token) for token in tokens},
        {token: f"{_name(prefix, token)}_html" for token in escaped},
        {start: f"{prefix}start{number}" for number, start in enumerate(starts)},
    )


def _any_escaped(batch: Batch, token: str) -> bool:
    """Say whether some reader's value looks otherwise in html."""
    said = "".join(recipient.values[token] for recipient in batch.recipients)
    return html.escape(said) != said


def _name(prefix: str, token: str) -> str:
    """Call a token by its name on the other side."""
    return prefix + token.removeprefix("__NL_").strip("_").lower()
