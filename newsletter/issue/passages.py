"""Every text of an issue, with its place in the file; found by the model itself, so that a new key is never missed."""

from __future__ import annotations

import functools
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel

from newsletter.issue.model import Issue
from newsletter.issue.values import Body, Prose
from newsletter.source import Line, Location

Kind = Literal["line", "prose", "body"]

_KINDS: tuple[tuple[Any, Kind], ...] = ((Line, "line"), (Prose, "prose"), (Body, "body"))
_VALIDATORS: dict[Any, Kind] = {typing.get_args(alias)[1].func: kind for alias, kind in _KINDS}


@dataclass(frozen=True)
class Passage:
    """One text. `name` says where it stands in words: 'lead, title' or 'Burundi, source, name'."""

    location: Location
    text: str
    kind: Kind
    name: str


def passages(issue: Issue) -> Iterator[Passage]:
    """Yield every text of an issue in the order of the format; a subject's name is a text too."""
    yield from _of_model(issue, ())


def _of_model(value: BaseModel, here: Location) -> Iterator[Passage]:
    annotations = _annotations(type(value))
    for name in type(value).model_fields:
        yield from _of_value(getattr(value, name), annotations[name], (*here, name))


def _of_value(value: Any, annotation: Any, here: Location) -> Iterator[Passage]:
    if isinstance(value, BaseModel):
        yield from _of_model(value, here)
    elif isinstance(value, str):
        kind = _kind(annotation)
        if kind:
            yield Passage(here, value, kind, _name(here))
    elif isinstance(value, tuple):
        inner = _inside(annotation, tuple)
        for index, item in enumerate(value):
            yield from _of_value(item, inner[0], (*here, index))
    elif isinstance(value, Mapping):
        keys, values = _inside(annotation, dict)
        for key, item in value.items():
            yield from _of_value(key, keys, (*here, key))
            yield from _of_value(item, values, (*here, key))


@functools.cache
def _annotations(model: type[BaseModel]) -> dict[str, Any]:
    return typing.get_type_hints(model, include_extras=True)


def _kind(annotation: Any) -> Kind | None:
    """Say which of the format's texts an annotation asks for, through Annotated and Optional."""
    if typing.get_origin(annotation) is Annotated:
        for entry in typing.get_args(annotation)[1:]:
            if isinstance(entry, AfterValidator) and entry.func in _VALIDATORS:
                return _VALIDATORS[entry.func]
    found = (_kind(inner) for inner in typing.get_args(annotation) if not isinstance(inner, AfterValidator))
    return next((kind for kind in found if kind), None)


def _inside(annotation: Any, container: type) -> tuple[Any, ...]:
    """Return the parameters of a container's annotation, through Annotated and Optional."""
    if typing.get_origin(annotation) is container:
        return typing.get_args(annotation)
    for inner in typing.get_args(annotation):
        found = _inside(inner, container)
        if found:
            return found
    return ()


def _name(here: Location) -> str:
    """Name a place as a person would: without indices, nor the 'updates' around a subject."""
    parts = [str(part) for part in here if isinstance(part, str) and part != "updates"]
    if here[0] == "updates" and parts[-1] == "text":
        parts.pop()
    return ", ".join(parts)
