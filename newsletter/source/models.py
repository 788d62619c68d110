"""Build a model from a file, and turn what the model refuses into faults with lines, in an editor's words."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from newsletter.errors import Fault, FaultsError
from newsletter.source.events import MOST_FAULTS, Location
from newsletter.source.files import Source

Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], source: Source, context: Mapping[str, Any] | None = None) -> Model:
    """Build a model from a source. Raises FaultsError with a line for each thing the model refuses.

    Validators find two things of ours in their context: `faults`, a list to which they may add a location and a
    message instead of raising, and `source`.
    """
    tree = {} if source.tree is None else source.tree
    if not isinstance(tree, dict):
        fault = Fault(source.file, 1, "the file must consist of keys, each with a colon: 'title: ...'")
        raise FaultsError([*source.faults, fault])
    found: list[tuple[Location, str]] = []
    faults: list[Fault] = []
    result = None
    try:
        result = model.model_validate(tree, context={**(context or {}), "faults": found, "source": source})
    except ValidationError as error:
        faults.extend(_faults(model, source, error))
    faults.extend(Fault(source.file, source.line(location), message) for location, message in found)
    known = {fault.line for fault in source.faults}  # what was refused there is missing in the model too
    faults = [*source.faults, *(fault for fault in faults if fault.line not in known)]
    if faults or result is None:
        raise FaultsError(faults)
    return result


def _faults(model: type[BaseModel], source: Source, error: ValidationError) -> Iterator[Fault]:
    details = error.errors(include_url=False)[:MOST_FAULTS]
    for detail in details:
        location = tuple(part for part in detail["loc"] if part != "[key]")
        if detail["type"] == "missing" and any(_is_misspelt(model, location, other) for other in details):
            continue  # the fault about the unknown key says it already
        context = detail.get("ctx", {})
        for offset, message in context.get("faults", ((0, _message(model, location, dict(detail))),)):
            yield Fault(source.file, source.line(location, offset), message)


def _is_misspelt(model: type[BaseModel], missing: Location, detail: Mapping[str, Any]) -> bool:
    """Say whether a fault is about an unknown key that was meant to be the missing one."""
    location = detail["loc"]
    if detail["type"] != "extra_forbidden" or location[:-1] != missing[:-1]:
        return False
    return difflib.get_close_matches(str(location[-1]), known_keys(model, location[:-1]), n=1) == [missing[-1]]


def _message(model: type[BaseModel], location: Location, detail: Mapping[str, Any]) -> str:
    """Say what is wrong at a location in an editor's words."""
    name = location[-1] if location else "the file"
    kind = detail["type"]
    message = str(detail["msg"])
    if kind == "newsletter":
        return message
    if kind == "extra_forbidden":
        return unknown_key(str(name), known_keys(model, location[:-1]))
    if kind == "missing":
        return f"'{name}' is missing"
    what = f"'{name}'" if isinstance(name, str) else f"entry {name + 1} of '{_container(location)}'"
    if detail.get("input", "") is None:
        return f"{what} has no value; write one or delete it"
    if kind in ("string_type", "string_sub_type"):
        return f"{what} must be text"
    if kind in ("model_type", "dict_type", "model_attributes_type", "mapping_type"):
        return f"{what} must be keys with values, each with a colon"
    if kind in ("list_type", "tuple_type"):
        return f"{what} must be a list, each entry with a '- ' before it"
    if kind in ("string_too_long", "too_long"):
        limit = detail["ctx"]["max_length"]
        return f"{what} is too long: {len(detail['input'])} characters; at most {limit} are shown"
    return f"{what}: {message[:1].lower()}{message[1:]}"


def _container(location: Location) -> str:
    return next((part for part in reversed(location) if isinstance(part, str)), "the file")


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
