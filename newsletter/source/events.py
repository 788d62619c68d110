"""Read YAML strictly from its events, noting where each value stands and every fault.

The rules are those of the issue format: YAML 1.2, where the model and not the spelling decides what is a number or a
date, and none of YAML's conveniences that lose text without a word (anchors, tags, duplicate keys, merge keys).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from newsletter.errors import Fault
from newsletter.source.texts import FORBIDDEN, forbidden

Location = tuple[str | int, ...]

MAX_DEPTH = 20
MOST_FAULTS = 100  # of one sort; whoever has more has put the wrong file here, and suggestions take time
TAB_FAULT = "the line is indented with a tab; use spaces"

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})

# What the parser says, and how an editor calls it; the mistakes that really happen.
_EXPLAINED = (
    ("mapping values are not allowed", "a colon followed by a space starts a key; put this text in quotes"),
    ("could not find expected ':'", "a key without its colon, or a quotation mark that is never closed"),
    ("cannot start any token", "this text starts with a character that YAML reserves; put it in single quotes"),
    ("unknown escape", "a backslash in double quotes starts an escape; put this text in single quotes"),
    ("invalid Unicode character escape", "this escape is no character of its own; write the character itself"),
    ("hexdecimal number", "this escape is not finished; write the character itself"),
    ("did not find expected '-'", "the indentation does not match the lines above, or a quotation mark ends too early"),
    ("did not find expected key", "the indentation does not match the lines above, or a quotation mark ends too early"),
    ("did not find expected ',' or", "a bracket is never closed, or a comma is missing between two entries"),
    ("did not find expected node content", "a bracket is never closed"),
    ("unexpected end of stream", "a quotation mark is opened and never closed"),
    ("unexpected document indicator", "a quotation mark is opened and never closed"),
    ("expected alphabetic or numeric", "text that starts with * or & must stand in quotes"),
    ("did not find expected <document start>", "text goes on after the file has ended; check the indentation"),
    ("expected <document start>", "the file must consist of keys, each with a colon: 'title: ...'"),
)


class Plain(str):
    """A scalar written without quotation marks, so that only a model that asks for a number or date reads one."""

    __slots__ = ()


class _EnoughError(Exception):
    """Nothing more is read: too many faults, or so deep that the parser needs the square of the depth in time."""


@dataclass
class Builder:
    """Builds the tree from YAML events, noting every fault and carrying on; `broken` when it could not."""

    name: str
    faults: list[Fault] = field(default_factory=list)
    lines: dict[Location, int] = field(default_factory=dict)
    literal: dict[Location, int] = field(default_factory=dict)
    folded: dict[Location, int] = field(default_factory=dict)
    broken: bool = False

    def build(self, text: str) -> Any:
        """Return the tree of a text; None when it is empty or broken."""
        events = yaml.parse(text, Loader=yaml.CSafeLoader)
        tree: Any = None
        documents = 0
        try:
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self._fault(event, "a second document starts here; one file holds one")
                        break
                    tree = self._value(next(events), events, ())
        except _EnoughError:
            self.broken = True
        except yaml.MarkedYAMLError as error:
            self.broken = True
            fault = Fault(self.name, _error_line(error), _explain(error))
            if not self._follows(fault):
                self.faults.append(fault)
        return tree

    def _follows(self, fault: Fault) -> bool:
        """Say whether the parser's complaint is but the consequence of a fault that has its own line already."""
        return any(
            known.line == fault.line or (known.message == TAB_FAULT and known.line < fault.line)
            for known in self.faults
        )

    def _fault(self, event: Any, message: str) -> None:
        self.faults.append(Fault(self.name, event.start_mark.line + 1, message))
        if len(self.faults) >= MOST_FAULTS:
            raise _EnoughError

    def _value(self, event: Any, events: Iterator[Any], here: Location) -> Any:
        self.lines.setdefault(here, event.start_mark.line + 1)
        self._refuse_conveniences(event)
        if len(here) > MAX_DEPTH:
            self._fault(event, f"lists and keys are nested deeper than {MAX_DEPTH}")
            raise _EnoughError
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, here)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, here)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, here)
        return None

    def _refuse_conveniences(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            self._fault(event, f"an alias (*{event.anchor}) is not allowed; write the text out")
            return
        if getattr(event, "anchor", None):
            self._fault(event, f"an anchor (&{event.anchor}) is not allowed; put text that starts with & in quotes")
        if getattr(event, "tag", None):
            self._fault(event, f"a tag ({event.tag}) is not allowed; put text that starts with ! in quotes")

    def _scalar(self, event: Any, here: Location) -> str | None:
        value = unicodedata.normalize("NFC", event.value)
        if event.style in ("|", ">"):
            blocks = self.literal if event.style == "|" else self.folded
            blocks[here] = event.start_mark.line + 2
        found = FORBIDDEN.search(value)
        if found:
            self._fault(event, forbidden(found[0]))
        if not event.style:  # the C parser says ""
            return None if value in _NULLS else Plain(value)
        return value

    def _sequence(self, events: Iterator[Any], here: Location) -> list[Any]:
        items: list[Any] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._value(event, events, (*here, len(items))))
        return items

    def _mapping(self, events: Iterator[Any], here: Location) -> dict[str, Any]:
        items: dict[str, Any] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event, events, here)
            value_event = next(events)
            if key is None or key in items:
                if key is not None:
                    first = self.lines[(*here, key)]
                    self._fault(event, f"'{key}' is here a second time (first in line {first}); put both under one")
                self._value(value_event, events, (*here, f"\0{event.start_mark.index}"))
                continue
            self.lines[(*here, key)] = event.start_mark.line + 1
            items[key] = self._value(value_event, events, (*here, key))
        return items

    def _key(self, event: Any, events: Iterator[Any], here: Location) -> str | None:
        self._refuse_conveniences(event)
        if isinstance(event, yaml.AliasEvent):
            return None
        if not isinstance(event, yaml.ScalarEvent):
            self._fault(event, "a key must be text; put text that starts with [, { or ? in quotes")
            self._value(event, events, (*here, "\0key"))
            return None
        key = str(unicodedata.normalize("NFC", event.value)).strip()
        if key == "<<" and not event.style:
            self._fault(event, "a merge key (<<) is not allowed; write the keys out")
            return None
        if not event.style and key in _NULLS:
            self._fault(event, "a key is missing before the colon")
            return None
        return key


def _error_line(error: yaml.MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark else 1


def _explain(error: yaml.MarkedYAMLError) -> str:
    """Say in an editor's words what the parser tripped over."""
    problem = str(error.problem or error.context or "unreadable")
    return next((words for part, words in _EXPLAINED if part in problem), f"this is not valid YAML: {problem}")
