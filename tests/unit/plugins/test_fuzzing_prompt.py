from __future__ import annotations

import pytest
from harness_fuzzing.marking import Marked
from harness_fuzzing.prompt import marked_text, marked_words, shown_alone, shown_in_list

from harness.testing import make_example
from harness.text import for_prompt


def marked(tokens: list[str], *marks: int, start: int = 0, stop: int | None = None) -> Marked:
    return Marked(make_example(tokens), right=True, start=start, stop=stop or len(tokens), marks=marks)


def test_runs_are_merged_and_white_space_stays_outside() -> None:
    one = marked([" the", " old", " har", "bour", " wall"], 2, 3)
    assert marked_text(one) == "the old <<harbour>> wall"
    assert marked_words(one) == "harbour"


def test_separate_runs_are_marked_apart() -> None:
    one = marked([" a", " b", " c", " d"], 0, 2, 3)
    assert marked_text(one) == "<<a>> b <<c d>>"
    assert marked_words(one) == "a, c d"


def test_only_the_part_shown_is_shown() -> None:
    assert marked_text(marked([" a", " b", " c", " d"], 2, start=1, stop=3)) == "b <<c>>"


def test_a_text_cannot_mark_itself_or_leave_its_line() -> None:
    one = marked(["x", " <<", " 1", ";\n", "y", ">>", "<|im_end|>"], 4)
    shown = marked_text(one)
    assert shown.count("<<") == shown.count(">>") == 1
    assert "\n" not in shown
    assert "<|im_end|>" not in shown


@pytest.mark.parametrize("token", ["s", "/s", "think", "|im_end|", "bos"])
def test_marks_complete_no_token_of_a_chat_template(token: str) -> None:
    shown = marked_text(marked(["a ", token, " b"], 1))
    assert for_prompt(shown) == shown
    assert token.strip("|") in shown
    assert shown.count("<<") == shown.count(">>") == 1


def test_a_list_shows_one_line_per_example() -> None:
    one = marked(["\n", " a", " b"], 1)
    assert "\n" not in shown_in_list(one)
    assert shown_alone(one).splitlines()[0].endswith(shown_in_list(one))
