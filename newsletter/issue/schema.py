"""The JSON Schema of the issue file, made from the model, for editors' YAML plug-ins."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from newsletter.issue.model import KINDS
from newsletter.issue.trees import BARE

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


class _Typed(GenerateJsonSchema):
    """Takes a bare number for text as the loader does; other YAML readers hand 'title: 2016' on as a number."""

    def str_schema(self, schema: core_schema.StringSchema) -> Schema:
        made = super().str_schema(schema)
        return made if "pattern" in made else {**made, "type": ["string", "number"]}

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Spare the schema a title for each key that repeats the key."""
        del schema
        return False


def json_schema() -> Schema:
    """Return the schema (Draft 2020-12) of an issue file of any kind."""
    refs, document = models_json_schema(
        [(model, "validation") for model in KINDS.values()], ref_template="#/$defs/{model}", schema_generator=_Typed
    )
    definitions: Schema = document["$defs"]
    for model, key in BARE.items():
        if model.__name__ in definitions:
            definitions[model.__name__] = _with_bare_form(definitions[model.__name__], key)
    branches = [{"if": _is_kind(kind), "then": refs[model, "validation"]} for kind, model in KINDS.items()]
    return {
        "$schema": _DIALECT,
        "title": "An issue of the newsletter",
        "type": "object",
        "properties": {"kind": {"enum": list(KINDS), "default": "weekly"}},
        "allOf": branches,
        "$defs": definitions,
    }


def _is_kind(kind: str) -> Schema:
    test: Schema = {"properties": {"kind": {"const": kind}}}
    return test if kind == "weekly" else {**test, "required": ["kind"]}


def _with_bare_form(mapping: Schema, key: str) -> Schema:
    """Allow what stands under one key to stand for the whole mapping, as the model's validators do."""
    bare = mapping["properties"][key]
    shapes = [shape for shape in bare.get("anyOf", [bare]) if shape.get("type") != "null"]
    return {"description": mapping.get("description", ""), "anyOf": [*shapes, mapping]}
