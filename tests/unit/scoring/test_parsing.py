from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import parse_choice, parse_flags

FLAGS = st.lists(st.booleans(), min_size=1, max_size=8)


@pytest.mark.parametrize("reply", ["Yes", " yes", "YES.", '"Yes"', "**Yes**", "Yes\n"])
def test_one_word_is_read_whatever_surrounds_it(reply: str) -> None:
    assert parse_choice(reply, ("Yes", "No")) == "Yes"


@pytest.mark.parametrize("reply", ["", "Yesterday", "Yes and No", "maybe", "1"])
def test_anything_else_is_no_choice(reply: str) -> None:
    assert parse_choice(reply, ("Yes", "No")) is None


@pytest.mark.parametrize(
    "reply",
    [
        "[1, 0, 1]",
        "[true, false, true]",
        "[True, False, True]",
        '["1", "0", "1"]',
        "['true', 'False', '1']",
        "```json\n[1,0,1]\n```",
        "Example [2] shows it, so: [1, 0, 1]",
        "[0, 0, 0]\nOn reflection:\n[1, 0, 1].",
        "[1,\n 0,\n 1,\n]",
        "[[1, 0, 1]]",
        "[1, 0, 1] as in [note]",
        "[1.0, 0, 1]",
        '["yes", "No", "1.0"]',
        '{"answer": [1, 0, 1]}',
        '{"note": "as [0, 0, 0]", "answer": [1, 0, 1,],}',
        "<think>perhaps [0, 0, 0]</think>[1, 0, 1]",
        "```\n[1, 0, 1]\n```\nwhere [1] is yes",
    ],
)
def test_the_last_list_is_read_by_value(reply: str) -> None:
    assert parse_flags(reply, 3).flags == (True, False, True)


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        ("", "no_list"),
        ("1 0 1", "no_list"),
        ("[1, 0, 1", "no_list"),
        ("<think>[1, 0, 1]", "no_list"),
        ('{"a": 1, "b": 0}', "no_list"),
        ('{"a": [1, 0, 1], "b": [1, 0, 1]}', "no_list"),
        ("[]", "wrong_length"),
        ("[1, 0]", "wrong_length"),
        ("[1, 0, 1, 0]", "wrong_length"),
        ("[1, 0, 2]", "not_binary"),
        ("[0.2, 0, 1]", "not_binary"),
        ("[yes, no, yes]", "no_list"),
        ("[1, 0, None]", "not_binary"),
        ("[1, , 1]", "no_list"),
    ],
)
def test_each_failure_has_its_reason(reply: str, failure: str) -> None:
    parsed = parse_flags(reply, 3)
    assert parsed.flags is None
    assert parsed.failure == failure
    assert parsed.detail


@given(FLAGS, st.sampled_from(["bool", "int", "str"]), st.text(alphabet=st.characters(exclude_characters="[]")))
def test_every_list_of_flags_is_read_back(flags: list[bool], style: str, before: str) -> None:
    styled = {"bool": flags, "int": [int(flag) for flag in flags], "str": [str(int(flag)) for flag in flags]}[style]
    assert parse_flags(before + json.dumps(styled), len(flags)).flags == tuple(flags)


@given(FLAGS, st.integers(1, 9))
def test_a_list_of_another_length_is_never_read(flags: list[bool], n: int) -> None:
    parsed = parse_flags(json.dumps(flags), n)
    assert (parsed.flags is None) == (len(flags) != n)


@given(st.text(), st.integers(1, 5))
def test_no_reply_makes_it_raise(reply: str, n: int) -> None:
    parsed = parse_flags(reply, n)
    assert (parsed.flags is None) == (parsed.failure is not None)
