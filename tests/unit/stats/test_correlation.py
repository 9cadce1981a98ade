"""Correlations: as SciPy has them, undefined where they must be, and with intervals that keep their promise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.stats import Correlation, average_ranks, pearson_interval, spearman_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COARSE = st.integers(0, 8).map(lambda eighths: eighths / 8)  # so that values tie
PAIRS = st.lists(st.tuples(COARSE, COARSE), min_size=4, max_size=30)
BOTH = pytest.mark.parametrize("measure", [pearson_interval, spearman_interval])


def by_place(values: Sequence[float]) -> dict[int, float]:
    return dict(enumerate(values))


def of_pairs(measure: Callable[..., Correlation], pairs: Sequence[tuple[float, float]]) -> Correlation:
    return measure(by_place([a for a, _ in pairs]), by_place([b for _, b in pairs]))


@given(PAIRS)
def test_values_are_those_of_scipy(pairs: list[tuple[float, float]]) -> None:
    a, b = zip(*pairs, strict=True)
    assume(len(set(a)) > 1 and len(set(b)) > 1)
    assert of_pairs(pearson_interval, pairs).value == pytest.approx(scipy.stats.pearsonr(a, b).statistic, abs=1e-9)
    assert of_pairs(spearman_interval, pairs).value == pytest.approx(scipy.stats.spearmanr(a, b).statistic, abs=1e-9)


@given(st.lists(COARSE, max_size=30))
def test_ranks_are_those_of_scipy(values: list[float]) -> None:
    assert average_ranks(values) == scipy.stats.rankdata(values).tolist()


@given(PAIRS, st.sampled_from([pearson_interval, spearman_interval]))
def test_an_interval_holds_its_correlation_and_stays_between_the_ends(
    pairs: list[tuple[float, float]], measure: Callable[..., Correlation]
) -> None:
    found = of_pairs(measure, pairs)
    if found.value is None or abs(found.value) == 1.0:
        assert found.low is found.high is None
        assert found.method.startswith("none: ")
    else:
        assert found.low is not None
        assert found.high is not None
        assert -1 <= found.low <= found.value <= found.high <= 1


@given(PAIRS, st.sampled_from([pearson_interval, spearman_interval]), st.randoms(use_true_random=False))
def test_neither_order_nor_side_changes_a_correlation(
    pairs: list[tuple[float, float]], measure: Callable[..., Correlation], random: object
) -> None:
    found = of_pairs(measure, pairs)
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert of_pairs(measure, shuffled) == found
    turned = of_pairs(measure, [(b, a) for a, b in pairs])
    assert turned.value == pytest.approx(found.value, abs=1e-12)


@BOTH
def test_fisher_z_has_the_ends_of_scipy_where_scipy_has_them(measure: Callable[..., Correlation]) -> None:
    a, b = [0.1, 0.4, 0.3, 0.9, 0.6, 0.7, 0.2], [0.2, 0.3, 0.5, 0.8, 0.4, 0.9, 0.1]
    found = measure(by_place(a), by_place(b))
    assert found.method == "fisher z over features"
    assert found.value is not None
    if measure is pearson_interval:
        low, high = scipy.stats.pearsonr(a, b).confidence_interval()
    else:
        half = scipy.stats.norm.ppf(0.975) * math.sqrt((1 + found.value**2 / 2) / 4)
        low, high = np.tanh(np.arctanh(found.value) + np.array([-half, half]))
    assert [found.low, found.high] == pytest.approx([low, high])


@BOTH
@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ([0.1, 0.2, 0.3], [0.1, 0.2, 0.4], "3 shared features, at least 4"),
        ([], [], "0 shared features"),
        ([0.5] * 6, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "the first measure is the same"),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.1 + 0.2, 0.3, 0.3, 0.3, 0.3, 0.3], "the second measure is the same"),
        ([1.0, 2.0, 3.0, 4.0], [8.0, 6.0, 4.0, 2.0], "a perfect correlation"),
    ],
)
def test_what_is_undefined_has_a_reason(
    measure: Callable[..., Correlation], a: list[float], b: list[float], reason: str
) -> None:
    found = measure(by_place(a), by_place(b))
    assert reason in found.method
    assert found.low is found.high is None
    assert found.value == (-1.0 if "perfect" in reason else None)


@BOTH
def test_only_what_both_have_is_paired(measure: Callable[..., Correlation]) -> None:
    a = {1: 0.1, 2: 0.5, 3: 0.3, 4: 0.9, 5: 0.2, 98: math.nan}
    b = {5: 0.3, 4: 0.8, 3: 0.4, 2: 0.1, 1: 0.2, 99: 1.0}
    assert measure(a, b) == measure({key: a[key] for key in range(1, 6)}, {key: b[key] for key in range(1, 6)})
    with pytest.raises(ValueError, match="not a finite number"):
        measure(a, {**b, 98: 0.5})
    with pytest.raises(ValueError, match="not a confidence level"):
        measure(a, b, level=1.0)


@BOTH
@pytest.mark.parametrize("n", [10, 40])
def test_intervals_hold_the_truth_about_as_often_as_they_say(measure: Callable[..., Correlation], n: int) -> None:
    rng = np.random.default_rng(7)
    rho = 0.6
    truth = rho if measure is pearson_interval else 6 / math.pi * math.asin(rho / 2)
    held = 0
    for _ in range(200):
        x = rng.standard_normal(n)
        y = rho * x + math.sqrt(1 - rho**2) * rng.standard_normal(n)
        found = measure(by_place(x.tolist()), by_place(y.tolist()))
        assert found.method == ("bootstrap over features" if n == 40 else "fisher z over features")
        held += (found.low or 0.0) <= truth <= (found.high or 0.0)
    assert 0.90 <= held / 200 <= 0.99  # 95 % less 3 standard errors


@BOTH
def test_the_bootstrap_is_fixed_by_its_seed(measure: Callable[..., Correlation]) -> None:
    rng = np.random.default_rng(1)
    a, b = by_place(rng.random(25).tolist()), by_place(rng.random(25).tolist())
    assert measure(a, b, seed=3) == measure(a, b, seed=3)
    assert measure(a, b, seed=3).low != measure(a, b, seed=4).low


@BOTH
def test_resamples_without_spread_leave_the_interval_to_fisher(measure: Callable[..., Correlation]) -> None:
    a = by_place([1.0] + [0.0] * 29)  # a third of the resamples miss the only feature that differs
    b = by_place([place / 30 for place in range(30)])
    assert measure(a, b).method == "fisher z over features"


@BOTH
def test_tiny_spreads_do_not_vanish(measure: Callable[..., Correlation]) -> None:
    rng = np.random.default_rng(2)
    a, b = rng.random(24), rng.random(24)
    plain = measure(by_place(a.tolist()), by_place(b.tolist()))
    small = measure(by_place((a * 1e-200).tolist()), by_place((b * 1e200).tolist()))
    assert small.value == pytest.approx(plain.value)
    assert [small.low, small.high] == pytest.approx([plain.low, plain.high])
