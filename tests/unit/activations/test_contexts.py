from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.activations.contexts import ContextIndex


@given(lengths=st.lists(st.one_of(st.just(1), st.integers(1, 400)), min_size=1, max_size=80))
def test_every_position_is_found(lengths: list[int]) -> None:
    starts = np.concatenate([[0], np.cumsum(lengths)])
    every = np.arange(starts[-1])
    assert ContextIndex(starts).of(every).tolist() == np.repeat(np.arange(len(lengths)), lengths).tolist()


def test_many_short_contexts_beside_a_long_one() -> None:
    starts = np.concatenate([np.arange(1000), [1_000_000]])
    positions = np.array([0, 1, 500, 998, 999, 1000, 999_999])
    assert ContextIndex(starts).of(positions).tolist() == [0, 1, 500, 998, 999, 999, 999]


def test_no_positions() -> None:
    assert ContextIndex(np.array([0, 5])).of(np.zeros(0, dtype=np.int64)).size == 0
