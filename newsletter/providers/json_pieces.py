"""Compiles a JSON template into static runs and slots, so that one reader's object is a join of bytes.

For carriers that want a whole message for each reader: the body of 60 kB is encoded once a batch, and what is left for
each reader is to encode their few values (RFC 8259).
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


class Html(str):
    """A string of a template that is html: the values put into it are escaped, quotes too."""

    __slots__ = ()


@dataclass(frozen=True)
class Slot:
    """A place of a template where a string of each reader's stands alone; `name` is its key among the values."""

    name: str


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))  # made once: json.dumps makes one each time


def encode(value: object) -> bytes:
    """Write a value as compact JSON in UTF-8."""
    return _ENCODER.encode(value).encode()


@dataclass(frozen=True)
class _Place:
    """Where a value goes, and whether it is escaped there."""

    name: str
    in_html: bool


class Pieces:
    """A compiled template, of dicts, lists, strings, numbers, True, False and None; `tokens` are looked for in strings.

    Keys of objects hold no tokens. A token that no string holds costs nothing, and its value is never used.
    """

    def __init__(self, template: object, tokens: Iterable[str] = ()) -> None:
        alternatives = "|".join(re.escape(token) for token in sorted(tokens, key=len, reverse=True))
        self._cut = re.compile(f"({alternatives})" if alternatives else "(?!)")
        runs: list[bytes | _Place] = [b""]
        for part in self._walk(template):
            if isinstance(part, bytes) and isinstance(runs[-1], bytes):
                runs[-1] += part
            else:
                runs.append(part)
        self._runs = [run if isinstance(run, bytes) else b"" for run in runs]
        self._places = [(index, run) for index, run in enumerate(runs) if isinstance(run, _Place)]

    def fill(self, values: Mapping[str, str]) -> bytes:
        """Write the object of one reader; `values` has a string for each slot and token. Raises KeyError without."""
        runs = list(self._runs)
        written: dict[_Place, bytes] = {}
        for index, place in self._places:
            if place not in written:
                value = values[place.name]
                written[place] = _inside(html.escape(value) if place.in_html else value)
            runs[index] = written[place]
        return b"".join(runs)

    def _walk(self, node: object) -> Iterator[bytes | _Place]:
        if isinstance(node, Slot):
            yield from (b'"', _Place(node.name, in_html=False), b'"')
        elif isinstance(node, str):
            yield b'"'
            for number, part in enumerate(self._cut.split(node)):
                yield _Place(part, isinstance(node, Html)) if number % 2 else _inside(part)
            yield b'"'
        elif isinstance(node, Mapping):
            yield from self._joined(b"{", (((encode(key) + b":"), value) for key, value in node.items()), b"}")
        elif isinstance(node, list | tuple):
            yield from self._joined(b"[", ((b"", value) for value in node), b"]")
        else:
            yield encode(node)

    def _joined(self, start: bytes, items: Iterable[tuple[bytes, object]], end: bytes) -> Iterator[bytes | _Place]:
        yield start
        for number, (key, value) in enumerate(items):
            yield (b"," if number else b"") + key
            yield from self._walk(value)
        yield end


def _inside(text: str) -> bytes:
    """Write a string without its quotes."""
    return encode(text)[1:-1]
