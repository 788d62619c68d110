"""How the tokens of a batch become variables of an SES template, and how text that only looks like one does not.

In a template that comes with the request SES knows plain variables only, {{like_this}}, and refuses the whole request
for any other tag; it escapes nothing, and a message whose variable has no value is taken but never leaves (vendor's
pages on personalized email, 2026).
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from newsletter.providers.base import Batch, Recipient

_BRACES = re.compile(r"[{}\\]+")  # those of a tag, and what would keep one from being a tag


@dataclass(frozen=True)
class Template:
    """One body for all readers. `plain` and `escaped` say which variable stands for which token."""

    subject: str
    text: str
    html: str
    plain: Mapping[str, str]
    escaped: Mapping[str, str]
    fixed: Mapping[str, str]  # variables that stand for braces

    def data(self, recipient: Recipient) -> str:
        """Return what the variables stand for in one reader's copy, as JSON."""
        own = recipient.values
        values = {
            **self.fixed,
            **{name: own[token] for token, name in self.plain.items()},
            **{name: html.escape(own[token]) for token, name in self.escaped.items()},
        }
        return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def template(batch: Batch) -> Template:
    """Write a batch's body for SES; only tokens that the body shows become variables."""
    merge = batch.merge
    prefix = _prefix(batch)
    tokens = tuple(batch.recipients[0].values)
    plain = _names(tokens, (merge.subject, merge.text), prefix, "")
    escaped = _names(tokens, (merge.html,), prefix, "_html")
    texts = (merge.subject, merge.text, merge.html)
    runs = sorted({found[0] for text in texts for found in _BRACES.finditer(text) if _looks_like_a_tag(found)})
    braces = {run: f"{prefix}braces{number}" for number, run in enumerate(runs)}
    return Template(
        _written(merge.subject, braces, plain),
        _written(merge.text, braces, plain),
        _written(merge.html, braces, escaped),
        plain,
        escaped,
        {name: run for run, name in braces.items()},
    )


def _names(tokens: Iterable[str], texts: tuple[str, ...], prefix: str, suffix: str) -> dict[str, str]:
    used = (token for token in tokens if any(token in text for text in texts))
    return {token: prefix + token.removeprefix("__NL_").strip("_").lower() + suffix for token in used}


def _looks_like_a_tag(found: re.Match[str]) -> bool:
    """Tell braces that stand together, or would stand at the braces of a token of ours, from those of a style sheet."""
    text, (start, end) = found.string, found.span()
    return end - start > 1 or text.startswith("__NL_", end) or text.endswith("__", 0, start)


def _written(text: str, braces: Mapping[str, str], names: Mapping[str, str]) -> str:
    written = _BRACES.sub(lambda f: f"{{{{{braces[f[0]]}}}}}" if _looks_like_a_tag(f) else f[0], text)
    for token, name in names.items():
        written = written.replace(token, f"{{{{{name}}}}}")
    return written


def _prefix(batch: Batch) -> str:
    """Choose names that no text and no value of the batch speaks of, whatever SES should replace twice."""
    merge = batch.merge
    texts = [merge.subject, merge.text, merge.html]
    texts += [value for recipient in batch.recipients for value in recipient.values.values()]
    prefix = "nl_"
    while any(f"{{{{{prefix}" in text for text in texts):
        prefix = f"nl{prefix}"
    return prefix
