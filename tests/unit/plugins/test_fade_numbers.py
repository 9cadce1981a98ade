from __future__ import annotations

import math

import numpy as np
import pytest
from harness_fade.effects import _dealt, effect, largest_rise, share
from harness_fade.faithfulness import fade_faithfulness
from harness_fade.numbers import (
    Comparison,
    average_precision,
    interval,
    precision_without_signal,
    signed_above_null,
    signed_gini,
    size_without_signal,
    unsigned_above_null,
)
from hypothesis import given
from hypothesis import strategies as st

from harness.api import auroc

VALUES = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=12)


def test_golden_values_of_separation() -> None:
    comparison = Comparison([0.4, 0.95, 0.2], [0.1, 0.5, 0.3, 0.9])
    assert signed_gini(comparison) == pytest.approx(0.166667, abs=1e-6)
    assert average_precision(comparison) == pytest.approx(0.666667, abs=1e-6)
    assert signed_gini(Comparison([2, 5], [0, 1, 2, 3])) == pytest.approx(0.625)
    assert signed_gini(Comparison([2, 3], [0, 1])) == 1.0
    assert average_precision(Comparison([2, 3], [0, 1])) == 1.0


@given(VALUES, VALUES)
def test_the_gini_coefficient_is_twice_the_area_less_one(positive: list[float], negative: list[float]) -> None:
    area = auroc(positive, negative)
    assert area is not None
    assert signed_gini(Comparison(positive, negative)) == pytest.approx(2 * area - 1)
    # Turned round, the sign changes; so does it with the sides.
    turned = Comparison([-one for one in positive], [-one for one in negative])
    assert signed_gini(turned) == pytest.approx(-signed_gini(Comparison(positive, negative)))
    assert signed_gini(Comparison(negative, positive)) == pytest.approx(-signed_gini(Comparison(positive, negative)))


@given(VALUES, VALUES, st.integers(1, 4), st.integers(1, 4))
def test_a_weight_is_a_number_of_copies(positive: list[float], negative: list[float], many: int, more: int) -> None:
    weights = [float(many if place % 2 else more) for place in range(max(len(positive), len(negative)))]
    weighted = Comparison(positive, negative, weights[: len(positive)], weights[: len(negative)])
    copies = Comparison(*(
        [value for value, weight in zip(side, weights, strict=False) for _ in range(int(weight))]
        for side in (positive, negative)
    ))  # fmt: skip
    assert signed_gini(weighted) == pytest.approx(signed_gini(copies))
    assert average_precision(weighted) == pytest.approx(average_precision(copies))
    assert weighted.prevalence == pytest.approx(copies.prevalence)


@given(VALUES, VALUES)
def test_average_precision_is_a_share_and_does_not_depend_on_the_order(
    positive: list[float], negative: list[float]
) -> None:
    value = average_precision(Comparison(positive, negative))
    assert 0 < value <= 1
    assert value == pytest.approx(average_precision(Comparison(positive[::-1], negative[::-1])))


def test_average_precision_of_one_value_everywhere_is_the_prevalence() -> None:
    comparison = Comparison([1.0] * 3, [1.0] * 9)
    assert average_precision(comparison) == comparison.prevalence == 0.25
    assert signed_gini(comparison) == 0.0
    assert precision_without_signal(comparison, 100, 0).mean() == pytest.approx(0.25)
    assert size_without_signal(comparison, 100, 0) == 0.0


@pytest.mark.parametrize(("n", "expected"), [(1, 0.50), (3, 0.28), (5, 0.21), (15, 0.12), (50, 0.07)])
def test_luck_gives_few_texts_a_large_coefficient(n: int, expected: float) -> None:
    rng = np.random.default_rng(0)
    comparison = Comparison(rng.normal(size=n).tolist(), rng.normal(size=400).tolist())
    assert size_without_signal(comparison, 2_000, 1) == pytest.approx(expected, abs=0.02)


