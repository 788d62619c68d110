from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.providers.json_pieces import Html, Pieces, Slot, encode
from newsletter.providers.mailbox import mailbox

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LEAF = st.one_of(TEXT, TEXT.map(lambda text: f"{text}__A__{text}__AB__"), st.integers(), st.booleans(), st.none())
TEMPLATE = st.recursive(LEAF, lambda inner: st.one_of(st.lists(inner), st.dictionaries(TEXT, inner)))


def replaced(node: object, values: dict[str, str]) -> object:
    """Do the plain thing that the pieces stand for."""
    if isinstance(node, str):
        return node.replace("__AB__", values["__AB__"]) if "__A__" not in node else _replaced_in_one_pass(node, values)
    if isinstance(node, list):
        return [replaced(one, values) for one in node]
    if isinstance(node, dict):
        return {key: replaced(value, values) for key, value in node.items()}
    return node


def _replaced_in_one_pass(text: str, values: dict[str, str]) -> str:
    parts = text.split("__AB__")
    return values["__AB__"].join(part.replace("__A__", values["__A__"]) for part in parts)


@given(TEMPLATE, TEXT, TEXT)
def test_a_filled_template_is_the_json_of_the_replaced_one(template: object, first: str, second: str) -> None:
    values = {"__A__": first, "__AB__": second}
    assert json.loads(Pieces(template, values).fill(values)) == replaced(template, values)


def test_the_bytes_are_those_of_a_compact_encoder() -> None:
    template = {"a": ["é", 1, True, None, {}], "b": "x"}
    assert Pieces(template).fill({}) == encode(template) == '{"a":["é",1,true,null,{}],"b":"x"}'.encode()


def test_values_are_escaped_in_html_and_nowhere_else() -> None:
    pieces = Pieces({"html": Html('<a href="__A__">__A__</a>'), "text": "__A__", "own": Slot("own")}, ["__A__"])
    assert json.loads(pieces.fill({"__A__": "<\"R\" & 'D'>", "own": "<&>"})) == {
        "html": '<a href="&lt;&quot;R&quot; &amp; &#x27;D&#x27;&gt;">&lt;&quot;R&quot; &amp; &#x27;D&#x27;&gt;</a>',
        "text": "<\"R\" & 'D'>",
        "own": "<&>",
    }


def test_a_value_that_looks_like_a_token_stays_as_it_is() -> None:
    pieces = Pieces(["__A__ __B__"], ["__A__", "__B__"])
    assert json.loads(pieces.fill({"__A__": "__B__", "__B__": "b"})) == ["__B__ b"]


def test_a_value_that_no_string_shows_is_not_used() -> None:
    assert Pieces(["x"], ["__A__"]).fill({"__A__": "secret"}) == b'["x"]'
    with pytest.raises(KeyError):
        Pieces(["__A__"], ["__A__"]).fill({})


@pytest.mark.parametrize(
    ("header", "name", "address"),
    [
        ("The Weekly <weekly@example.org>", "The Weekly", "weekly@example.org"),
        ('"Weekly, The" <weekly@example.org>', "Weekly, The", "weekly@example.org"),
        ("=?utf-8?q?L=27hebdo_=C3=A9crit?= <weekly@example.org>", "L'hebdo écrit", "weekly@example.org"),
        ("weekly@example.org", "", "weekly@example.org"),
    ],
)
def test_a_from_header_is_read_as_name_and_address(header: str, name: str, address: str) -> None:
    assert mailbox(header) == (name, address)
