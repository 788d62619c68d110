"""Keep the lines of a YAML file that say what they said before, with the comments above them, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from newsletter import source
from newsletter.source import Location

Lines = list[str]


@dataclass(frozen=True)
class _Entry:
    """A key of a block mapping: the blank lines and comments above it, its own line, and what stands below."""

    above: Lines
    line: str
    below: Lines
    start: int  # the number of the key's line


@dataclass(frozen=True)
class _Block:
    """A block mapping: what stands before its first key, its keys, and the comments at its end."""

    head: Lines
    entries: Mapping[str, _Entry]
    tail: Lines


class _Text:
    """A text by its lines, which count from 0 here, and the line of each key."""

    def __init__(self, text: str) -> None:
        self.lines = [f"{line}\n" for line in text.removesuffix("\n").split("\n")]
        self.keys: dict[Location, dict[str, int]] = {}
        for location, line in source.parse("", text.encode()).lines.items():
            if location and isinstance(location[-1], str):
                self.keys.setdefault(location[:-1], {})[location[-1]] = line - 1

    def block(self, here: Location, start: int, stop: int) -> _Block | None:
        """Return the mapping at a location, which fills some lines; None when it is not laid out as a block."""
        keys = self.keys.get(here, {})
        starts = list(keys.values())
        indents = {len(self.lines[line]) - len(self.lines[line].lstrip(" ")) for line in starts}
        if len(indents) != 1 or sorted(set(starts)) != starts or starts[0] < start:
            return None
        indent = indents.pop()
        if any(self.lines[line][indent] in "{[-?" for line in starts):
            return None
        tops = [self._above(line, indent, start) for line in starts]
        ends = [*tops[1:], self._above(stop, indent, starts[-1] + 1)]
        entries = {
            name: _Entry(self.lines[top:line], self.lines[line], self.lines[line + 1 : end], line)
            for (name, line), top, end in zip(keys.items(), tops, ends, strict=True)
        }
        return _Block(self.lines[start : tops[0]], entries, self.lines[ends[-1] : stop])

    def _above(self, line: int, indent: int, start: int) -> int:
        """Go up from a line over what belongs to it: blank lines and comments that stand no deeper than it does."""
        while line > start:
            text = self.lines[line - 1].strip()
            depth = len(self.lines[line - 1]) - len(self.lines[line - 1].lstrip(" "))
            if text and not (text.startswith("#") and depth <= indent):
                break
            line -= 1
        return line


def keep(before: str, after: str, was: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """Return `after` with the lines of `before` wherever the values under a key are the same.

    `was` and `wanted` are the trees that the two texts say. None when a text is not laid out in blocks.
    """
    old, new = _Text(before), _Text(after)
    lines = _kept(old, new, (), ((0, len(old.lines)), (0, len(new.lines))), (was, wanted))
    return None if lines is None else "".join(lines)


def _kept(
    old: _Text, new: _Text, here: Location, spans: tuple[tuple[int, int], tuple[int, int]], values: tuple[Any, Any]
) -> Lines | None:
    mine, other = old.block(here, *spans[0]), new.block(here, *spans[1])
    if mine is None or other is None:
        return None
    was, wanted = values
    lines = list(mine.head)
    for name, entry in other.entries.items():
        known = mine.entries.get(name)
        if known is None:  # a new key has no comments of its own; those above it are another's
            lines += [entry.line, *entry.below]
            continue
        lines += known.above
        if was.get(name) == wanted.get(name):
            lines += [known.line, *known.below]
            continue
        inner = None
        if isinstance(was.get(name), Mapping) and isinstance(wanted.get(name), Mapping):
            places = (_below(known), _below(entry))
            inner = _kept(old, new, (*here, name), places, (was[name], wanted[name]))
        lines += [entry.line, *entry.below] if inner is None else [known.line, *inner]
    return lines + mine.tail


def _below(entry: _Entry) -> tuple[int, int]:
    return entry.start + 1, entry.start + 1 + len(entry.below)
