"""Editors' prose: CommonMark restricted to paragraphs, emphasis, links, lists, quotes, headings in a body, hard breaks.

Everything else stays on the page as the characters typed: raw HTML, pictures, code and rules are text here. A link's
target is handed on exactly as written. Parsing takes time linear in the text, also for 10 kB of brackets, and what
comes out has been through nh3, so a fault in the parser cannot put markup into a mail.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline, autolink, link
from markdown_it.token import Token

from newsletter.issue.targets import cleaner, target_fault

_NOT_OURS = ("html_block", "html_inline", "image", "code", "fence", "hr", "reference", "backticks")
_HEADINGS = ("heading", "lheading")
_PARSER_DEPTH = 100  # the parser drops what lies deeper, so the limit for editors is far below
_DEEPEST = 24

__all__ = ["ProseLink", "faults", "inline", "links", "plain", "render", "target_fault", "to_text"]


@dataclass(frozen=True)
class ProseLink:
    """A link in a text. `line` counts line breaks into the text.

    `before` and `after` are the visible characters next to it, "" at the edges of its paragraph; a space for a break.
    """

    label: str
    href: str
    line: int
    before: str
    after: str


def faults(text: str, *, headings: bool = False) -> tuple[tuple[int, str], ...]:
    """List what is wrong with a text: how many line breaks into it, and the line an editor reads."""
    found: list[tuple[int, str]] = []
    tokens = _parse(text, headings)
    deep = next((token for token in tokens if token.level > _DEEPEST), None)
    if deep:
        line = deep.map[0] if deep.map else 0
        found.append((line, "lists and quotes are nested deeper here than mail programs can show; use fewer levels"))
    for token in tokens:
        for child in token.children or ():
            if child.type == "link_open":
                problem = target_fault(str(child.attrs["href"]))
                if problem:
                    found.append((_line(token, child), _picture_hint(child) or problem))
    return tuple(sorted(found))


def _picture_hint(child: Token) -> str | None:
    if child.meta["before"] == "!":
        return "a picture cannot stand in a text; put it under 'figures', with src, alt and caption"
    return None


def render(text: str, *, headings: int | None = None) -> str:
    """Return the text as block HTML. `headings=3` makes '#' an h3; with None headings are shown as text."""
    return _html(_parse(text, headings is not None), headings or 1)


def inline(text: str) -> str:
    """Return a text of one paragraph as inline HTML, without its <p>; one of several blocks is rendered as blocks."""
    tokens = _parse(text, False)
    if [token.type for token in tokens] != ["paragraph_open", "inline", "paragraph_close"]:
        return render(text)
    return _html(tokens[1:2], 1)


def _html(tokens: Sequence[Token], first_heading: int) -> str:
    parser = _parser(True)
    rendered: str = parser.renderer.render(tokens, parser.options, {"first_heading": first_heading})
    return cleaner().clean(rendered)


def plain(text: str, *, headings: bool = False) -> str:
    """Return the visible words: no marks, no link targets, one line per block."""
    tokens = _parse(text, headings)
    lines = (_words(token.children or ()) for token in tokens if token.type == "inline")
    return "\n".join(" ".join(line.split("\n")) for line in lines)


def links(text: str, *, headings: bool = False) -> tuple[ProseLink, ...]:
    """List the links of a text in their order."""
    return tuple(_links(_parse(text, headings)))


def _links(tokens: Sequence[Token]) -> Iterator[ProseLink]:
    for token in tokens:
        children = token.children or []
        for start, child in enumerate(children):
            if child.type == "link_open":
                end = _closing(children, start)
                before = _words(children[:start])[-1:]
                after = _words(children[end:])[:1]
                label = _words(children[start:end]).replace("\n", " ")
                line = _line(token, child)
                yield ProseLink(label, str(child.attrs["href"]), line, _space(before), _space(after))


def to_text(text: str, link: Callable[[str, str], str], headings: bool = False) -> str:
    """Return the text for the text part of a mail: blocks apart by a blank line, not wrapped; links by `link`.

    Lists keep their bullets, numbers and depth, quotes their "> ". `link` gets a label and a target.
    """
    return _Plaintext(link).blocks(_parse(text, headings))


@dataclass(frozen=True)
class _Plaintext:
    """Sets tokens as plain text."""

    link: Callable[[str, str], str]

    def blocks(self, tokens: Sequence[Token]) -> str:
        return "\n\n".join(self.block(group) for group in _groups(tokens))

    def block(self, group: Sequence[Token]) -> str:
        kind = group[0].type
        if kind == "blockquote_open":
            return "\n".join(f"> {line}".rstrip() for line in self.blocks(group[1:-1]).split("\n"))
        if kind in ("bullet_list_open", "ordered_list_open"):
            return self.items(group)
        return self.words(group[1].children or [])

    def items(self, group: Sequence[Token]) -> str:
        number = int(group[0].attrs.get("start", 1)) if group[0].type == "ordered_list_open" else None
        lines = []
        tight = any(token.hidden for token in group)
        for item in _groups(group[1:-1]):
            mark = "* " if number is None else f"{number}. "
            number = None if number is None else number + 1
            content = ("\n" if tight else "\n\n").join(self.block(inner) for inner in _groups(item[1:-1]))
            indented = content.replace("\n", "\n" + " " * len(mark))
            lines.append(re.sub(r"(?m)[ ]+$", "", mark + indented))
        return ("\n" if tight else "\n\n").join(lines)

    def words(self, children: Sequence[Token]) -> str:
        parts: list[str] = []
        position = 0
        while position < len(children):
            child = children[position]
            if child.type == "link_open":
                end = _closing(children, position)
                label = _words(children[position:end]).replace("\n", " ")
                parts.append(self.link(label, str(child.attrs["href"])))
                position = end
            else:
                parts.append(" " if child.type == "softbreak" else _words([child]))
            position += 1
        return "".join(parts)


def _groups(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Split tokens into the blocks that stand side by side, each with its opening and closing token."""
    start, depth = 0, 0
    for position, token in enumerate(tokens):
        depth += token.nesting
        if depth == 0:
            yield tokens[start : position + 1]
            start = position + 1


