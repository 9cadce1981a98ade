from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.llm.protocol import PromptLogprobsRequest, TokenAlternatives
from harness.llm.readings import digit_alternatives, expected_value, place_tokens, read_off
from harness.llm.task import Task, TaskKind


def pieces(*texts: str) -> list[TokenAlternatives]:
    return [TokenAlternatives(text, None if place == 0 else -1.0) for place, text in enumerate(texts)]


def spans(text: str, *texts: str) -> list[tuple[int, int]] | None:
    placed = place_tokens(text, pieces(*texts))
    return None if placed is None else [(one.start, one.end) for one in placed]


def test_the_expected_value_counts_exact_digits_only() -> None:
    alternatives = {"0": -0.1, "1": -3.0, "10": -4.0, "unknown": -1.0, " 2": -2.0}
    assert expected_value(alternatives) == pytest.approx(0.239422, abs=5e-7)


def test_a_narrower_scale_leaves_the_larger_numbers_out() -> None:
    assert expected_value({"9": -1.0, "10": -0.5}, 9) == pytest.approx(9.0)
    assert expected_value({"10": -0.5}, 9) is None


@pytest.mark.parametrize("alternatives", [{}, {"unknown": -0.1}, {" 2": -0.1, "11": -1.0}, {"3": -math.inf}])
def test_without_a_digit_there_is_no_value(alternatives: dict[str, float]) -> None:
    assert expected_value(alternatives) is None


def test_very_improbable_digits_still_have_an_expectation() -> None:
    assert expected_value({"4": -2000.0, "6": -2000.0}) == pytest.approx(5.0)


@given(st.floats(0, 10))
def test_digits_can_be_made_from_any_value(value: float) -> None:
    alternatives = digit_alternatives(value)
    assert expected_value(alternatives) == pytest.approx(value, abs=1e-9)
    assert math.fsum(map(math.exp, alternatives.values())) == pytest.approx(1.0)
    assert set(alternatives) <= {str(number) for number in range(11)}


@pytest.mark.parametrize("value", [-0.1, 10.01, math.nan])
def test_a_value_off_the_scale_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not from 0 to 10"):
        digit_alternatives(value)


def test_tokens_are_placed_by_their_characters() -> None:
    assert spans("a\tb\n c", "a", "\t", "b", "\n", " c") == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 6)]


