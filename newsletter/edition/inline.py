"""Write a page's style rules into the style attributes of its elements, as inboxes need it. Nothing is ever fetched."""

from __future__ import annotations

import html as html_text
import logging
import os
import re
import threading
from typing import Any, Literal

from newsletter.edition.plaintext import ascii_address
from newsletter.errors import NewsletterError

Engine = Literal["premailer", "css-inline"]

# Past about 75 rules premailer's own default of 128 entries makes it five times slower (measured in November 2026).
CACHE_SIZE = "8192"

_ONE_AT_A_TIME = threading.Lock()  # cssutils keeps state between calls (premailer issue 65); a preview has threads

_TAG = re.compile(
    r"<!--.*?-->|<style\b.*?</style\s*>|<[a-zA-Z](?:[^>\"']|\"[^\"]*\"|'[^']*')*>", re.DOTALL | re.IGNORECASE
)
_STYLE_BLOCK = re.compile(r"(<style\b[^>]*>)(.*?)</style\s*>", re.DOTALL | re.IGNORECASE)
_KEEP = re.compile(r"\s+(?:data-premailer|data-css-inline)=(?:\"[^\"]*\"|'[^']*'|[^\s>]+)", re.IGNORECASE)
_CSS_ESCAPE = re.compile(r"\\([0-9a-fA-F]{1,6})\s?|\\(.)", re.DOTALL)
_CSS_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_OTHER_MARK = re.compile(r"\bdata-premailer\s*=\s*(?![\"']?ignore\b)", re.IGNORECASE)
_STYLESHEET_LINK = re.compile(r"\brel\s*=\s*[\"']?[^\"'>]*\bstylesheet\b", re.IGNORECASE)
_INDENT = re.compile(r"[ \t]*\n[ \t\n]*")
_ADDRESS = re.compile(r"(\s(?:href|src)=)\"([^\"]*)\"", re.IGNORECASE)
_CLASS = re.compile(r"\s+class=\"([^\"]*)\"")
_CLASS_IN_CSS = re.compile(r"\.(-?[a-zA-Z_][\w-]*)")


def inline(html: str, engine: Engine = "premailer") -> str:
    """Inline the style blocks of a page, except those marked `data-premailer="ignore" data-css-inline="keep"`.

    Afterwards the marks are gone, and so are the classes that no kept block speaks of. `engine` "css-inline" needs the
    extra of that name. Raises NewsletterError for what would have to be fetched (@import, a stylesheet link) and for a
    page the inliner cannot work on.
    """
    refuse_unfit(html)
    try:
        page = _premailer(html) if engine == "premailer" else _css_inline(html)
    except NewsletterError:
        raise
    except Exception as error:  # lxml, cssutils and premailer raise whatever they come across
        raise NewsletterError(f"{engine} cannot inline this page: {type(error).__name__}: {error}") from error
    return drop_unused_classes(page.strip()) + "\n"


def ready(html: str) -> str:
    """Prepare a rendered page: no indentation or blank lines, and every address in ASCII, which no inliner rewrites."""
    return _TAG.sub(_ascii_addresses, _INDENT.sub("\n", html).lstrip())


def _ascii_addresses(match: re.Match[str]) -> str:
    if match[0].isascii() or match[0].startswith("<!--") or match[0][:6].lower() == "<style":
        return match[0]
    return _ADDRESS.sub(_ascii_address, match[0])


def _ascii_address(match: re.Match[str]) -> str:
    return f'{match[1]}"{html_text.escape(ascii_address(html_text.unescape(match[2])))}"'


def refuse_unfit(html: str) -> None:
    """Refuse what an inliner or an inbox would have to fetch, and marks no inliner knows. Raises NewsletterError."""
    for match in _TAG.finditer(html):
        tag = match[0]
        block = _STYLE_BLOCK.fullmatch(tag)
        if block and "@import" in _CSS_ESCAPE.sub(_unescaped, _CSS_COMMENT.sub("", block[2])).lower():
            raise NewsletterError("@import is never fetched; put the rules into style.css")
        if block and _OTHER_MARK.search(block[1]):
            raise NewsletterError('a style block is kept with data-premailer="ignore"; it has no other value')
        if tag[:5].lower() == "<link" and _STYLESHEET_LINK.search(html_text.unescape(tag)):
            raise NewsletterError("a stylesheet link is never fetched; put the rules into style.css")


def _unescaped(match: re.Match[str]) -> str:
    code = int(match[1], 16) if match[1] else 0
    return chr(code) if 0 < code < 0x110000 else match[2] or ""


def fetch_nothing(url: str) -> Any:
    """Stand where premailer and cssutils would fetch something. Raises NewsletterError, always."""
    raise NewsletterError(f"{url}: nothing is fetched while inlining; put the rules into style.css")


def _premailer(html: str) -> str:
    os.environ.setdefault("PREMAILER_CACHE_MAXSIZE", CACHE_SIZE)  # read once, when premailer is imported
    import cssutils  # type: ignore[import-untyped]  # noqa: PLC0415 - importing premailer costs more than the rest of a command
    from premailer import Premailer  # type: ignore[import-untyped]  # noqa: PLC0415

    class Offline(Premailer):  # type: ignore[misc,unused-ignore] # premailer is not typed
        """A premailer that cannot reach out: `allow_network=False` alone lets cssutils follow @import."""

        def _parse_css_string(self, css_body: str, validate: bool = True) -> Any:
            return cssutils.CSSParser(fetcher=fetch_nothing, validate=validate).parseString(css_body)

    transformer = Offline(
        html,
        strip_important=False,
        disable_validation=True,
        allow_network=False,
        align_floating_images=False,
        keep_style_tags=False,
        disable_basic_attributes=["width", "height"],
        cssutils_logging_level=logging.CRITICAL,
    )
    with _ONE_AT_A_TIME:
        return str(transformer.transform(pretty_print=False))


def _css_inline(html: str) -> str:
    try:
        import css_inline  # noqa: PLC0415 - an extra
    except ImportError:
        raise NewsletterError("css-inline is not installed; 'pip install country-newsletter[css-inline]'") from None
    # "keep" alone would keep a block and inline its rules as well, so its text waits outside until that is done.
    kept: list[str] = []

    def put_aside(block: re.Match[str]) -> str:
        if "data-css-inline" not in block[1]:
            return block[0]
        kept.append(block[2])
        return f"{block[1]}/*kept {len(kept) - 1}*/</style>"

    page = css_inline.inline(
        _STYLE_BLOCK.sub(put_aside, html), keep_style_tags=False, keep_at_rules=True, load_remote_stylesheets=False
    )
    return re.sub(r"/\*kept (\d+)\*/", lambda found: kept[int(found[1])], page)


def drop_unused_classes(page: str) -> str:
    """Take out the classes that no style block of the page speaks of, and the marks on the kept blocks."""
    styles = [block[2] for block in _STYLE_BLOCK.finditer(page)]
    if any("[class" in css for css in styles):  # selected by a part of the name, so every class may matter
        return page
    spoken_of = {name for css in styles for name in _CLASS_IN_CSS.findall(css)}

    def kept(match: re.Match[str]) -> str:
        names = [name for name in html_text.unescape(match[1]).split() if name in spoken_of]
        return f' class="{" ".join(names)}"' if names else ""

    def clean(match: re.Match[str]) -> str:
        tag = match[0]
        if tag.startswith("<!--"):
            return tag
        if tag[:6].lower() == "<style":
            opening, bracket, rest = tag.partition(">")
            return _KEEP.sub("", opening) + bracket + rest
        return _CLASS.sub(kept, tag)

    return _TAG.sub(clean, page)
