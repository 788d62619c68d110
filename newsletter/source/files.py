"""A YAML file as it was read: its tree, its lines, its faults."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from newsletter.errors import Fault, FaultsError, NewsletterError
from newsletter.source.events import MOST_FAULTS, TAB_FAULT, Builder, Location
from newsletter.source.texts import FORBIDDEN, forbidden

MAX_BYTES = 1024 * 1024

_TAB_INDENT = re.compile(r"^ *\t[ \t]*\S")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Source:
    """A file as it was read: its tree of dict, list, str and None, and where each value stands.

    `literal` and `folded` give the first line of texts below a `|` or a `>`. `faults` are those that did not keep
    the file from being read; only a source that was asked to keep them has any.
    """

    file: str
    data: bytes
    tree: Any
    lines: Mapping[Location, int]
    literal: Mapping[Location, int] = field(default_factory=dict)
    folded: Mapping[Location, int] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def line(self, location: Location, offset: int = 0) -> int:
        """Return the line of a value, or of the nearest value that holds it.

        `offset` counts line breaks into the text of the value. It is exact for texts below a `|`; for a text below a
        `>` its first line is given, and for all others the line where the value starts.
        """
        here: Location = ()
        for part in location:
            if (*here, part) in self.lines:
                here = (*here, part)
        if here in self.literal:
            return self.literal[here] + offset
        return self.folded.get(here) or self.lines.get(here, 1)


def display(path: Path) -> str:
    """Name a file as the person at the keyboard would: relative to where they are, where that is shorter."""
    try:
        relative = Path(os.path.realpath(path)).relative_to(Path.cwd())
    except ValueError:
        return str(path)
    return str(relative)


def read(path: Path, *, keep_faults: bool = False) -> Source:
    """Read a YAML file strictly.

    Raises FaultsError with every fault found, and NewsletterError when the file cannot be opened. `keep_faults` is
    as in `parse`.
    """
    name = display(path)
    return parse(name, read_bytes(path, name, MAX_BYTES), keep_faults=keep_faults)


def read_bytes(path: Path, name: str, most: int) -> bytes:
    """Read a file, and one byte more than `most` where there is more. Raises NewsletterError."""
    try:
        with path.open("rb") as handle:
            return handle.read(most + 1)
    except FileNotFoundError:
        raise NewsletterError(f"{name}: there is no such file") from None
    except OSError as error:
        raise NewsletterError(f"{name}: cannot be read: {error.strerror}") from None


def parse(name: str, data: bytes, *, keep_faults: bool = False) -> Source:
    """Read the bytes of a YAML file strictly; `name` is how messages call it. Raises FaultsError.

    With `keep_faults`, those after which the file can still be read go into the source, for `validate` to report
    them together with its own.
    """
    if len(data) > MAX_BYTES:
        raise FaultsError([Fault(name, 1, f"the file is larger than {MAX_BYTES // 1024} KiB; split it")])
    text, faults = _characters(name, _decoded(name, data))
    builder = Builder(name, faults[:MOST_FAULTS])
    tree = builder.build(text)
    if builder.broken or (builder.faults and not keep_faults):
        raise FaultsError(builder.faults)
    return Source(name, data, tree, builder.lines, builder.literal, builder.folded, tuple(builder.faults))


def _decoded(name: str, data: bytes) -> str:
    if data.startswith(_UTF_16) or b"\0" in data[:2]:
        raise FaultsError([Fault(name, 1, "this is UTF-16 or UTF-32 text; save the file as UTF-8")])
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = len(re.findall(rb"\r\n|\n|\r", data[: error.start])) + 1
        raise FaultsError([Fault(name, line, "this is not UTF-8 text; save the file as UTF-8")]) from None


def _characters(name: str, text: str) -> tuple[str, list[Fault]]:
    """Find the characters that have no place, and return a text without them, so that reading can go on."""
    faults: list[Fault] = []
    lines = re.split(r"\r\n|\n|\r", text)
    for number, line in enumerate(lines, 1):
        found = FORBIDDEN.search(line)
        if found:
            faults.append(Fault(name, number, forbidden(found[0])))
        if _TAB_INDENT.match(line):
            faults.append(Fault(name, number, TAB_FAULT))
            lines[number - 1] = line.expandtabs(2)
    return (FORBIDDEN.sub("\ufffd", "\n".join(lines)) if faults else text), faults
