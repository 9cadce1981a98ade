from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from harness_fuzzing.marking import Marked, draw_markings, right_marks, untouchable
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import Example, auroc
from harness.testing import make_example, make_record

SEEDS = st.integers(0, 10_000)


def drawn(seed: int, *, n: int = 20, tokens: int = 24, most_active: int = 3) -> tuple[tuple[Example, ...], int]:
    record = make_record(seed=seed, n_activating=n, window_tokens=tokens, most_active=most_active)
    return record.score.activating, seed


@given(SEEDS, st.integers(2, 30), st.integers(6, 32), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_length_count_and_positions_are_the_same_on_both_sides(seed: int, n: int, tokens: int, most: int) -> None:
    examples, _ = drawn(seed, n=n, tokens=tokens, most_active=most)
    markings = draw_markings(examples, 0.3, seed)
    right = Counter(one.pattern for one in markings.marked if one.right)
    wrong = Counter(one.pattern for one in markings.marked if not one.right)
    assert right == wrong
    assert len(markings.marked) + markings.left_out == n


@given(SEEDS, st.floats(0.1, 1.0))
@settings(max_examples=40, deadline=None)
def test_right_marks_are_the_active_tokens_and_wrong_ones_touch_none(seed: int, threshold: float) -> None:
    examples, _ = drawn(seed)
    for one in draw_markings(examples, threshold, seed).marked:
        values = one.example.activations
        if one.right:
            assert one.marks == right_marks(one.example, threshold)
        else:
            assert untouchable(one.example).isdisjoint(one.marks)
            assert all(values[mark] == 0 for mark in one.marks)
        assert all(one.start <= mark < one.stop for mark in one.marks)
        assert values.index(max(values)) in range(one.start, one.stop), "what is shown must still activate"


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_each_window_is_used_once_and_half_of_them_rightly_in_every_decile(seed: int) -> None:
    examples, _ = drawn(seed, n=40, tokens=32, most_active=1)
    marked = draw_markings(examples, 0.3, seed).marked
    assert len({one.example.key for one in marked}) == len(marked)
    sides: dict[int | None, Counter[bool]] = defaultdict(Counter)
    for one in marked:
        sides[one.example.decile][one.right] += 1
    if len(marked) == len(examples):
        assert all(side[True] == side[False] == 2 for side in sides.values())


@given(SEEDS, st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_the_examples(seed: int, random: object) -> None:
    examples, _ = drawn(seed)
    shuffled = sorted(examples, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert set(draw_markings(examples, 0.3, seed).marked) == set(draw_markings(shuffled, 0.3, seed).marked)


def test_another_seed_draws_other_sides() -> None:
    examples, _ = drawn(0)
    assert draw_markings(examples, 0.3, 1) != draw_markings(examples, 0.3, 2)


def test_no_judge_of_counts_and_positions_beats_chance() -> None:
    """A least-squares judge that sees all but the words, trained on half of 160 features, scores 0.5 on the rest."""
    rows, truths, features = [], [], []
    for feature in range(160):
        examples, _ = drawn(feature, most_active=1 + feature % 4)
        for one in draw_markings(examples, 0.3, feature).marked:
            rows.append(seen(one))
            truths.append(one.right)
            features.append(feature)
    x, y, of = np.asarray(rows), np.asarray(truths), np.asarray(features)
    train = of < 80
    weights, *_ = np.linalg.lstsq(x[train], y[train] - 0.5, rcond=None)
    grades = x[~train] @ weights
    area = auroc(grades[y[~train]].round(9).tolist(), grades[~y[~train]].round(9).tolist())
    assert len(y) > 2500
    assert area == pytest.approx(0.5, abs=1e-9), "the patterns of both sides are equal, so this is exact"


def seen(one: Marked) -> list[float]:
    length, marks = one.pattern
    place = [0.0] * 24
    for mark in marks:
        place[mark] = 1.0
    runs = sum(mark - 1 not in marks for mark in marks)
    return [1.0, float(length), float(len(marks)), float(runs), float(np.mean(marks)), *place]


def test_which_windows_are_marked_wrongly_does_not_follow_from_how_many_tokens_are_active() -> None:
    """The sides are a coin's, so the true count of the window tells nothing, beyond the windows that must stay out."""
    right: list[float] = []
    wrong: list[float] = []
    for feature in range(120):
        for one in draw_markings(drawn(feature)[0], 0.3, feature).marked:
            (right if one.right else wrong).append(float(sum(value > 0 for value in one.example.activations)))
    area = auroc(right, wrong)
    assert area == pytest.approx(0.5, abs=0.04)  # 1200 against 1200 windows: standard error 0.012


def peaked(n: int, tokens: int = 32, peak: int = 24) -> list[Example]:
    """Windows cut around their peak: the active token always lies at the same place."""
    rng = np.random.default_rng(3)
    examples = []
    for document in range(n):
        words = [f" word{rng.integers(50)}" for _ in range(tokens)]
        values = [0.0] * tokens
        values[peak] = 1.0 + document
        examples.append(make_example(words, values, document=document, decile=1 + document * 10 // n))
    return examples


def test_windows_around_their_peak_are_cropped_so_that_positions_stay_equal() -> None:
    markings = draw_markings(peaked(20), 0.3, 0)
    assert len(markings.marked) == 20
    assert markings.left_out == 0
    for right, wrong in pairs(markings.marked):
        assert right == wrong
    assert {one.marks != (24,) for one in markings.marked if not one.right} == {True}
    assert len({one.pattern for one in markings.marked}) > 3, "the shift is drawn, not always the nearest"


def pairs(marked: tuple[Marked, ...]) -> list[tuple[object, object]]:
    right = sorted(one.pattern for one in marked if one.right)
    wrong = sorted(one.pattern for one in marked if not one.right)
    return list(zip(right, wrong, strict=True))


def test_windows_with_no_room_for_a_wrong_marking_are_left_out_and_counted() -> None:
    dense = [make_example([" a"] * 8, [1.0] * 8, document=document) for document in range(6)]
    markings = draw_markings(dense, 0.3, 0)
    assert markings.marked == ()
    assert markings.left_out == 6


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_windows_to_pair(n: int) -> None:
    markings = draw_markings(peaked(20)[:n], 0.3, 0)
    assert markings.marked == ()
    assert markings.left_out == n


def test_marks_below_the_threshold_are_not_made_and_the_strongest_always_is() -> None:
    example = make_example([" a", " b", " c", " d"], [0.0, 2.9, 3.0, 10.0])
    assert right_marks(example, 0.3) == (2, 3)
    assert right_marks(example, 1.0) == (3,)


def test_the_rest_of_an_active_word_is_no_fair_wrong_mark() -> None:
    example = make_example([" the", " har", "bour", "s", ",", " old"], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    assert untouchable(example) == {1, 2, 3}


def test_wrong_marks_are_of_the_same_shape_where_they_can_be() -> None:
    tokens = [" one", ",", " two", ".", " three", " 4", " four", "-", " five", " 6"]
    examples = [
        make_example(tokens, [1.0 if place == at else 0.0 for place in range(10)], document=at) for at in (0, 2, 4, 6)
    ]
    for one in draw_markings(examples, 0.3, 0).marked:
        assert all(one.example.tokens[mark].strip().isalpha() for mark in one.marks)
