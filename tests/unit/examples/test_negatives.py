from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.examples.negatives import draw_silent, halves_of
from harness.seeding import generator

grids = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=300)


@given(windows=grids, count=st.integers(0, 40), seed=st.integers(0, 3), some=st.booleans())
def test_draws_are_those_from_the_listed_silent_windows(windows: Any, count: int, seed: int, some: bool) -> None:
    table = np.array(windows, dtype=np.bool_).reshape(-1, 3)
    in_explain, is_touched, is_known = table.T
    known = np.flatnonzero(is_known) if some else None
    for name, half in halves_of(in_explain).items():
        members = in_explain if name == "explain" else ~in_explain
        candidates = np.flatnonzero(members & ~is_touched & (is_known if some else True))
        plain = generator(seed, name).choice(candidates, size=min(count, candidates.size), replace=False)
        drawn, found = draw_silent(half, np.flatnonzero(is_touched), count, generator(seed, name), known=known)
        assert drawn.tolist() == plain.tolist()
        assert found == candidates.size


def test_many_windows_take_another_way_in_numpy_and_give_the_same() -> None:
    draws = np.random.default_rng(0)
    in_explain, is_touched = draws.random(60_000) < 0.5, draws.random(60_000) < 0.3
    for count in (5, 2_000):
        half = halves_of(in_explain)["explain"]
        candidates = np.flatnonzero(in_explain & ~is_touched)
        plain = generator(0).choice(candidates, size=count, replace=False)
        assert draw_silent(half, np.flatnonzero(is_touched), count, generator(0))[0].tolist() == plain.tolist()
