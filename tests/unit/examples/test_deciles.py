from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from harness.examples.deciles import decile_edges, deciles

strengths = arrays.arrays(np.float32, st.integers(0, 80), elements=st.integers(1, 9).map(float))


def test_ten_is_the_strongest() -> None:
    assert deciles(np.array([3.0, 30.0, 1.0, 9.0, 5.0, 4.0, 2.0, 8.0, 7.0, 6.0])).tolist() == [
        3,
        10,
        1,
        9,
        5,
        4,
        2,
        8,
        7,
        6,
    ]


def test_ties_go_to_the_earlier_window() -> None:
    assert deciles(np.ones(10)).tolist() == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]


@given(values=strengths)
def test_deciles_are_of_equal_size_and_in_order(values: np.ndarray) -> None:
    found = deciles(values)
    if values.size >= 10:
        counts = np.bincount(found, minlength=11)[1:]
        assert counts.max() - counts.min() <= 1
    for low in range(1, 10):
        lower, upper = values[found <= low], values[found > low]
        assert not lower.size or not upper.size or lower.max() <= upper.min()


@given(values=strengths)
def test_edges_are_the_weakest_of_each_decile(values: np.ndarray) -> None:
    found, edges = deciles(values), decile_edges(values)
    assert len(edges) == (9 if values.size >= 10 else 0)
    assert edges == tuple(float(values[found == level].min()) for level in range(2, 11) if edges)
