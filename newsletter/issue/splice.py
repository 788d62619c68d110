"""Keep the lines of a YAML file that say what they said before, with the comments above them, byte for byte."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from newsletter import source
from newsletter.source import Location

Lines = list[str]
Key = str | int
Span = tuple[int, int]

DEEPEST = source.MAX_DEPTH


@dataclass(frozen=True)
class _Entry:
    """A key or item of a block: the blank lines and comments above it, its own line, and what stands below."""

    above: Lines
    line: str
    below: Lines
    start: int  # the number of its own line


@dataclass(frozen=True)
class _Block:
    """A mapping or list: what stands before its first entry, its entries, and the comments at its end."""

    head: Lines
    entries: Mapping[Key, _Entry]
    tail: Lines


class _Text:
    """A text by its lines, which count from 0 here, and the line of each key and item."""

    def __init__(self, text: str) -> None:
        self.lines = [f"{line}\n" for line in text.removesuffix("\n").split("\n")]
        self.keys: dict[Location, dict[Key, int]] = {}
        for location, line in source.parse("", text.encode()).lines.items():
            if location:
                self.keys.setdefault(location[:-1], {})[location[-1]] = line - 1

    def block(self, here: Location, span: Span, of: type[Key]) -> _Block | None:
        """Return the mapping (of str) or list (of int) at a location; None when it is not laid out as a block."""
        start, stop = span
        keys = self.keys.get(here, {})
        starts = list(keys.values())
        indents = {self._indent(line) for line in starts}
        if len(indents) != 1 or sorted(set(starts)) != starts or starts[0] < start:
            return None
        indent = indents.pop()
        marks = {self.lines[line][indent] for line in starts}
        if not all(isinstance(key, of) for key in keys) or (marks & set("{[-?") if of is str else marks != {"-"}):
            return None
        tops = [self._above(line, indent, start) for line in starts]
        ends = [*tops[1:], self._above(stop, indent, starts[-1] + 1)]
        entries = {
            name: _Entry(self.lines[top:line], self.lines[line], self.lines[line + 1 : end], line)
            for (name, line), top, end in zip(keys.items(), tops, ends, strict=True)
        }
        return _Block(self.lines[start : tops[0]], entries, self.lines[ends[-1] : stop])

    def _indent(self, line: int) -> int:
        return len(self.lines[line]) - len(self.lines[line].lstrip(" "))

    def _above(self, line: int, indent: int, start: int) -> int:
        """Go up from a line over what belongs to it: blank lines and comments that stand no deeper than it does."""
        while line > start:
            text = self.lines[line - 1].strip()
            if text and not (text.startswith("#") and self._indent(line - 1) <= indent):
                break
            line -= 1
        return line


def keep(
    before: str, after: str, was: Mapping[str, Any], wanted: Mapping[str, Any], depth: int = DEEPEST
) -> str | None:
    """Return `after` with the lines of `before` wherever the values under a key are the same.

    `was` and `wanted` are the trees that the two texts say; a value deeper than `depth` counts as a part of the one
    that holds it. None when a text is not laid out in blocks. The result is to be read back: where the two texts are
    indented in different ways, it may say something else.
    """
    old, new = _Text(before), _Text(after)
    lines = _kept((old, new), (), ((0, len(old.lines)), (0, len(new.lines))), (was, wanted), depth)
    return None if lines is None else "".join(lines)


def _kept(
    texts: tuple[_Text, _Text], here: Location, spans: tuple[Span, Span], values: tuple[Any, Any], depth: int
) -> Lines | None:
    was, wanted = values
    of = str if isinstance(was, Mapping) else int
    if depth == 0 or not isinstance(was, Mapping | list) or type(was) is not type(wanted):
        return None
    mine, other = (text.block(here, span, of) for text, span in zip(texts, spans, strict=True))
    if mine is None or other is None:
        return None
    pairs = {key: key for key in other.entries} if of is str else _pairs(was, wanted)
    lines = list(mine.head)
    for key, entry in other.entries.items():
        old_key = pairs.get(key)
        known = mine.entries.get(old_key) if old_key is not None else None
        if known is None or old_key is None:  # a new entry has no comments; those above it are another's
            lines += [entry.line, *entry.below]
            continue
        lines += known.above
        value, new_value = (_at(was, old_key), _at(wanted, key))
        if value == new_value:
            lines += [known.line, *known.below]
            continue
        below = (_below(known), _below(entry))
        inner = _kept(texts, (*here, key), below, (value, new_value), depth - 1) if of is str else None
        lines += [entry.line, *entry.below] if inner is None else [known.line, *inner]
    return lines + mine.tail


def _pairs(was: Any, wanted: Any) -> Mapping[Key, Key]:
    """Map the places of a list's new items to the places the same items, or those they replace, had before."""
    match = difflib.SequenceMatcher(None, list(map(repr, was)), list(map(repr, wanted)), autojunk=False)
    return {
        new: old
        for what, start, end, first, last in match.get_opcodes()
        if what in ("equal", "replace")
        for old, new in zip(range(start, end), range(first, last), strict=False)
    }


def _at(values: Any, key: Key) -> Any:
    return values.get(key) if isinstance(values, Mapping) else values[key]


def _below(entry: _Entry) -> Span:
    return entry.start + 1, entry.start + 1 + len(entry.below)
