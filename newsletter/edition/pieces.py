"""Cut rendered html and text at the marks a theme writes with begin() and end() into the pieces of an edition."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from newsletter.edition.model import ALWAYS, ANY, LESS, NONE, TOKENS, Piece
from newsletter.errors import NewsletterError

Part = Literal["html", "text"]

_WHEN = rf"S\d{{1,4}}|{ANY}|{NONE}|{LESS}"
_VALID = re.compile(_WHEN)
_MARKS: dict[Part, re.Pattern[str]] = {
    "html": re.compile(rf"<!--__NL_(BEGIN|END)_({_WHEN})__-->"),
    "text": re.compile(rf"__NL_(BEGIN|END)_({_WHEN})__"),
}
# A mark alone on its line takes the line with it: what a template shows as lines must not become blank lines.
_MARK_LINE = re.compile(rf"(?m)^[ \t]*(__NL_(?:BEGIN|END)_(?:{_WHEN})__)[ \t]*\n")
_TOKEN = re.compile("|".join(TOKENS))
_STRAY = re.compile(r"__NL_\w*")
_TAG = re.compile(r"<!--.*?-->|<(/?)([a-zA-Z][a-zA-Z0-9:-]*)(?:[^>\"']|\"[^\"]*\"|'[^']*')*>", re.DOTALL)
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)


def mark(part: Part, edge: Literal["BEGIN", "END"], when: str) -> str:
    """Write the mark that opens or closes what is printed only `when`: "S0", "ANY", "NONE" or "LESS"."""
    if not _VALID.fullmatch(when):
        raise ValueError(f"begin() and end() take S and a number, ANY, NONE or LESS, not '{when}'")
    bare = f"__NL_{edge}_{when}__"
    return f"<!--{bare}-->" if part == "html" else bare


def cut(whole: str, part: Part, template: str) -> tuple[Piece, ...]:
    """Cut a part at its marks; the contents joined are the whole without its marks.

    Only a subject may stand inside another mark, and only inside ANY; the innermost decides. Raises NewsletterError,
    naming the template, for marks that do not pair up, that tear an element apart, or for a token that is no reader's
    field.
    """
    if part == "text":
        whole = _MARK_LINE.sub(r"\1", whole)
    found: list[Piece] = []
    open_marks: list[tuple[str, int]] = []
    last = 0
    for match in _MARKS[part].finditer(whole):
        edge, when = match[1], match[2]
        found.append(Piece(whole[last : match.start()], open_marks[-1][0] if open_marks else ALWAYS))
        last = match.end()
        if edge == "BEGIN":
            _may_open(when, open_marks, template)
            open_marks.append((when, match.end()))
        else:
            start = _closed(when, open_marks, template)
            if part == "html":
                _refuse_torn(whole[start : match.start()], when, template)
    if open_marks:
        raise NewsletterError(f'{template}: begin("{open_marks[-1][0]}") has no end()')
    found.append(Piece(whole[last:]))
    pieces = _merged(found)
    _refuse_stray(pieces, template)
    return pieces


def _may_open(when: str, open_marks: list[tuple[str, int]], template: str) -> None:
    around = [other for other, _ in open_marks]
    if around and not (around == [ANY] and when.startswith("S")):
        raise NewsletterError(
            f'{template}: begin("{when}") stands inside begin("{around[-1]}"); only a subject may, and only inside ANY'
        )


def _closed(when: str, open_marks: list[tuple[str, int]], template: str) -> int:
    if not open_marks:
        raise NewsletterError(f'{template}: end("{when}") has no begin()')
    opened, start = open_marks.pop()
    if opened != when:
        raise NewsletterError(f'{template}: end("{when}") closes begin("{opened}"); end the inner one first')
    return start


def _refuse_torn(html: str, when: str, template: str) -> None:
    """Refuse a run of html that opens an element and leaves it open, or closes one it did not open."""
    stack: list[str] = []
    for match in _TAG.finditer(html):
        name = (match[2] or "").lower()
        if not name or name in _VOID or match[0].endswith("/>"):
            continue
        if not match[1]:
            stack.append(name)
        elif not stack or stack.pop() != name:
            raise NewsletterError(f'{template}: between begin("{when}") and end("{when}"), </{name}> closes too much')
    if stack:
        raise NewsletterError(f'{template}: between begin("{when}") and end("{when}"), <{stack[-1]}> is not closed')


def _merged(found: Iterable[Piece]) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for piece in found:
        if not piece.content:
            continue
        if pieces and pieces[-1].when == piece.when:
            pieces[-1] = Piece(pieces[-1].content + piece.content, piece.when)
        else:
            pieces.append(piece)
    return tuple(pieces)


def _refuse_stray(pieces: Iterable[Piece], template: str) -> None:
    for piece in pieces:
        stray = _STRAY.search(_TOKEN.sub("", piece.content))
        if stray:
            raise NewsletterError(f"{template}: '{stray[0]}' is neither a reader's field nor a whole begin or end mark")
