"""Intervals: exact at the edges, inside the range, independent of order, and covering what they promise to."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from harness.stats import mean_interval, paired_interval, wilson_interval

VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=30)


@given(VALUES)
def test_an_interval_holds_the_mean_and_stays_in_the_range(values: list[float]) -> None:
    estimate = mean_interval(values, 0, 1)
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.mean is not None
    assert 0 <= estimate.low <= estimate.mean <= estimate.high <= 1


@given(VALUES, st.floats(0.01, 0.98), st.floats(0.001, 0.01))
def test_a_higher_level_never_gives_a_narrower_interval(values: list[float], level: float, more: float) -> None:
    narrow = mean_interval(values, 0, 1, level=level)
    wide = mean_interval(values, 0, 1, level=level + more)
    assert narrow.low is not None
    assert wide.low is not None
    assert wide.low <= narrow.low
    assert narrow.high is not None
    assert wide.high is not None
    assert narrow.high <= wide.high


@given(VALUES, st.randoms(use_true_random=False))
def test_the_order_of_the_values_does_not_matter(values: list[float], random: object) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert mean_interval(shuffled, 0, 1) == mean_interval(values, 0, 1)


@given(VALUES, st.floats(-3, 3))
def test_an_interval_moves_with_its_values_and_range(values: list[float], shift: float) -> None:
    here = mean_interval(values, 0, 1)
    there = mean_interval([value + shift for value in values], shift, 1 + shift)
    assert there.n == here.n
    if here.method == there.method:  # a spread at the edge of rounding may be one for one of the two only
        assert there.low == pytest.approx((here.low or 0.0) + shift, abs=1e-6)
        assert there.high == pytest.approx((here.high or 0.0) + shift, abs=1e-6)


@pytest.mark.parametrize("n", [2, 5, 12, 100])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_all_ones_give_the_bound_of_clopper_and_pearson(n: int, level: float) -> None:
    exact = scipy.stats.binomtest(n, n).proportion_ci(level, method="exact")
    estimate = mean_interval([1.0] * n, 0, 1, level=level)
    assert estimate.low == pytest.approx(exact.low, rel=1e-9)
    assert estimate.high == 1.0
    mirrored = mean_interval([0.0] * n, 0, 1, level=level)
    assert mirrored.low == 0.0
    assert mirrored.high == pytest.approx(1 - exact.low, rel=1e-9)


def test_equal_values_inside_the_range_are_no_certainty() -> None:
    estimate = mean_interval([0.5] * 10, 0, 1)
    unseen = 1 - 0.025 ** (1 / 10)
    assert estimate.low == pytest.approx(0.5 - unseen * 0.5)
    assert estimate.high == pytest.approx(0.5 + unseen * 0.5)


def test_differences_equal_but_for_rounding_count_as_equal() -> None:
    a, b = {1: 0.3, 2: 0.9, 3: 0.4}, {1: 0.1, 2: 0.7, 3: 0.2}
    assert len({a[key] - b[key] for key in a}) > 1
    assert "unseen-mass" in paired_interval(a, b, 0, 1).method


def test_spread_gives_student_t() -> None:
    values = [0.4, 0.5, 0.55, 0.7]
    expected = scipy.stats.t.interval(0.95, 3, np.mean(values), scipy.stats.sem(values))
    estimate = mean_interval(values, 0, 1)
    assert (estimate.low, estimate.high) == pytest.approx(expected)
    assert estimate.se == pytest.approx(scipy.stats.sem(values))


def test_one_value_has_a_mean_and_no_interval() -> None:
    estimate = mean_interval([0.7], 0, 1)
    assert (estimate.n, estimate.mean, estimate.se, estimate.low, estimate.high) == (1, 0.7, None, None, None)
    assert estimate.method == "none: one value has no spread"


def test_no_values_have_no_mean() -> None:
    estimate = mean_interval([], 0, 1)
    assert (estimate.n, estimate.mean, estimate.se, estimate.low) == (0, None, None, None)


def test_an_unbounded_metric_is_not_clipped_and_has_no_bound_without_spread() -> None:
    assert mean_interval([1.0, 3.0], -math.inf, math.inf).low == pytest.approx(2 - 12.7062047, rel=1e-6)
    flat = mean_interval([2.0, 2.0], -math.inf, math.inf)
    assert (flat.mean, flat.low, flat.high) == (2.0, None, None)
    assert flat.method.startswith("none")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.5, 1.5])
def test_what_is_no_value_of_the_metric_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"finite number|outside"):
        mean_interval([0.5, bad], 0, 1)
    with pytest.raises(ValueError, match=r"finite number|outside"):
        paired_interval({1: bad}, {1: 0.5}, 0, 1)


def test_a_value_outside_by_float32_rounding_is_moved_back() -> None:
    assert mean_interval([1.0000001, 1.0], -1, 1).mean == 1.0


@pytest.mark.parametrize(("low", "high", "level"), [(1, 0, 0.95), (0, 0, 0.95), (math.nan, 1, 0.95), (0, 1, 1.0)])
def test_senseless_ranges_and_levels_are_refused(low: float, high: float, level: float) -> None:
    with pytest.raises(ValueError, match=r"range|level"):
        mean_interval([0.5], low, high, level=level)


def test_pairs_are_over_shared_keys_only() -> None:
    estimate = paired_interval({"a": 0.9, "b": 0.8, "x": 0.0}, {"a": 0.5, "b": 0.6, "y": 1.0}, 0, 1)
    assert estimate.n == 2
    assert estimate.mean == pytest.approx(0.3)
    assert estimate.method.startswith("paired ")


@given(st.dictionaries(st.integers(0, 20), st.floats(0, 1)), st.dictionaries(st.integers(0, 20), st.floats(0, 1)))
def test_swapping_a_pair_mirrors_its_interval(a: dict[int, float], b: dict[int, float]) -> None:
    there, back = paired_interval(a, b, 0, 1), paired_interval(b, a, 0, 1)
    assert there.n == back.n == len(a.keys() & b.keys())
    if there.low is not None and back.high is not None:
        assert there.low == pytest.approx(-back.high, abs=1e-12)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.98])
def test_yes_no_features_are_covered_as_promised(share: float) -> None:
    """Without the bound for equal values, a share of 0.98 would be covered in a fifth of the samples only."""
    draws = np.random.default_rng(0).random((2000, 12)) < share
    hits = 0
    for sample in draws:
        estimate = mean_interval([float(value) for value in sample], 0, 1)
        hits += estimate.low is not None and estimate.high is not None and estimate.low <= share <= estimate.high
    assert hits / len(draws) >= 0.93


def test_graded_features_are_covered_as_promised() -> None:
    draws = np.random.default_rng(1).beta(4, 2, (2000, 12))
    hits = 0
    for sample in draws:
        estimate = mean_interval(sample.tolist(), 0, 1)
        hits += estimate.low is not None and estimate.high is not None and estimate.low <= 4 / 6 <= estimate.high
    assert 0.93 <= hits / len(draws) <= 0.97


@given(st.integers(1, 200), st.data(), st.sampled_from([0.8, 0.95]))
def test_wilson_agrees_with_scipy(n: int, data: st.DataObject, level: float) -> None:
    k = data.draw(st.integers(0, n))
    expected = scipy.stats.binomtest(k, n).proportion_ci(level, method="wilson")
    estimate = wilson_interval(k, n, level=level)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_of_nothing_is_undefined_and_of_too_much_refused() -> None:
    assert wilson_interval(0, 0).mean is None
    with pytest.raises(ValueError, match="3 successes among 2 items"):
        wilson_interval(3, 2)
