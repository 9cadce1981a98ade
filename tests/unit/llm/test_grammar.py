from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.api import parse_json
from harness.llm.grammar import choice_grammar, schema_grammar
from tests.support.gbnf import grammar_regex

SCALARS = st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=5)
NAMES = st.text(min_size=1, max_size=5)
LEAVES = st.one_of(
    st.sampled_from(["string", "integer", "number", "boolean", "null"]).map(lambda kind: {"type": kind}),
    st.lists(SCALARS, min_size=1, max_size=3).map(lambda values: {"enum": values}),
    SCALARS.map(lambda value: {"const": value, "title": "a note"}),
    st.just({"type": ["integer", "null"]}),
)


@st.composite
def arrays(draw: st.DrawFn, items: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    least = draw(st.none() | st.integers(0, 3))
    most = draw(st.none() | st.integers(least or 0, 5))
    bounds = {"minItems": least, "maxItems": most}
    return {"type": "array", "items": draw(items)} | {key: n for key, n in bounds.items() if n is not None}


def objects(values: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(NAMES, values, max_size=3).map(
        lambda fields: {
            "type": "object",
            "properties": fields,
            "required": list(fields),
            "additionalProperties": False,
        }
    )


# Written out, lists in lists grow fast: too fast for drawing sentences from a regular expression.
FLAT = LEAVES | arrays(LEAVES) | objects(LEAVES | arrays(LEAVES))
SCHEMAS = st.recursive(LEAVES, lambda inner: arrays(inner) | objects(inner), max_leaves=5)


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return JSON values that follow ``schema``, properties in its order."""
    kind = schema.get("type")
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    if isinstance(kind, list):
        return st.one_of([values({**schema, "type": one}) for one in kind])
    if kind == "array":
        return st.lists(values(schema["items"]), min_size=schema.get("minItems", 0), max_size=schema.get("maxItems", 5))
    if kind == "object":
        names = list(schema["properties"])
        fields = st.tuples(*(values(schema["properties"][name]) for name in names))
        return fields.map(lambda found: dict(zip(names, found, strict=True)))
    simple: dict[Any, st.SearchStrategy[Any]] = {
        "string": st.text(max_size=8),
        "integer": st.integers(1 - 10**16, 10**16 - 1),
        "number": st.floats(-1e90, 1e90).filter(lambda number: not 0 < abs(number) < 1e-90) | st.integers(-99, 99),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return simple[kind]


def compiled(schema: dict[str, Any]) -> re.Pattern[str]:
    grammar = schema_grammar(schema)
    assert grammar is not None
    assert grammar.isascii()
    return re.compile(grammar_regex(grammar), re.DOTALL)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_every_valid_value_is_a_sentence(data: st.DataObject) -> None:
    schema = data.draw(SCHEMAS)
    value = data.draw(values(schema))
    jsonschema.validate(value, schema)
    grammar = compiled(schema)
    for separators in ((",", ":"), (", ", ": ")):
        text = json.dumps(value, separators=separators, ensure_ascii=False)
        assert grammar.fullmatch(text), (text, grammar.pattern)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], deadline=None, max_examples=60)
@given(st.data())
def test_every_sentence_is_valid_and_is_read(data: st.DataObject) -> None:
    schema = data.draw(FLAT)
    sentence = data.draw(st.from_regex(compiled(schema), fullmatch=True))
    value = json.loads(sentence)
    jsonschema.validate(value, schema)
    parsed = parse_json(sentence)
    assert parsed.failure is None
    # A list of one value is read as a list; compared as text, because True equals 1.
    assert json.dumps(parsed.value, ensure_ascii=False) == whole_characters(json.dumps(value, ensure_ascii=False))


def whole_characters(text: str) -> str:
    """Return ``text`` with every half of a character replaced, as the reader does."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@pytest.mark.parametrize(
    ("schema", "wrong"),
    [
        ({"type": "integer"}, ["9" * 17, "1.5", "01", '"1"', "", "true", " 1"]),
        ({"type": "array", "items": {"enum": [0, 1]}, "minItems": 2, "maxItems": 2}, ["[0]", "[0,1,0]", "[0,2]", "[]"]),
        ({"type": "number"}, ["1e400", "1.", ".5", "+1", "NaN", "-Infinity"]),
        ({"type": "array", "items": {"type": "null"}, "maxItems": 1}, ["[null,null]", "null"]),
        ({"type": "array", "items": {"type": "null"}, "minItems": 1}, ["[]"]),
        ({"type": "object", "properties": {"a": {"type": "boolean"}}}, ["{}", '{"b":true}', '{"a":true,"b":1}']),
        ({"type": "string", "enum": ["x", 1]}, ["1"]),
        ({"type": "array", "items": {"type": "null"}, "maxItems": 0}, ["[null]"]),
    ],
)
def test_what_the_schema_forbids_is_no_sentence(schema: dict[str, Any], wrong: list[str]) -> None:
    for text in wrong:
        assert not compiled(schema).fullmatch(text), text


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": "a+"},
        {"type": "object", "properties": {"a": {"$ref": "#/x"}}},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "required": ["a"]},
        {"type": "array"},
        {"type": "array", "items": {"type": "null"}, "minItems": 3, "maxItems": 2},
        {"type": "array", "items": {"type": "null"}, "maxItems": 100_000},
        {"type": "array", "items": {"type": "null"}, "uniqueItems": True},
        {"enum": []},
        {"enum": [[1]]},
        {"anyOf": []},
        {"type": "integer", "enum": ["a"]},
        {"type": "thing"},
        {"type": []},
    ],
)
def test_what_a_grammar_cannot_say_gives_none(schema: dict[str, Any]) -> None:
    assert schema_grammar(schema) is None


@given(st.lists(st.text(), min_size=1, max_size=4), st.text())
def test_a_choice_grammar_says_exactly_the_choices(choices: list[str], other: str) -> None:
    grammar = choice_grammar(choices)
    assert grammar.isascii()
    assert "\n" not in grammar
    pattern = re.compile(grammar_regex(grammar), re.DOTALL)
    assert all(pattern.fullmatch(choice) for choice in choices)
    assert bool(pattern.fullmatch(other)) == (other in choices)
