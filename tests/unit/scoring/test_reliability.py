from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.outcome import Outcome
from harness.scoring.classification import NO_ANSWERS
from harness.scoring.protocol import Item
from harness.scoring.reliability import NO_GRADES, brier_score, calibration_error, reliability

GRADED = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]), st.booleans()), min_size=1)


def item(value: float | None, *, truth: bool | None = True, outcome: Outcome = Outcome.OK) -> Item:
    return Item("k", "random", None, truth, None, value, outcome)


@pytest.mark.parametrize(
    ("graded", "error", "brier"),
    [
        ([(1.0, True), (0.0, False)], 0.0, 0.0),
        ([(0.0, True), (1.0, False)], 1.0, 1.0),
        ([(0.5, True), (0.5, False)], 0.0, 0.25),  # equal grades share a bin, in which they are right on average
        ([(0.9, True)] * 9 + [(0.9, False)], 0.0, 0.09),
        ([(0.9, True)] * 5 + [(0.9, False)] * 5, 0.4, 0.41),
    ],
)
def test_by_hand(graded: list[tuple[float, bool]], error: float, brier: float) -> None:
    assert calibration_error(graded) == pytest.approx(error)
    assert brier_score(graded) == pytest.approx(brier)


def test_bins_hold_equal_counts() -> None:
    # Two bins of two: mean P(yes) 0.15 against 0.5 true, 0.85 against 0.5 true.
    graded = [(0.1, True), (0.2, False), (0.8, True), (0.9, False)]
    assert calibration_error(graded, bins=2) == pytest.approx(0.35)
    # In one bin the mistakes cancel, in four they do not.
    assert calibration_error(graded, bins=1) == pytest.approx(0.0)
    assert calibration_error(graded, bins=4) == pytest.approx((0.9 + 0.2 + 0.2 + 0.9) / 4)


def test_a_judge_that_means_what_it_says_has_little_error_and_an_overconfident_one_much() -> None:
    rng = random.Random(0)  # noqa: S311  -- no secret
    chances = [rng.random() for _ in range(4000)]
    truths = [rng.random() < chance for chance in chances]
    honest = calibration_error(list(zip(chances, truths, strict=True)))
    sure = calibration_error([(float(chance > 0.5), truth) for chance, truth in zip(chances, truths, strict=True)])
    assert honest is not None
    assert sure is not None
    assert honest < 0.03
    assert sure == pytest.approx(0.25, abs=0.03)


@given(graded=GRADED, seed=st.integers(0, 100), bins=st.integers(1, 20))
def test_order_changes_nothing_and_the_error_is_within_bounds(
    graded: list[tuple[float, bool]], seed: int, bins: int
) -> None:
    shuffled = random.Random(seed).sample(graded, len(graded))  # noqa: S311  -- no secret
    error = calibration_error(graded, bins)
    assert error == calibration_error(shuffled, bins)
    assert error is not None
    overall = abs(sum(p for p, _ in graded) - sum(truth for _, truth in graded)) / len(graded)
    assert overall - 1e-9 <= error <= 1.0


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([], NO_ANSWERS),
        ([item(0.5, outcome=Outcome.REFUSED)], NO_ANSWERS),
        ([item(0.5, truth=None)], NO_ANSWERS),
        ([item(None)], NO_GRADES),
    ],
)
def test_nothing_graded_is_undefined_with_a_reason(items: list[Item], reason: str) -> None:
    found = reliability(items)
    assert found == ({"n": 0.0, "expected_calibration_error": None, "brier": None}, reason)


def test_failed_items_enter_no_number() -> None:
    found, why = reliability([item(1.0), item(0.0, outcome=Outcome.ERROR)])
    assert (found, why) == ({"n": 1.0, "expected_calibration_error": 0.0, "brier": 0.0}, None)
