"""What is worked out once of where a feature fires, against plain counting."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.activations.located import Locator, grouped
from harness.activations.protocol import FeatureActivations

IDS = st.lists(st.integers(0, 40), max_size=60)


@given(ids=IDS, seed=st.integers(0, 99), flags=st.booleans())
def test_groups_are_those_of_plain_counting(ids: list[int], seed: int, flags: bool) -> None:
    tokens = np.array(ids, dtype=np.uint16)
    values = np.random.default_rng(seed).random(tokens.size).astype(np.float32)
    kept: np.ndarray = np.random.default_rng(seed).random(tokens.size) < 0.5
    for groups, which in (
        (grouped(tokens), np.arange(tokens.size)),
        (grouped(tokens).only(kept if flags else np.flatnonzero(kept)), np.flatnonzero(kept)),
    ):
        assert groups.ids.tolist() == np.unique(tokens[which]).tolist()
        assert groups.ids[groups.codes].tolist() == tokens[which].tolist()
        for place, token in enumerate(groups.ids.tolist()):
            mine = which[tokens[which] == token]
            assert groups.counts[place] == mine.size
            assert groups.sums(values[which])[place] == pytest.approx(float(values[mine].sum(dtype=np.float64)))


@given(ids=IDS, seed=st.integers(0, 99))
def test_sums_of_some_activations_are_those_of_their_groups(ids: list[int], seed: int) -> None:
    draws = np.random.default_rng(seed)
    groups = grouped(np.array(ids, dtype=np.uint16))
    numbers = np.flatnonzero(draws.random(len(ids)) < 0.5)
    values = draws.random(numbers.size).astype(np.float32)
    some = groups.only(numbers)
    for one, other in zip(groups.sums_of(numbers, values), (some.ids, some.sums(values), some.counts), strict=True):
        assert one.tolist() == other.tolist()


def test_what_was_located_last_is_kept_for_the_same_activations_only() -> None:
    tokens: Any = SimpleNamespace(
        tokens=np.array([5, 6, 5, 7, 5, 5], dtype=np.uint16), context_starts=np.array([0, 2, 6])
    )
    locator = Locator(tokens)
    found = FeatureActivations(np.array([0, 2, 3]), np.ones(3, dtype=np.float32))
    located = locator.of(found)
    assert located.contexts.tolist() == [0, 1, 1]
    assert located.by_token.ids.tolist() == [5, 7]
    assert locator.of(found) is located
    other = FeatureActivations(np.array([1]), np.ones(1, dtype=np.float32))
    assert locator.of(other).contexts.tolist() == [0]
    assert locator.of(found) is not located
