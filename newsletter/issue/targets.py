"""Where a link may lead, and the cleaner that lets nothing else through."""

from __future__ import annotations

import functools
import html
import re
from urllib.parse import urlsplit

import nh3

_SCHEMES = frozenset({"http", "https", "mailto"})
_TAGS = frozenset({"p", "em", "strong", "a", "ul", "ol", "li", "blockquote", "br", "h1", "h2", "h3", "h4", "h5", "h6"})
_UNSAFE = re.compile(r"[\s\x00-\x20\x7f-\x9f\\\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_MAILBOX = re.compile(r"[^@?]+@[^@?]+\.[^@?.]+(\?.*)?")


def target_fault(url: str) -> str | None:
    """Say what is wrong with a link's target and what to write; None when it is http, https, mailto or #anchor."""
    if not url:
        return "this link has no target; write the address between ( and )"
    found = _UNSAFE.search(url)
    if found:
        return f"the link target '{_shown(url)}' holds {_character(found[0])}; a web address holds none (write %20)"
    if url.startswith("#"):
        return None if len(url) > 1 else "the link target '#' lacks the name of its anchor; write it like #burundi"
    scheme = _SCHEME.match(url)
    if not scheme or url.lower().startswith("localhost:"):
        return f"the link target '{_shown(url)}' is no web address; {_advice(url)}"
    if scheme[1].lower() not in _SCHEMES:
        return f"a link leads to http:, https:, mailto: or #anchor, not to '{_shown(scheme[0])}'"
    return _mail_fault(url) if scheme[1].lower() == "mailto" else _web_fault(url)


def _character(character: str) -> str:
    if character == " ":
        return "a space"
    return "a backslash" if character == "\\" else f"the character U+{ord(character):04X}"


def _advice(url: str) -> str:
    if _MAILBOX.fullmatch(url) and "/" not in url:
        return f"write mailto:{_shown(url)}"
    if url.startswith("//"):
        return f"write https:{_shown(url)}"
    if re.match(r"[\w-]+(\.[\w-]+)+(/|\Z|\?|#|:)", url):
        return f"write https://{_shown(url)}"
    return "write it in full, like https://example.org/report"


def _mail_fault(url: str) -> str | None:
    if not _MAILBOX.fullmatch(url[len("mailto:") :]):
        return f"the link target '{_shown(url)}' names no mailbox; write it like mailto:editors@example.org"
    return _cleaner_fault(url)


def _web_fault(url: str) -> str | None:
    problem = f"the link target '{_shown(url)}' names no host; write it like https://example.org/report"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return problem
    if not host or not parts.netloc or not all(host.removesuffix(".").split(".")):
        return problem
    return _cleaner_fault(url)


def _cleaner_fault(url: str) -> str | None:
    """Ask the cleaner itself, whose address parser is the browsers' (WHATWG), so that it never drops a link later."""
    if "href" in cleaner().clean(f'<a href="{html.escape(url)}">x</a>'):
        return None
    return f"the link target '{_shown(url)}' is no web address; browsers cannot read its host or port"


def _shown(text: str) -> str:
    """Cut a text so that a message stays one readable line."""
    visible = _UNSAFE.sub(lambda match: " " if match[0].isspace() else "\N{REPLACEMENT CHARACTER}", text)
    return visible if len(visible) <= 60 else f"{visible[:57]}..."


@functools.cache
def cleaner() -> nh3.Cleaner:
    """Return the cleaner of prose: the tags CommonMark makes here, and targets that `target_fault` allows."""
    return nh3.Cleaner(
        tags=set(_TAGS),
        attributes={"a": {"href"}, "ol": {"start"}},
        url_schemes=set(_SCHEMES),
        link_rel=None,
        url_relative=_anchors_only,
    )


def _anchors_only(url: str) -> str | None:
    return url if url.startswith("#") else None
