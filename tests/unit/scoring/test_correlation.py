from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.scoring.correlation import Measure, absdev_zero, pearson, r2_mean, r2_zero
from harness.stats.product_moment import product_moment

if TYPE_CHECKING:
    from collections.abc import Callable

TRUTH = [0.0, 0.0, 5.0, 0.0, 10.0, 0.0, 0.0, 2.0]
PREDICTED = [0.0, 1.0, 4.0, 0.0, 9.0, 0.0, 1.0, 0.0]
ALL = [pearson, r2_zero, r2_mean, absdev_zero]
VALUES = st.lists(st.integers(-50, 50), min_size=3, max_size=30)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [(pearson, 0.962929), (r2_zero, 0.937984), (absdev_zero, 0.647059), (r2_mean, 0.913863)],
)
def test_golden_values(measure: Callable[[list[float], list[float]], Measure], expected: float) -> None:
    assert measure(TRUTH, PREDICTED).value == pytest.approx(expected, abs=5e-7)


def test_the_mean_over_parts_is_another_number() -> None:
    parts = [pearson(TRUTH[part], PREDICTED[part]).value or 0.0 for part in (slice(4), slice(4, 8))]
    assert sum(parts) / 2 == pytest.approx(0.966117, abs=5e-7)


@pytest.mark.parametrize("measure", ALL)
def test_of_nothing_there_is_none(measure: Callable[[list[float], list[float]], Measure]) -> None:
    assert measure([], []) == Measure(None, "nothing was predicted")


@pytest.mark.parametrize("measure", ALL)
def test_unequal_lengths_are_a_defect(measure: Callable[[list[float], list[float]], Measure]) -> None:
    with pytest.raises(ValueError, match="2 values and 1"):
        measure([1.0, 2.0], [1.0])


@pytest.mark.parametrize("constant", [0.0, 0.1, 3.0])
def test_what_does_not_vary_has_no_correlation(constant: float) -> None:
    varied, same = [1.0, 2.0, 4.0] * 3, [constant] * 9
    assert pearson(same, varied) == Measure(None, "the true activations are all equal")
    assert pearson(varied, same) == Measure(None, "the predictions are all equal")
    assert r2_mean(same, varied) == Measure(None, "the true activations are all equal")


def test_a_silent_truth_explains_nothing() -> None:
    for measure in (r2_zero, absdev_zero):
        assert measure([0.0, 0.0], [1.0, 2.0]) == Measure(None, "the true activations are all equal")


@given(VALUES, st.data())
def test_pearson_is_numpys(truth: list[int], data: st.DataObject) -> None:
    predicted = data.draw(st.lists(st.integers(-50, 50), min_size=len(truth), max_size=len(truth)))
    assume(len(set(truth)) > 1)
    assume(len(set(predicted)) > 1)
    expected = float(np.corrcoef(truth, predicted)[0, 1])
    assert pearson(truth, predicted).value == pytest.approx(expected, abs=1e-9)


@given(VALUES, st.data())
def test_a_weight_is_how_often_a_pair_occurs(truth: list[int], data: st.DataObject) -> None:
    n = len(truth)
    predicted = data.draw(st.lists(st.integers(-50, 50), min_size=n, max_size=n))
    weights = data.draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))
    repeated = [[v for v, w in zip(values, weights, strict=True) for _ in range(w)] for values in (truth, predicted)]
    weighted, plain = pearson(truth, predicted, [float(w) for w in weights]), pearson(*repeated)
    assert weighted.value == (None if plain.value is None else pytest.approx(plain.value, abs=1e-9))
    assert weighted.reason == plain.reason


@given(VALUES, st.floats(0.1, 10), st.floats(-10, 10))
def test_a_rising_line_is_a_perfect_correlation_and_a_falling_one_is_the_opposite(
    truth: list[int], slope: float, shift: float
) -> None:
    assume(len(set(truth)) > 1)
    assert pearson(truth, [slope * value + shift for value in truth]).value == pytest.approx(1.0)
    assert pearson(truth, [shift - slope * value for value in truth]).value == pytest.approx(-1.0)


@given(VALUES)
def test_a_perfect_prediction_explains_all_and_the_mean_nothing(truth: list[int]) -> None:
    assume(len(set(truth)) > 1)
    mean = math.fsum(truth) / len(truth)
    assert [measure(truth, truth).value for measure in (r2_zero, r2_mean, absdev_zero)] == [1.0] * 3
    assert r2_mean(truth, [mean] * len(truth)).value == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_values_of_any_size_are_correlated_as_in_the_statistics_of_features(scale: float) -> None:
    truth, predicted = [0.0, 0.0, 5.0, 0.0, 10.0], [0.0, 1.0, 4.0, 0.0, 9.0]
    found = pearson([value * scale for value in truth], predicted).value
    assert found == pytest.approx(product_moment(truth, predicted))
    assert found == pytest.approx(float(np.corrcoef(truth, predicted)[0, 1]))
