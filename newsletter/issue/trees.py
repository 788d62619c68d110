"""The shortest tree of keys, lists and texts that says an issue: what is written to its file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from newsletter.issue.model import Issue, Item, Subject, Update

Tree = dict[str, Any]

# Where a value is written bare when it has nothing but the one key.
BARE: Mapping[type[BaseModel], str] = {Update: "text", Item: "text", Subject: "updates"}


def tree(issue: Issue) -> Tree:
    """Return an issue as its file holds it: no key that has its default, no mapping where bare text says the same.

    All scalars are str.
    """
    return {"kind": issue.kind, **_keys(issue)}


def _keys(value: BaseModel) -> Tree:
    fields = type(value).model_fields
    given = {name: getattr(value, name) for name in fields if name != "kind"}
    return {
        name: _short(inner)
        for name, inner in given.items()
        if inner is not None
        and (fields[name].is_required() or inner != fields[name].get_default(call_default_factory=True))
    }


def _short(value: Any) -> Any:
    if isinstance(value, BaseModel):
        keys = _keys(value)
        bare = BARE.get(type(value))
        return keys[bare] if bare and list(keys) == [bare] else keys
    if isinstance(value, Mapping):
        return {key: _short(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_short(inner) for inner in value]
    if isinstance(value, dt.datetime):
        return value.isoformat(" ", "minutes")
    return value.isoformat() if isinstance(value, dt.date) else str(value)