def _closing(children: Sequence[Token], start: int) -> int:
    """Return the position of the token that closes the link opened at `start`; links never hold links."""
    return next(n for n in range(start, len(children)) if children[n].type == "link_close")


def _words(children: Sequence[Token]) -> str:
    return "".join("\n" if child.type in ("softbreak", "hardbreak") else child.content for child in children)


def _space(character: str) -> str:
    return " " if character == "\n" else character


def _line(block: Token, opening: Token) -> int:
    return (block.map[0] if block.map else 0) + int(opening.meta["line"])


@functools.lru_cache(maxsize=512)  # checks, html, text and archive ask for the same texts; nobody changes the tokens
def _parse(text: str, headings: bool) -> tuple[Token, ...]:
    return tuple(_parser(headings).parse(text))


@functools.cache
def _parser(headings: bool) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _PARSER_DEPTH})
    parser.disable([*_NOT_OURS, *(() if headings else _HEADINGS)])
    for name, rule in (("link", link), ("autolink", autolink)):
        parser.inline.ruler.at(name, functools.partial(_placed, rule))
    # The parser shall read every target, so that a bad one is a fault with its line and not a text in brackets; what
    # may be a target is decided in `target_fault`, and once more by nh3.
    for name, function in (("validateLink", bool), ("normalizeLink", str), ("normalizeLinkText", str)):
        setattr(parser, name, function)
    parser.add_render_rule("heading_open", _heading)
    parser.add_render_rule("heading_close", _heading)
    parser.add_render_rule("link_open", _link_open)
    return parser


def _placed(rule: Callable[[StateInline, bool], bool], state: StateInline, silent: bool) -> bool:
    """Run a link rule and note in its token on which line of the paragraph the link starts."""
    start, first = state.pos, len(state.tokens)
    if not rule(state, silent):
        return False
    for token in state.tokens[first:]:
        if token.type == "link_open":
            token.meta = {"line": state.src.count("\n", 0, start), "before": state.src[max(start - 1, 0) : start]}
            break
    return True


def _heading(_: Any, tokens: Sequence[Token], index: int, __: Any, env: Any) -> str:
    token = tokens[index]
    level = min(int(token.tag[1]) + env["first_heading"] - 1, 6)
    return f"<h{level}>" if token.nesting == 1 else f"</h{level}>\n"


def _link_open(_: Any, tokens: Sequence[Token], index: int, __: Any, ___: Any) -> str:
    """Write only the target: a link's title is seen by a mouse alone, so it carries nothing a reader must know."""
    return f'<a href="{html.escape(str(tokens[index].attrs["href"]))}">'