@pytest.mark.parametrize(
    ("text", "texts", "expected"),
    [
        ("she ran", ("<s>", "she", " ran"), [(0, 3), (3, 7)]),
        ("she ran", ("<|im_start|>", "<s>", "she", " ran"), [(0, 3), (3, 7)]),
        ("she ran", (" she", " ran"), [(0, 3), (3, 7)]),
        ("she ran off", ("she", "ran", "off"), [(0, 3), (3, 7), (7, 11)]),
        ("she ran", ("she", "", " ran"), [(0, 3), (3, 3), (3, 7)]),
        ("aé b", ("a", "\ufffd", "\ufffd", " b"), [(0, 1), (1, 2), (1, 2), (2, 4)]),
        ("a 日本 b", ("a", " \ufffd", "\ufffd", "本", " b"), [(0, 1), (1, 3), (1, 3), (3, 4), (4, 6)]),
        ("日本", ("\ufffd\ufffd", "\ufffd", "本"), [(0, 1), (0, 1), (1, 2)]),
        ("ab\U0001f600", ("ab", "\ufffd", "\ufffd"), [(0, 2), (2, 3), (2, 3)]),
        ("é.", (r"bytes:\xc3", r"bytes:\xa9", "."), [(0, 1), (0, 1), (1, 2)]),
        ("a\ufffdb", ("a", "\ufffd", "b"), [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_what_endpoints_do_to_tokens_is_tolerated(
    text: str, texts: tuple[str, ...], expected: list[tuple[int, int]]
) -> None:
    assert spans(text, *texts) == expected


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("she ran", ("lorem", " ipsum")),
        ("she ran", ("she",)),
        ("she ran", ("she", " ran", " on")),
        ("she ran", ("she", " run")),
        ("she ran", ()),
        ("she ran", ("a", "b", "c", "she", " ran")),
        ("she ran", ("\ufffd", "she", "\ufffd", " ran")),
        ("she", ("she", "\ufffd")),
    ],
)
def test_tokens_of_another_text_are_not_placed(text: str, texts: tuple[str, ...]) -> None:
    assert spans(text, *texts) is None


@given(st.text(st.characters(codec="utf-8"), max_size=30), st.lists(st.integers(0, 100), max_size=12))
@settings(max_examples=200, deadline=None)
def test_whole_characters_are_placed_however_a_text_is_cut(text: str, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    texts = [text[start:end] for start, end in pairwise(places)]
    placed = spans(text, *texts)
    assert placed == list(pairwise(places))


@given(st.text("aé日\U0001f600 \n", max_size=20), st.data())
@settings(max_examples=300, deadline=None)
def test_ascii_is_placed_rightly_beside_characters_cut_into_bytes(text: str, data: st.DataObject) -> None:
    """Every byte or run of bytes may be a token, decoded alone, as byte-level tokenizers do."""
    raw = text.encode()
    cuts = sorted({0, len(raw), *data.draw(st.lists(st.integers(0, len(raw)), max_size=20))})
    parts = [raw[start:end] for start, end in pairwise(cuts)]
    placed = spans(text, *(part.decode(errors="replace") for part in parts))
    if placed is None:
        return  # a run of pieces that can be read in two ways; a window lost, never a wrong place
    for (start, end), part in zip(placed, parts, strict=True):
        if part.isascii():
            assert text[start:end] == part.decode()


def simulate(prompt: str, *places: tuple[int, int]) -> PromptLogprobsRequest:
    return PromptLogprobsRequest(prompt, 20, Task(TaskKind.SIMULATE, "z", texts=("ab",), spans=places))


def test_a_reply_by_rule_carries_its_numbers_at_the_slots() -> None:
    request = simulate("a\t?\nb\t?\n.", (2, 3), (6, 7))
    reply = read_off(request, [[2.5, 10.0]])
    placed = place_tokens(request.prompt, reply)
    assert placed is not None
    at = {one.start: one.token for one in placed}
    assert [expected_value(at[start].alternatives) for start in (2, 6)] == [pytest.approx(2.5), 10.0]
    assert reply[0].logprob is None


def likelihood(prompt: str, start: int) -> PromptLogprobsRequest:
    return PromptLogprobsRequest(
        prompt, task=Task(TaskKind.LIKELIHOOD, "z", texts=("cde",), spans=((start, len(prompt)),))
    )


@pytest.mark.parametrize("values", [[-1.0], [-1.0, -2.0], [-1.0, -2.0, -4.0], [-0.5] * 7])
def test_a_reply_by_rule_sums_to_its_likelihood(values: list[float]) -> None:
    reply = read_off(likelihood("ab cde", 3), [values])
    assert "".join(token.token for token in reply) == "ab cde"
    inside = [token.logprob for token in reply[1:]]
    assert math.fsum(value for value in inside if value is not None) == pytest.approx(math.fsum(values))
    assert len(inside) == min(len(values), 3)


def test_a_text_without_characters_has_no_tokens() -> None:
    assert [token.token for token in read_off(likelihood("ab", 2), [[]])] == ["ab"]


def test_numbers_that_do_not_fit_the_question_are_refused() -> None:
    with pytest.raises(ValueError, match="3 numbers in 1 answers for 2 places"):
        read_off(simulate("a?b?", (1, 2), (3, 4)), [[1.0, 2.0, 3.0]])
    with pytest.raises(ValueError, match="no task"):
        read_off(PromptLogprobsRequest("text"), [[1.0]])
    with pytest.raises(ValueError, match="no task"):
        read_off(PromptLogprobsRequest("text", task=Task(TaskKind.CONTAINS, "z")), [[1.0]])


def test_pieces_that_could_be_joined_in_many_ways_take_no_time() -> None:
    text = "日" * 800
    placed = spans(text, *["\ufffd日\ufffd"] * 300, "日")
    assert placed is None or placed[-1][1] == len(text)
    assert spans(f"{text}.", *["\ufffd"] * 2_400, ".") is not None
