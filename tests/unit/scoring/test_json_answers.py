from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import as_flag, as_number, parse_json
from harness.scoring.json_answers import without_reasoning

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
CONTAINERS = VALUES.filter(lambda value: isinstance(value, (list, dict)))
PROSE = st.text(alphabet=st.characters(exclude_characters="[]{}\"'`<\u201c", codec="utf-8"))


def same(value: Any) -> str:
    return json.dumps(value)


@given(VALUES, st.sampled_from([None, 2]), st.booleans())
def test_json_is_read_back(value: Any, indent: int | None, ascii_only: bool) -> None:
    parsed = parse_json(json.dumps(value, indent=indent, ensure_ascii=ascii_only))
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**60:
        return
    assert parsed.failure is None
    assert same(parsed.value) == same(value)


@given(CONTAINERS)
def test_pythons_own_spelling_is_read_back(value: Any) -> None:
    assert same(parse_json(repr(value)).value) == same(value)


@given(CONTAINERS, PROSE, PROSE)
def test_prose_and_fences_around_are_passed_over(value: Any, before: str, after: str) -> None:
    text = json.dumps(value)
    assert same(parse_json(f"{before}{text}{after}").value) == same(value)
    assert same(parse_json(f"{before}\n```json\n{text}\n```\n{after}").value) == same(value)
    assert same(parse_json(f"<think>{before}[7]</think>{text}").value) == same(value)


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("{'a': True, 'b': None,}", {"a": True, "b": None}),
        ("{a: 1, b_2: .5}", {"a": 1, "b_2": 0.5}),
        ('Sure! {"match": "yes", "confidence": "0.9"} Hope that helps.', {"match": "yes", "confidence": "0.9"}),
        ("\u201cx\u201d", "x"),
        ("true", True),
        ("```json\n3\n```", 3),
        ("-1.5e3.", -1500.0),
        ('{"a": [1, 2], oops}', [1, 2]),
        ("I [think the list is [1, 0].", [1, 0]),
        ('{" and then ["1"]', ["1"]),
        ("[1]\n[2]", [2]),
        ("```\n[1]\n```\n```\n[2]\n```\nnot [3]", [2]),
        ("```python\nprint()\n```\n[3]", [3]),
        ('{"a": "\\ud83d\\ude00\\u00e9\\/\\x41"}', {"a": "\U0001f600\u00e9/A"}),
        ('["\\ud83d"]', ["\ufffd"]),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('["line\nbreak"]', ["line\nbreak"]),
        ("null", None),
    ],
)
def test_each_form(reply: str, value: Any) -> None:
    parsed = parse_json(reply)
    assert parsed.failure is None
    assert same(parsed.value) == same(value)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "no JSON here",
        "[1, 0",
        "[1 0]",
        "[1, , 0]",
        "[,]",
        '{"a" 1}',
        '{"a": }',
        "[NaN]",
        "[1e999]",
        "[1_000]",
        "[0x10]",
        "[" + "9" * 5000 + "]",
        "[__import__('os').getpid()]",
        "[1 + 1]",
        "<think>[1]",
        "1 0",
    ],
)
def test_what_is_not_plainly_a_value_is_none(reply: str) -> None:
    assert parse_json(reply).failure == "no_json"


HOSTILE = {
    "opened lists": "[",
    "opened objects": '{"a":',
    "lists in lists": "[0,",
    "quotes": "[\"['",
    "escapes": '["\\',
    "escaped quotes": '[\\"',
    "fences": "```[",
    "reasoning": "<think>[",
    "closings": "[]]",
    "digits": "[1",
    "words": "[a",
    "blanks": "[ \n",
    "backslashes": "\\",
    "halves": '["a" ',
    "pairs": '{"a":"b"',
    "values": "0,",
    "values in a list": "[0,[0,0],",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_of_hostile_text_is_read_in_bounded_time(name: str) -> None:
    piece = HOSTILE[name]
    for text in (piece * (1_000_000 // len(piece)), "[" * 70 + f"'{piece * 50_000}"):
        began = time.process_time()
        parse_json(text)
        # Not a measure of speed: anything that grows with the square of the length takes hours.
        assert time.process_time() - began < 60


def test_depth_is_bounded() -> None:
    assert parse_json("[" * 60 + "]" * 60).failure is None
    deep = parse_json("[" * 100_000 + "1" + "]" * 100_000)
    assert json.dumps(deep.value)


@given(st.text(alphabet="[]{}\"'\\,:01 aet\n`<>/think."))
def test_whatever_is_read_is_json(reply: str) -> None:
    parsed = parse_json(reply)
    json.dumps(parsed.value, allow_nan=False).encode()


@pytest.mark.parametrize("value", [1, 1.0, True, "1", " True ", "yes", "1.0"])
def test_yes_by_value(value: Any) -> None:
    assert as_flag(value) is True


@pytest.mark.parametrize("value", [0, 0.0, False, "0", "FALSE", "No", "-0"])
def test_no_by_value(value: Any) -> None:
    assert as_flag(value) is False


@pytest.mark.parametrize("value", [2, 0.5, "", "maybe", None, [1], {"a": 1}, "01x", float("nan")])
def test_what_is_no_flag(value: Any) -> None:
    assert as_flag(value) is None


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3.0),
        ("0.7", 0.7),
        (" -2 ", -2.0),
        (True, None),
        ("7 of 10", None),
        ("inf", None),
        (10**400, None),
        ([], None),
    ],
)
def test_numbers_by_value(value: Any, number: float | None) -> None:
    assert as_number(value) == number


@pytest.mark.parametrize(
    ("reply", "rest"),
    [
        ("<think>a</think>b", "b"),
        ("a</THINK>b", "b"),
        ("b<think>a", "b"),
        ("<think>a</think>b<think>c", "b"),
        ("<think>a</think><reasoning>c</reasoning>b", "b"),
        ("b", "b"),
    ],
)
def test_reasoning_is_no_answer(reply: str, rest: str) -> None:
    assert without_reasoning(reply) == rest