def test_what_is_left_beyond_luck_has_mean_zero_without_signal() -> None:
    rng = np.random.default_rng(1)
    ginis, precisions = [], []
    for seed in range(120):
        comparison = Comparison(rng.normal(size=8).tolist(), rng.normal(size=30).tolist())
        ginis.append(signed_above_null(signed_gini(comparison), size_without_signal(comparison, 100, seed)) or 0.0)
        lucky = precision_without_signal(comparison, 100, seed)
        precisions.append(unsigned_above_null(average_precision(comparison), lucky) or 0.0)
    assert np.mean(ginis) == pytest.approx(0.0, abs=0.05)
    assert np.mean(precisions) == pytest.approx(0.0, abs=0.05)


def sides(positive: int, n: int = 100) -> Comparison:
    return Comparison([float(place) for place in range(positive)], [float(place) for place in range(positive, n)])


@pytest.mark.parametrize("positive", [5, 50, 90, 97, 99])
def test_luck_has_mean_zero_however_common_the_concept_is(positive: int) -> None:
    lucky = precision_without_signal(sides(positive), 400, 0)
    found = [unsigned_above_null(float(value), lucky) for value in lucky]
    kept = [one for one in found if one is not None]
    # A floor at -1 by itself gives 0.01 and 0.12 where 97 and 99 of 100 texts hold the concept.
    assert np.mean(kept) == pytest.approx(0.0, abs=1e-6)
    assert -1 <= min(kept) <= max(kept) <= 1
    assert unsigned_above_null(1.0, lucky) == 1.0


def test_luck_that_was_not_looked_at_has_mean_zero_too() -> None:
    lucky, again = (precision_without_signal(sides(99), 4_000, seed) for seed in (0, 1))
    values, counts = np.unique(again, return_counts=True)
    found = [unsigned_above_null(float(value), lucky) or 0.0 for value in values]
    # Three standard errors of both; a floor at -1 gives 0.12.
    assert np.average(found, weights=counts) == pytest.approx(0.0, abs=0.045)


def test_what_is_beyond_luck_keeps_its_sign_and_its_ends() -> None:
    assert signed_above_null(1.0, 0.3) == 1.0
    assert signed_above_null(-1.0, 0.3) == -1.0
    assert signed_above_null(-0.65, 0.3) == pytest.approx(-0.5)
    assert signed_above_null(0.2, 0.3) == 0.0
    assert signed_above_null(1.0, 1.0) is None
    assert unsigned_above_null(0.5, np.array([0.4, 0.6])) == 0.0
    assert unsigned_above_null(0.75, np.array([0.4, 0.6])) == pytest.approx(0.5)
    assert unsigned_above_null(0.0, np.array([0.8, 0.9, 0.9, 1.0])) == -1.0
    assert unsigned_above_null(1.0, np.array([1.0])) is None
    # Where luck mostly gives all there is, nothing from -1 to 1 has mean 0.
    assert unsigned_above_null(1.0, np.array([0.0, 1.0, 1.0, 1.0])) is None


def test_an_interval_holds_the_value_and_is_a_point_where_the_sides_are_apart() -> None:
    assert interval(Comparison([2, 3, 4], [0, 1]), precision=False, draws=100, seed=0) == (1.0, 1.0)
    rng = np.random.default_rng(2)
    comparison = Comparison((rng.normal(size=40) + 1).tolist(), rng.normal(size=40).tolist())
    for precision, value in ((False, signed_gini(comparison)), (True, average_precision(comparison))):
        low, high = interval(comparison, precision=precision, draws=300, seed=0)
        assert low is not None
        assert high is not None
        assert low < value < high
        assert (low, high) == interval(comparison, precision=precision, draws=300, seed=0)


def test_weights_of_nothing_leave_no_comparison() -> None:
    assert Comparison([1.0], [0.0, 1.0], [0.0], [0.0, 1.0]).sizes() == (0, 1)
    assert Comparison([], []).sizes() == (0, 0)
    assert Comparison([], []).prevalence is None
    assert Comparison([1.0], [0.0]).sizes() == (1, 1)


