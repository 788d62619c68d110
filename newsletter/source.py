"""Read one YAML file strictly, remember every line, and turn what a model refuses into faults with lines.

The rules are those of the issue format: YAML 1.2, where the model and not the spelling decides what is a number or a
date, and none of YAML's conveniences that lose text without a word (anchors, tags, duplicate keys, merge keys).
"""

from __future__ import annotations

import difflib
import re
import typing
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from newsletter.errors import Fault, FaultsError, NewsletterError

Location = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 20

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_TAB_INDENT = re.compile(r"^ *\t[ \t]*\S")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_LINE_BREAK = re.compile("[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


def refused(message: str) -> PydanticCustomError:
    """Make the error a model's validator raises; its whole message is the line an editor reads."""
    return PydanticCustomError("newsletter", "{message}", {"message": message})


def _line(value: str) -> str:
    if _LINE_BREAK.search(value):
        raise refused("this text must stand on one line, without a line break of any kind")
    if not value.strip():
        raise refused("this text is empty; write it or delete the key")
    return value.strip()


# A text that may reach a mail header or a heading: one line, not empty (RFC 5322 forbids bare CR and LF in a field).
Line = Annotated[str, AfterValidator(_line)]


class Plain(str):
    """A scalar written without quotation marks, so that only a model that asks for a number or date reads one."""

    __slots__ = ()


@dataclass(frozen=True)
class Source:
    """A file as it was read: its tree of dict, list, str and None, and where each value stands."""

    file: str
    data: bytes
    tree: Any
    lines: Mapping[Location, int]
    blocks: frozenset[Location] = frozenset()

    def line(self, location: Location, offset: int = 0) -> int:
        """Return the line of a value, or of the nearest value that holds it.

        `offset` counts line breaks into the text of the value; it is exact for block texts (`|`), whose first line
        stands below their key, and for all others the line where the value starts is given.
        """
        here: Location = ()
        for part in location:
            if (*here, part) in self.lines:
                here = (*here, part)
        start = self.lines.get(here, 1)
        return start + 1 + offset if here in self.blocks else start


def display(path: Path) -> str:
    """Name a file as the person at the keyboard would: relative to where they are, where that is shorter."""
    try:
        relative = path.resolve().relative_to(Path.cwd())
    except ValueError:
        return str(path)
    return str(relative)


def read(path: Path) -> Source:
    """Read a YAML file strictly.

    Raises FaultsError with every fault found, and NewsletterError when the file cannot be opened.
    """
    name = display(path)
    try:
        with path.open("rb") as handle:
            data = handle.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NewsletterError(f"{name}: there is no such file") from None
    except OSError as error:
        raise NewsletterError(f"{name}: cannot be read: {error.strerror}") from None
    return parse(name, data)


def parse(name: str, data: bytes) -> Source:
    """Read the bytes of a YAML file strictly; `name` is how messages call it. Raises FaultsError."""
    if len(data) > MAX_BYTES:
        raise FaultsError([Fault(name, 1, f"the file is larger than {MAX_BYTES // 1024} KiB; split it")])
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise FaultsError([Fault(name, line, "this is not UTF-8 text; save the file as UTF-8")]) from None
    faults = list(_character_faults(name, text))
    if faults:
        raise FaultsError(faults)
    builder = _Builder(name)
    tree = builder.build(text)
    if builder.faults:
        raise FaultsError(builder.faults)
    return Source(name, data, tree, builder.lines, frozenset(builder.blocks))


def _character_faults(name: str, text: str) -> Iterator[Fault]:
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        found = _FORBIDDEN.search(line)
        if found:
            yield Fault(name, number, f"the character U+{ord(found[0]):04X} has no place in text; delete it")
        if _TAB_INDENT.match(line):
            yield Fault(name, number, "the line is indented with a tab; use spaces")


@dataclass
class _Builder:
    """Builds the tree from YAML events, noting every fault and carrying on."""

    name: str
    faults: list[Fault] = field(default_factory=list)
    lines: dict[Location, int] = field(default_factory=dict)
    blocks: set[Location] = field(default_factory=set)

    def build(self, text: str) -> Any:
        events = yaml.parse(text, Loader=yaml.CSafeLoader)
        tree: Any = None
        documents = 0
        try:
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self.fault(event, "a second document starts here; one file holds one")
                        break
                    tree = self.value(next(events), events, ())
        except yaml.MarkedYAMLError as error:
            self.faults.append(Fault(self.name, _error_line(error), _explain(error)))
        except yaml.YAMLError as error:  # the reader's own refusals carry no mark
            self.faults.append(Fault(self.name, 1, str(error).splitlines()[0]))
        return tree

    def fault(self, event: Any, message: str) -> None:
        self.faults.append(Fault(self.name, event.start_mark.line + 1, message))

    def value(self, event: Any, events: Iterator[Any], here: Location) -> Any:
        self.lines.setdefault(here, event.start_mark.line + 1)
        self.refuse_conveniences(event)
        if len(here) > MAX_DEPTH:
            self.fault(event, f"lists and keys are nested deeper than {MAX_DEPTH}")
            self.skip(event, events)
            return None
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(events, here)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(events, here)
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event, here)
        return None

    def skip(self, event: Any, events: Iterator[Any]) -> None:
        depth = 1 if isinstance(event, yaml.CollectionStartEvent) else 0
        while depth:
            following = next(events)
            if isinstance(following, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(following, yaml.CollectionEndEvent):
                depth -= 1

    def refuse_conveniences(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            self.fault(event, f"an alias (*{event.anchor}) is not allowed; write the text out")
            return
        if getattr(event, "anchor", None):
            self.fault(event, f"an anchor (&{event.anchor}) is not allowed; put text that starts with & in quotes")
        if getattr(event, "tag", None):
            self.fault(event, f"a tag ({event.tag}) is not allowed; put text that starts with ! in quotes")

    def scalar(self, event: Any, here: Location) -> str | None:
        value = unicodedata.normalize("NFC", event.value)
        if event.style in ("|", ">"):
            self.blocks.add(here)
        found = _FORBIDDEN.search(value)
        if found:
            self.fault(event, f"the character U+{ord(found[0]):04X} has no place in text; delete it")
        if event.style is None:
            return None if value in _NULLS else Plain(value)
        return value

    def sequence(self, events: Iterator[Any], here: Location) -> list[Any]:
        items: list[Any] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self.value(event, events, (*here, len(items))))
        return items

    def mapping(self, events: Iterator[Any], here: Location) -> dict[str, Any]:
        items: dict[str, Any] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self.key(event, events)
            value_event = next(events)
            if key is None or key in items:
                if key is not None:
                    first = self.lines[(*here, key)]
                    self.fault(event, f"'{key}' is here a second time (first in line {first}); put both under one")
                self.value(value_event, events, (*here, f"\0{event.start_mark.index}"))
                continue
            self.lines[(*here, key)] = event.start_mark.line + 1
            items[key] = self.value(value_event, events, (*here, key))
        return items

    def key(self, event: Any, events: Iterator[Any]) -> str | None:
        self.refuse_conveniences(event)
        if isinstance(event, yaml.AliasEvent):
            return None
        if not isinstance(event, yaml.ScalarEvent):
            self.fault(event, "a key must be text")
            self.skip(event, events)
            return None
        key = str(unicodedata.normalize("NFC", event.value))
        if key == "<<" and event.style is None:
            self.fault(event, "a merge key (<<) is not allowed; write the keys out")
            return None
        if event.style is None and key in _NULLS:
            self.fault(event, "a key is missing before the colon")
            return None
        return key


def _error_line(error: yaml.MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark else 1


def _explain(error: yaml.MarkedYAMLError) -> str:
    """Say in an editor's words what the parser tripped over, for the mistakes that really happen."""
    problem = str(error.problem or "")
    if "mapping values are not allowed" in problem:
        return "a colon followed by a space starts a key; put this text in quotes, or write it below a '|'"
    if "could not find expected ':'" in problem:
        return "a key without its colon; write 'key: value'"
    if "cannot start any token" in problem or "unknown escape" in problem:
        return "this text starts with, or escapes, a character that YAML reserves; put it in single quotes"
    if "did not find expected '-' indicator" in problem or "did not find expected key" in problem:
        return "the indentation does not match the lines above, or a quotation mark ends too early"
    if "unexpected end of stream" in problem:
        return "a quotation mark is opened and never closed"
    if "undefined alias" in problem:
        return "text that starts with * must stand in quotes"
    return f"this is not valid YAML: {problem or error.context or 'unreadable'}"


def validate(model: type[Model], source: Source, context: Mapping[str, Any] | None = None) -> Model:
    """Build a model from a source. Raises FaultsError with a line for each thing the model refuses."""
    tree = {} if source.tree is None else source.tree
    if not isinstance(tree, dict):
        raise FaultsError([Fault(source.file, 1, "the file must consist of keys, each with a colon: 'title: ...'")])
    found: list[tuple[Location, str]] = []  # what validators put aside, so that it joins the faults found elsewhere
    faults: list[Fault] = []
    result = None
    try:
        result = model.model_validate(tree, context={**(context or {}), "faults": found})
    except ValidationError as error:
        faults.extend(_faults(model, source, error))
    faults.extend(Fault(source.file, source.line(location), message) for location, message in found)
    if faults or result is None:
        raise FaultsError(faults)
    return result


def _faults(model: type[BaseModel], source: Source, error: ValidationError) -> Iterator[Fault]:
    for detail in error.errors(include_url=False):
        location = tuple(part for part in detail["loc"] if part != "[key]")
        context = detail.get("ctx", {})
        for offset, message in context.get("faults", ((0, _message(model, location, dict(detail))),)):
            yield Fault(source.file, source.line(location, offset), message)


def _message(model: type[BaseModel], location: Location, detail: Mapping[str, Any]) -> str:
    """Say what is wrong at a location in an editor's words."""
    name = next((part for part in reversed(location) if isinstance(part, str)), "")
    kind = detail["type"]
    if kind == "extra_forbidden":
        return unknown_key(name, known_keys(model, location[:-1]))
    if kind == "missing":
        return f"'{name}' is missing"
    if kind in ("string_type", "string_sub_type"):
        return f"'{name}' must be text"
    if kind in ("model_type", "dict_type", "model_attributes_type", "mapping_type"):
        return f"'{name}' must be keys with values, each with a colon"
    if kind in ("list_type", "tuple_type"):
        return f"'{name}' must be a list: one '- ' a line"
    message = str(detail["msg"])
    return message if kind == "newsletter" else f"'{name}': {message}"


def unknown_key(name: str, known: tuple[str, ...]) -> str:
    """Say that a key is not known, with the nearest known one, or all of them."""
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"there is no key '{name}' here; did you mean '{near[0]}'?"
    return f"there is no key '{name}' here; known are: {', '.join(known)}"


def known_keys(model: type[BaseModel], location: Location) -> tuple[str, ...]:
    """List the keys that a model takes at a location of its tree."""
    models: list[type[BaseModel]] = [model]
    for part in location:
        annotations = [m.model_fields[part].annotation for m in models if part in m.model_fields]
        found = [inner for annotation in annotations for inner in _models(annotation)]
        models = found or models  # an index or a free key: the models inside are known already
    return tuple(dict.fromkeys(name for m in models for name in m.model_fields))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _models(inner)
