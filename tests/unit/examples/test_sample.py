from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from harness.errors import UnknownNameError
from harness.examples.checks import STRATEGIES
from harness.examples.deciles import deciles
from harness.examples.sample import choose, share_out
from harness.seeding import generator

strengths = arrays.arrays(np.float32, st.integers(0, 60), elements=st.integers(1, 9).map(float))
hundred = np.arange(1, 101, dtype=np.float32)


def pick(strategy: str, values: np.ndarray, count: int, seed: int = 0, mix_top: float = 0.2) -> np.ndarray:
    return choose(strategy, values, deciles(values), count, generator(seed, "t"), mix_top=mix_top)


@given(strategy=st.sampled_from(STRATEGIES), values=strengths, count=st.integers(1, 40), seed=st.integers(0, 3))
def test_as_many_as_there_are_none_twice_strongest_first(
    strategy: str, values: np.ndarray, count: int, seed: int
) -> None:
    chosen = pick(strategy, values, count, seed)
    assert chosen.size == min(count, values.size)
    assert np.unique(chosen).size == chosen.size
    assert np.all(np.diff(values[chosen]) <= 0)
    assert np.array_equal(chosen, pick(strategy, values, count, seed))


def test_top() -> None:
    assert pick("top", hundred, 3).tolist() == [99, 98, 97]


def test_quantiles_take_equally_from_each_decile() -> None:
    chosen = pick("quantiles", hundred, 30)
    assert np.bincount(deciles(hundred)[chosen])[1:].tolist() == [3] * 10
    assert not np.array_equal(chosen, pick("quantiles", hundred, 30, seed=1))


def test_quantiles_of_a_half_make_up_for_short_deciles() -> None:
    levels = np.array([10] * 2 + [9] * 20 + [1] * 20)
    chosen = choose("quantiles", np.arange(42.0), levels, 12, generator(0, "t"), mix_top=0.0)
    assert np.bincount(levels[chosen], minlength=11)[1:].tolist() == [5, 0, 0, 0, 0, 0, 0, 0, 5, 2]


def test_share_out_spreads_what_does_not_divide() -> None:
    assert share_out(np.full(10, 9), 5).tolist() == [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
    assert share_out(np.full(10, 9), 12).tolist() == [1, 1, 1, 1, 2, 1, 1, 1, 1, 2]
    assert share_out(np.zeros(10, dtype=np.int64), 5).sum() == 0


def test_mix_has_the_strongest_and_then_quantiles_of_the_rest() -> None:
    chosen = pick("mix", hundred, 40, mix_top=0.5)
    assert chosen[:20].tolist() == list(range(99, 79, -1))
    rest = np.bincount(deciles(hundred)[chosen[20:]], minlength=11)[1:]
    assert rest.tolist() == [2, 3, 2, 3, 2, 3, 2, 3, 0, 0]


def test_importance_draws_by_squared_activation() -> None:
    values = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    first = [int(pick("importance", values, 1, seed)[0]) for seed in range(3000)]
    np.testing.assert_allclose(np.bincount(first) / 3000, np.array([1, 4, 9]) / 14, atol=0.03)


def test_random_is_uniform() -> None:
    first = [int(pick("random", np.array([1.0, 2.0, 9.0]), 1, seed)[0]) for seed in range(3000)]
    np.testing.assert_allclose(np.bincount(first) / 3000, 1 / 3, atol=0.03)


def test_unknown_strategy() -> None:
    with pytest.raises(UnknownNameError, match="did you mean quantiles"):
        pick("quantile", hundred, 3)
