from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scoring.classification import auroc
from harness.stats import separation

VALUES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=25)


@given(VALUES)
def test_the_value_is_the_auroc_and_lies_in_its_interval(pairs: list[tuple[float, float]]) -> None:
    upper = {place: pair[0] for place, pair in enumerate(pairs)}
    lower = {place: pair[1] for place, pair in enumerate(pairs)}
    found = separation(upper, lower, seed=0, draws=200)
    assert found.mean == pytest.approx(auroc(list(upper.values()), list(lower.values())))
    if found.low is not None and found.high is not None:
        assert 0 <= found.low <= found.high <= 1


def test_only_features_with_both_values_count() -> None:
    found = separation({1: 0.9, 2: 0.8, 3: 0.1}, {1: 0.2, 2: 0.3, 9: 1.0}, seed=0)
    assert (found.n, found.mean) == (2, 1.0)


@pytest.mark.parametrize(("n", "low"), [(10, 0.74), (77, 0.96), (1000, 0.997)])
def test_where_all_samples_agree_the_interval_is_not_certain(n: int, low: float) -> None:
    found = separation(dict.fromkeys(range(n), 0.9), dict.fromkeys(range(n), 0.5), seed=0)
    assert (found.mean, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(low, abs=0.03)
    tied = separation(dict.fromkeys(range(n), 0.5), dict.fromkeys(range(n), 0.5), seed=0)
    assert tied.low is not None
    assert tied.high is not None
    assert tied.mean == 0.5
    assert tied.low < 0.5
    assert tied.low + tied.high == pytest.approx(1.0)


def test_pairing_makes_the_interval_narrow() -> None:
    rng = np.random.default_rng(0)
    lower = dict(enumerate(rng.random(60).tolist()))
    paired = separation({feature: value + 0.05 for feature, value in lower.items()}, lower, seed=0)
    apart = separation({(feature + 7) % 60: value + 0.05 for feature, value in lower.items()}, lower, seed=0)
    assert paired.mean == apart.mean
    assert (paired.high or 0) - (paired.low or 0) < 0.5 * ((apart.high or 0) - (apart.low or 0))


def test_one_tie_does_not_make_the_interval_narrower() -> None:
    lower = dict.fromkeys(range(50), 0.5)
    all_above = separation(dict.fromkeys(range(50), 0.9), lower, seed=0)
    one_tied = separation({**dict.fromkeys(range(50), 0.9), 7: 0.5}, lower, seed=0)
    assert (one_tied.low or 1) < (all_above.low or 0) < 1


def test_no_features_and_one_have_no_interval() -> None:
    assert separation({1: 1.0}, {2: 1.0}, seed=0).mean is None
    one = separation({1: 1.0}, {1: 0.0}, seed=0)
    assert (one.mean, one.low) == (1.0, None)


def test_the_same_seed_gives_the_same_interval_and_order_means_nothing() -> None:
    rng = np.random.default_rng(0)
    upper = {place: float(value) for place, value in enumerate(rng.random(30))}
    lower = {place: float(value) for place, value in enumerate(rng.random(30))}
    turned = dict(reversed(list(upper.items())))
    assert separation(upper, lower, seed=1) == separation(turned, lower, seed=1)
    assert separation(upper, lower, seed=1) != separation(upper, lower, seed=2)


def test_the_interval_covers_what_it_should() -> None:
    """Normal values one standard deviation apart: AUROC is Phi(1 / sqrt 2) = 0.760."""
    covered = 0
    for trial in range(200):
        rng = np.random.default_rng(trial)
        upper = dict(enumerate((rng.standard_normal(40) + 1).tolist()))
        lower = dict(enumerate(rng.standard_normal(40).tolist()))
        found = separation(upper, lower, seed=trial, draws=400)
        covered += bool(found.low is not None and found.high is not None and found.low <= 0.7602 <= found.high)
    assert covered >= 180


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        separation({1: float("nan"), 2: 0.0}, {1: 0.0, 2: 0.0}, seed=0)
    with pytest.raises(ValueError, match="confidence level"):
        separation({1: 0.0}, {1: 0.0}, seed=0, level=1.0)
