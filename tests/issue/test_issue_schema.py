"""The JSON Schema of the issue file agrees with the loader."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from newsletter import config, source
from newsletter.errors import FaultsError
from newsletter.issue import folder
from newsletter.issue.model import KINDS
from newsletter.issue.schema import json_schema

# ruff: noqa: E501 - a tree reads best on one line
SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
UPDATE = {"Syria": ["x"]}


def accepted_by_loader(tree: Any) -> bool:
    try:
        kind = tree.get("kind", "weekly")
        source.validate(KINDS[kind], source.Source("a.yaml", b"", tree, {}))
    except (FaultsError, KeyError):
        return False
    return True


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_every_sample_issue_is_valid(project: config.Project) -> None:
    for path in folder.paths(project.issues):
        assert not list(VALIDATOR.iter_errors(source.read(path).tree)), path


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"kind": "weekly", "number": "245", "published": "2016-04-22", "title": "x"},
        {"kind": "notice", "title": "x", "body": "y"},
        {"updates": UPDATE},
        {"updates": {"Syria": {"updates": ["x", {"text": "y", "source": {"name": "z", "url": "https://example.org"}}]}}},
        {"updates": {"Elections": {"countries": ["Haiti"], "style": "headlines", "updates": ["x"]}}},
        {"sections": [{"title": "x", "items": ["y", {"event": {"title": "z", "start": "2016-04-28 18:00", "timezone": "UTC"}}]}]},
        {"period": {"start": "2016-04-18", "end": "2016-04-22"}, "language": "pt-BR", "translations": {"fr": "2016-04-22-fr"}},
        {"title": None},
    ],
)  # fmt: skip
def test_what_the_loader_takes_is_valid(tree: Any) -> None:
    assert accepted_by_loader(tree)
    assert VALIDATOR.is_valid(tree)


def test_numbers_that_other_readers_make_of_bare_words_are_valid() -> None:
    assert VALIDATOR.is_valid({"number": 245, "title": 2016, "topics": [2016]})


@pytest.mark.parametrize(
    "tree",
    [
        {"kind": "special"},
        {"kind": "notice"},
        {"kind": "notice", "title": "x", "body": "y", "updates": UPDATE},
        {"titel": "x"},
        {"number": 0},
        {"published": "22 April 2016"},
        {"preheader": "a" * 151},
        {"updates": {"Syria": []}},
        {"updates": {"Syria": None}},
        {"updates": {"Syria": "x"}},
        {"updates": {"Syria": {"heading": "x"}}},
        {"updates": {"Syria": {"style": "dots", "updates": ["x"]}}},
        {"updates": {"Syria": {"updates": [{"txt": "x"}]}}},
        {"updates": ["x"]},
        {"sections": [{"title": "x", "items": [{"kicker": "y"}]}]},
        {"sections": [{"title": "x", "items": [{"text": "y", "publication": {"title": "z"}}]}]},
        {"actions": [{"text": "x", "url": "javascript:alert(1)"}]},
        {"translations": {"fr": "../x"}},
        {"translations": {"french": "x"}},
        {"language": "english"},
        {"notices": "x"},
        {"lead": {"title": "x"}},
    ],
)
def test_what_the_loader_refuses_is_invalid(tree: Any) -> None:
    assert not accepted_by_loader(tree)
    assert not VALIDATOR.is_valid(tree)


def test_every_kind_and_key_is_described_for_completion() -> None:
    for model in KINDS.values():
        definition = SCHEMA["$defs"][model.__name__]
        assert definition["description"]
        assert set(definition["properties"]) == set(model.model_fields)
