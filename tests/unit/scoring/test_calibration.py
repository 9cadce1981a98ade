from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.scoring.calibration import Calibration, Fitted, fit_linear, fit_percentiles

PAIRS = st.lists(st.tuples(st.integers(0, 10), st.integers(0, 40)), min_size=2, max_size=40)


def fitted(found: Fitted) -> Calibration:
    assert found.calibration is not None, found.reason
    return found.calibration


def test_a_line_is_found() -> None:
    line = fitted(fit_linear([0, 1, 2, 3], [1.0, 3.0, 5.0, 7.0]))
    assert [line.slope, line.intercept] == pytest.approx([2.0, 1.0])
    assert [line(value) for value in (0, 4)] == [pytest.approx(1.0), pytest.approx(9.0)]


@pytest.mark.parametrize("fit", [fit_linear, fit_percentiles])
def test_a_falling_slope_is_stated_and_gives_no_credit(fit: type) -> None:
    found = fitted(fit([0, 1, 2, 3], [9.0, 6.0, 3.0, 0.0]))
    assert found.slope == pytest.approx(-3.0)
    mapped = [found(value) for value in (0, 1, 2, 3)]
    assert mapped == sorted(mapped)


def test_a_falling_line_is_read_as_the_mean() -> None:
    line = fitted(fit_linear([0, 1, 2, 3], [9.0, 6.0, 3.0, 0.0]))
    assert {line(value) for value in (0.0, 1.5, 100.0)} == {4.5}


def test_tied_predictions_share_the_mean_of_their_ranks() -> None:
    matched = fitted(fit_percentiles([0, 0, 0, 5], [0.0, 3.0, 6.0, 20.0]))
    assert matched(0) == pytest.approx(3.0)
    assert matched(5) == pytest.approx(20.0)
    assert matched(2.5) == pytest.approx(11.5)
    assert [matched(-1), matched(50)] == pytest.approx([3.0, 20.0])


@pytest.mark.parametrize("fit", [fit_linear, fit_percentiles])
@pytest.mark.parametrize(
    ("predicted", "truth", "reason"),
    [
        ([], [], "nothing was predicted"),
        ([1.0, 1.0], [0.0, 3.0], "the predictions are all equal"),
        ([1.0, 2.0], [3.0, 3.0], "the true activations are all equal"),
        ([1.0, 1.0], [3.0, 3.0], "the predictions are all equal"),
    ],
)
def test_what_cannot_be_fitted_says_why(fit: type, predicted: list[float], truth: list[float], reason: str) -> None:
    assert fit(predicted, truth) == Fitted(None, reason)


@given(PAIRS, st.integers(0, 100))
def test_no_calibration_ever_falls_and_the_order_of_windows_is_nothing(pairs: list[tuple[int, int]], turn: int) -> None:
    predicted, truth = zip(*pairs, strict=True)
    assume(len(set(predicted)) > 1)
    assume(len(set(truth)) > 1)
    turned = pairs[turn % len(pairs) :] + pairs[: turn % len(pairs)]
    for fit in (fit_linear, fit_percentiles):
        one, other = fitted(fit(predicted, truth)), fitted(fit(*zip(*turned, strict=True)))
        mapped = [one(value / 4) for value in range(-4, 48)]
        assert all(right >= left - 1e-9 for left, right in pairwise(mapped))
        assert [other(value / 4) for value in range(-4, 48)] == pytest.approx(mapped)


@given(PAIRS)
def test_percentiles_stay_within_the_truth(pairs: list[tuple[int, int]]) -> None:
    predicted, truth = zip(*pairs, strict=True)
    assume(len(set(predicted)) > 1)
    assume(len(set(truth)) > 1)
    matched = fitted(fit_percentiles(predicted, truth))
    assert all(min(truth) - 1e-9 <= matched(value) <= max(truth) + 1e-9 for value in range(-2, 13))