COUNTS = {"factor_-50": (40, 5, 5), "factor_0": (45, 0, 5), "factor_1": (44, 1, 5), "factor_50": (10, 10, 30)}


def test_golden_value_of_faithfulness() -> None:
    shown = {name: [False] * (zero + one) + [True] * two for name, (zero, one, two) in COUNTS.items()}
    assert fade_faithfulness(shown) == pytest.approx(0.555556, abs=1e-6)


def test_faithfulness_has_no_value_where_its_formula_divides_by_nothing() -> None:
    assert fade_faithfulness({"factor_0": [True, True], "factor_1": [True]}) is None
    assert fade_faithfulness({"factor_0": [None], "factor_1": [True]}) is None
    assert fade_faithfulness({"factor_0": [False, None], "factor_1": [None]}) == 0.0
    assert largest_rise([0.5], 1.0) is None
    assert share([None]) is None


@pytest.mark.parametrize(("rate", "expected"), [(0.02, 0.030), (0.10, 0.065), (0.30, 0.121)])
def test_luck_gives_the_largest_of_seven_a_rise(rate: float, expected: float) -> None:
    rng = np.random.default_rng(3)
    nulls, above = [], []
    for seed in range(40):
        drawn = rng.random((7, 50)) < rate
        arms = {f"factor_{arm}": drawn[arm].tolist() for arm in range(1, 7)}
        found = effect(arms, drawn[0].tolist(), 60, seed)
        nulls.append(found.null or 0.0)
        above.append(found.above_null or 0.0)
    assert np.mean(nulls) == pytest.approx(expected, abs=0.015)
    assert np.mean(above) == pytest.approx(0.0, abs=0.03)


def test_an_effect_is_what_lies_beyond_luck() -> None:
    silent: list[bool | None] = [False] * 20
    found = effect({"up": [True] * 20, "down": silent}, silent, 200, 0)
    assert found.rise == 1.0
    assert found.above_null == 1.0
    assert found.reason is None
    none = effect({"up": silent, "down": silent}, silent, 200, 0)
    assert (none.rise, none.null, none.above_null) == (0.0, 0.0, 0.0)


def test_an_effect_of_what_was_not_rated_is_undefined_with_a_reason() -> None:
    assert effect({"up": [None]}, [False], 10, 0).reason == "no continuation was rated"
    assert effect({"up": [True]}, [None], 10, 0).reason == "no continuation was rated"
    full = effect({"up": [True, True]}, [True, True], 10, 0)
    assert full.above_null is None
    assert full.reason is not None
    part = effect({"up": [True, None, True, True], "down": [None] * 4}, [False, False, None, False], 100, 0)
    assert part.rise == 1.0
    assert part.above_null is not None
    assert math.isfinite(part.above_null)


@given(st.lists(st.lists(st.sampled_from([1.0, 0.0, math.nan]), min_size=3, max_size=3), min_size=1, max_size=6))
def test_ratings_are_dealt_within_a_prompt_to_where_there_was_one(rows: list[list[float]]) -> None:
    table = np.array(rows)
    rated = ~np.isnan(table)
    dealt = _dealt(table, rated, np.random.default_rng(0).random(table.shape))
    assert dealt.sum(axis=1).tolist() == np.nansum(table, axis=1).tolist()
    assert not dealt[~rated].any()


@given(st.lists(st.lists(st.sampled_from([True, False, None]), min_size=3, max_size=3), min_size=2, max_size=6))
def test_an_effect_is_a_number_or_a_reason(table: list[list[bool | None]]) -> None:
    baseline, *arms = table
    found = effect({str(place): arm for place, arm in enumerate(arms)}, baseline, 20, 0)
    if found.above_null is None:
        assert found.reason
    else:
        assert -1 <= found.above_null <= 1
        assert found.reason is None
