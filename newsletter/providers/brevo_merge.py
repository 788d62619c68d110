"""How the tokens of a batch become Brevo's params, and how text that only looks like its template language does not.

Brevo renders subject and both bodies as templates: {{params.x}}, {% tag %}, {# comment #}. It escapes values for html
unless told otherwise, in every body (issue 55 of sendinblue/APIv3-csharp-library, 2022), so that is turned off and
done here. It was seen to render values, too (pull request 2381 of betagouv/recommandations-collaboratives, 2026): a
value never holds what starts a tag.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass

from newsletter.providers.base import Batch, Recipient
from newsletter.providers.json_pieces import Pieces, Slot

_BRACE = "brace"  # the param that writes a brace where one would start a tag
_STARTS = re.compile(r"\{(?=[{%#])")
_STYLE = re.compile(r"(<style\b.*?</style\s*>)", re.IGNORECASE | re.DOTALL)
_IN_HTML = "_html"


@dataclass(frozen=True)
class Params:
    """How the tokens of a batch are called on Brevo's side: those in html apart, for their values are escaped."""

    tokens: tuple[str, ...]
    in_html: tuple[str, ...]

    def place(self, content: str) -> str:
        """Write subject or text as a template that renders to it."""
        written = _written(content, self.tokens, "", f"{{{{params.{_BRACE}}}}}")
        return _unescaped(written) if written != content else content

    def place_html(self, content: str) -> str:
        """Write html as a template that renders to what a browser shows alike."""
        parts = [  # between the rules of a style sheet there may be spaces
            _written(block, self.in_html, _IN_HTML, "{ " if number % 2 else "&#123;")
            for number, block in enumerate(_STYLE.split(content))
        ]
        return _unescaped("".join(parts)) if self.in_html else "".join(parts)

    def pieces(self) -> Pieces:
        """Compile the params of one reader."""
        names = [*(_name(token) for token in self.tokens), *(_name(token, _IN_HTML) for token in self.in_html)]
        return Pieces({_BRACE: "{", **{name: Slot(name) for name in names}})

    def values(self, recipient: Recipient) -> Mapping[str, str]:
        """Return what a reader's params stand for."""
        own = recipient.values
        return {
            **{_name(token): _STARTS.sub("{\u2060", own[token]) for token in self.tokens},
            **{_name(token, _IN_HTML): html.escape(own[token]).replace("{", "&#123;") for token in self.in_html},
        }


def params(batch: Batch) -> Params:
    """Find out which tokens the subject and the bodies of a batch hold."""
    merge = batch.merge
    known = batch.recipients[0].values
    return Params(
        tuple(token for token in known if token in merge.subject or token in merge.text),
        tuple(token for token in known if token in merge.html),
    )


def _name(token: str, suffix: str = "") -> str:
    return token.removeprefix("__NL_").strip("_").lower() + suffix


def _written(content: str, tokens: tuple[str, ...], suffix: str, brace: str) -> str:
    """Write tokens as tags, and `brace` for each one that would start a tag, or run into the tag that follows it."""
    parts = re.split(f"({'|'.join(map(re.escape, tokens)) or '(?!)'})", content)
    for number, part in enumerate(parts):
        if number % 2:
            parts[number] = f"{{{{params.{_name(part, suffix)}}}}}"
        else:
            text = _STARTS.sub(brace, part)
            runs_on = text.endswith("{") and number + 1 < len(parts)
            parts[number] = text[:-1] + brace if runs_on else text
    return "".join(parts)


def _unescaped(written: str) -> str:
    return f"{{% autoescape off %}}{written}{{% endautoescape %}}"
