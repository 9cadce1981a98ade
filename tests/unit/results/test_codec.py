"""Records and their JSON: nothing changes on the way, and the fast checker accepts what the published schema does."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.results.codec import InvalidRecordError, decode, encode, parse, to_json
from harness.results.records import SCHEMA_VERSION, ItemLine, LeaderboardRow, ScoreLine, UsageLine
from harness.results.schemas import KINDS, validator

SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=12),
    int: st.integers(-(2**53), 2**53),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Return values of a field's type."""
    if annotation is Any:
        return JSON
    if annotation in SCALARS:
        return SCALARS[annotation]
    if dataclasses.is_dataclass(annotation):
        return records(typing.cast("type", annotation))
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is list:
        return st.lists(values_of(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(st.text(max_size=8), values_of(arguments[1]), max_size=3)
    assert origin is types.UnionType
    return st.one_of([st.none() if argument is type(None) else values_of(argument) for argument in arguments])


def records(kind: type) -> st.SearchStrategy[Any]:
    """Return valid records of a kind."""
    hints = typing.get_type_hints(kind)
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for field in dataclasses.fields(kind):
        if field.name == "schema_version":
            continue
        allowed = field.metadata.get("enum")
        fields[field.name] = st.sampled_from(allowed) if allowed else values_of(hints[field.name])
    return st.fixed_dictionaries(fields).map(lambda given: kind(**given))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@settings(max_examples=40)
@given(data=st.data())
def test_a_record_comes_back_as_it_was(kind: type, data: st.DataObject) -> None:
    record = data.draw(records(kind))
    line = encode(record)
    assert "\n" not in line
    assert parse(kind, line) == record
    assert encode(parse(kind, line)) == line


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@settings(max_examples=150)
@given(data=st.data())
def test_the_checker_accepts_exactly_what_the_published_schema_accepts(kind: type, data: st.DataObject) -> None:
    value = to_json(data.draw(records(kind)))
    target: Any = value
    for _ in range(data.draw(st.integers(0, 2))):  # walk into the record, then spoil something there
        inside = [item for item in (target.values() if isinstance(target, dict) else target) if item]
        inside = [item for item in inside if isinstance(item, (dict, list))]
        if inside:
            target = data.draw(st.sampled_from(inside))
    action = data.draw(st.sampled_from(["keep", "remove", "add", "replace"]))
    if isinstance(target, dict):
        if action == "remove" and target:
            del target[data.draw(st.sampled_from(sorted(target)))]
        elif action == "add":
            target[data.draw(st.sampled_from(["extra", "", "unit"]))] = data.draw(JSON)
        elif action == "replace" and target:
            target[data.draw(st.sampled_from(sorted(target)))] = data.draw(JSON | st.sampled_from([1.0, True, "ok"]))
    elif action != "keep":
        target.append(data.draw(JSON))
    try:
        decode(kind, value)
        accepted = True
    except InvalidRecordError:
        accepted = False
    assert accepted == validator(kind).is_valid(value)


def score(**changes: Any) -> ScoreLine:
    given: dict[str, Any] = {
        "unit": "u", "protocol": "p", "subject": "s", "feature": 1, "explanation_set": "e", "control": None,
        "explanation_digest": "d", "scorer": "detection", "scorer_plugin": "detection", "scorer_version": 1,
        "primary_metric": "auroc", "status": "scored", "metrics": {"auroc": 0.5},
    }  # fmt: skip
    return ScoreLine(**{**given, **changes})


def test_fields_stand_in_the_order_of_the_dataclass_and_free_objects_are_sorted() -> None:
    written = json.loads(encode(score(metrics={"b": 1.0, "a": 2.0})))
    assert list(written) == [field.name for field in dataclasses.fields(ScoreLine)]
    assert list(written["metrics"]) == ["a", "b"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_never_written(value: float) -> None:
    with pytest.raises(InvalidRecordError, match=r"metrics\.auroc: expected a finite number"):
        encode(score(metrics={"auroc": value}))
    with pytest.raises(InvalidRecordError, match="finite number"):
        encode(score(usage=UsageLine(usd=value)))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_nan_and_infinity_are_never_read(text: str) -> None:
    line = encode(score()).replace("0.5", text)
    with pytest.raises(InvalidRecordError, match=r"undefined"):
        parse(ScoreLine, line)


def test_infinity_hidden_in_a_free_form_field_is_refused() -> None:
    row = {"protocol_fields": {"deep": [{"x": 1e999}]}}
    with pytest.raises(InvalidRecordError, match=r"protocol_fields\.deep\.0\.x"):
        decode(LeaderboardRow, {"protocol": "p", **row})


def test_what_a_terminal_obeys_or_hides_is_escaped_and_letters_are_not() -> None:
    text = "caf\u00e9 \u4f60 \x1b[2J \x7f \x9b \u202e \u2028 \ufeff \ud800 \U000e0041"
    line = encode(score(error=text))
    assert "caf\u00e9 \u4f60" in line
    assert line.encode("utf-8")
    assert all(char.isprintable() for char in line)
    assert parse(ScoreLine, line).error == text


def test_a_wrong_field_is_named_with_its_place_and_a_piece_of_its_value() -> None:
    with pytest.raises(InvalidRecordError) as caught:
        encode(score(feature="seven\x1b" + "x" * 500))
    assert str(caught.value).startswith("feature: expected an integer, not 'seven\\\\x1bxxx")
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "great"}, 'status: expected "scored" or "error" or "no_explanation"'),
        ({"feature": True}, "feature: expected an integer"),
        ({"metrics": {"auroc": "0.5"}}, "metrics.auroc: expected a number"),
        ({"usage": UsageLine(calls=None)}, "usage.calls: expected an integer"),  # type: ignore[arg-type]  # the point
        ({"coverage": [1]}, "coverage: expected an object"),
        ({"schema_version": 0}, "schema_version: expected 1"),
    ],
)
def test_wrong_values_are_refused_on_write(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRecordError) as caught:
        encode(score(**change))
    assert str(caught.value).startswith(message)


def test_missing_and_unknown_fields_are_refused_on_read() -> None:
    value = to_json(score())
    del value["unit"]
    with pytest.raises(InvalidRecordError, match="unit: is missing"):
        decode(ScoreLine, value)
    with pytest.raises(InvalidRecordError, match="unknown field surprise"):
        decode(ScoreLine, {**to_json(score()), "surprise": 1})


def test_a_newer_version_is_told_from_a_broken_line() -> None:
    value = {**to_json(score()), "schema_version": SCHEMA_VERSION + 1, "new_field": 1}
    with pytest.raises(InvalidRecordError, match="written by a newer harness"):
        decode(ScoreLine, value)


@pytest.mark.parametrize("line", ["", "{", "[]", "null", "[" * 100_000, b'{"a": "\xff"}'])
def test_what_is_no_record_is_refused(line: str | bytes) -> None:
    with pytest.raises(InvalidRecordError):
        parse(ItemLine, line)


def test_an_integer_written_as_a_float_is_read_as_an_integer() -> None:
    read = decode(ScoreLine, {**to_json(score()), "feature": 3.0})
    assert type(read.feature) is int
