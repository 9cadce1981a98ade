from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.explainers.highlight import DELIMITERS, choose_delimiters, marked_runs, render, strengths
from harness.testing.records import make_example
from harness.text import for_prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.examples.record import Example

ANGLES, SQUARES, *_ = DELIMITERS

tokens = st.lists(
    st.tuples(st.text("ab <>[]{}\u27e6\u27e7|\n", max_size=3), st.sampled_from([0.0, 1.0, 2.0, 10.0])), min_size=1
)
examples = tokens.map(lambda pairs: make_example([text for text, _ in pairs], [value for _, value in pairs]))


def shown(example: Example, threshold: float = 0.3) -> str:
    return render(marked_runs(example, threshold), ANGLES)


def test_active_tokens_are_marked(make_window: Callable[..., Example]) -> None:
    assert shown(make_window((" in", 0.0), (" Paris", 5.0), (" now", 0.0))) == " in <<Paris>> now"


def test_neighbouring_active_tokens_make_one_run(make_window: Callable[..., Example]) -> None:
    assert shown(make_window((" New", 5.0), (" Delhi", 4.0), (",", 0.0))) == " <<New Delhi>>,"


def test_the_threshold_is_a_share_of_the_windows_own_largest_and_must_be_exceeded(
    make_window: Callable[..., Example],
) -> None:
    example = make_window(("a", 10.0), ("b", 0.0), ("c", 3.0), ("d", 0.0), ("e", 3.1))
    assert shown(example) == "<<a>>bcd<<e>>"
    assert shown(example, threshold=0.0) == "<<a>>b<<c>>d<<e>>"


def test_a_silent_window_has_no_marks(make_window: Callable[..., Example]) -> None:
    assert shown(make_window(("a", 0.0), ("b", 0.0))) == "ab"


def test_white_space_alone_stays_in_its_mark(make_window: Callable[..., Example]) -> None:
    assert shown(make_window(("end.", 0.0), ("\n", 2.0), ("  ", 2.0), ("x", 0.0))) == "end.<<\u21b5>>  x"
    assert shown(make_window(("a", 0.0), ("  ", 2.0), ("b", 0.0))) == "a<<  >>b"


def test_a_token_that_begins_a_character_lends_its_activation_to_the_one_that_ends_it(
    make_window: Callable[..., Example],
) -> None:
    assert shown(make_window(("a", 0.0), ("", 5.0), ("\u4e2d", 0.0), ("b", 0.0))) == "a<<\u4e2d>>b"


def test_strengths_round_down_and_only_the_largest_is_ten(make_window: Callable[..., Example]) -> None:
    example = make_window((" a", 9.99), (" b", 0.0), (" c", 5.0), (" d", 20.0), (" e", 6.1))
    assert strengths(example, 0.3, 20.0) == ((" a", 4), (" d", 10), (" e", 3))
    assert strengths(example, 0.3, 0.0) == ((" a", 0), (" d", 0), (" e", 0))


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ("plain", ANGLES),
        ("cout << x", SQUARES),
        ("a >> b [[c]]", DELIMITERS[2]),
        ("<< [[ {{", DELIMITERS[3]),
    ],
)
def test_delimiters_found_in_the_text_are_not_used(
    text: str, used: object, make_window: Callable[..., Example]
) -> None:
    assert choose_delimiters([marked_runs(make_window((text, 0.0), (" x", 1.0)), 0.3)]) == used


def test_text_that_touches_a_delimiter_of_its_kind_changes_the_delimiter(make_window: Callable[..., Example]) -> None:
    assert choose_delimiters([marked_runs(make_window(("a <", 0.0), ("b", 1.0)), 0.3)]) == SQUARES


def test_a_mark_and_the_text_never_make_a_chat_token_together(make_window: Callable[..., Example]) -> None:
    runs = marked_runs(make_window(("a", 0.0), ("s>", 1.0), ("b", 0.0)), 0.3)
    assert choose_delimiters([runs]) != ANGLES


def test_text_with_every_delimiter_still_gets_some(make_window: Callable[..., Example]) -> None:
    example = make_window(("<< [[ {{ \u27e6\u27e6\u27e7", 0.0), (" x", 1.0))
    marks = choose_delimiters([marked_runs(example, 0.3)])
    assert render(marked_runs(example, 0.3), marks).endswith(" \u27e6\u27e6\u27e6\u27e6x\u27e7\u27e7\u27e7\u27e7")


@given(st.lists(examples, min_size=1, max_size=4), st.sampled_from([0.0, 0.3, 0.9]))
def test_runs_can_be_read_back_from_what_is_shown(windows: list[Example], threshold: float) -> None:
    runs = [marked_runs(example, threshold) for example in windows]
    marks = choose_delimiters(runs)
    for example, parts in zip(windows, runs, strict=True):
        assert all(part.text for part in parts)
        plain = "".join(part.text for part in parts)
        assert plain.replace(" ", "") == for_prompt(example.text).replace(" ", "")
        if marks in DELIMITERS:
            found = re.findall(f"{re.escape(marks.opening)}(.*?){re.escape(marks.closing)}", render(parts, marks))
            assert found == [part.text for part in parts if part.active]
