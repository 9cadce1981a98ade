from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from harness.errors import FeatureSourceError
from harness.subjects import neighbours
from harness.subjects.neighbours import nearest_directions, require_directions

DIRECTIONS = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [1.0, 1.0], [-1.0, 0.0]])


def source(directions: torch.Tensor | None, side: str = "write") -> Any:
    def found(features: Any) -> torch.Tensor | None:
        return None if directions is None else directions[list(features)]

    given: dict[str, Any] = {"write_directions": lambda _: None, f"{side}_directions": found}
    return SimpleNamespace(n_features=5, kind="sae", hookpoint="here", **given)


@pytest.mark.parametrize("side", ["write", "read"])
def test_the_largest_cosines_first_and_never_itself(side: Any) -> None:
    first, third = nearest_directions(source(DIRECTIONS, side), [0, 2], 3, side)
    assert [feature for feature, _ in first] == [1, 3, 2]
    assert [cosine for _, cosine in first] == pytest.approx([1.0, 0.5**0.5, 0.0])
    assert [feature for feature, _ in third] == [3, 0, 1]


@pytest.mark.parametrize("at_once", [1, 2, 3, 99])
def test_equal_ones_come_by_number_however_many_are_looked_at_at_once(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "_AT_ONCE", at_once)
    same = torch.ones(6, 2)
    made = source(same)
    made.n_features = 6
    assert [feature for feature, _ in nearest_directions(made, [3], 4)[0]] == [0, 1, 2, 4]


def test_there_are_no_more_than_the_others() -> None:
    assert len(nearest_directions(source(DIRECTIONS), [4], 99)[0]) == 4


def test_a_source_that_writes_nothing_has_none() -> None:
    with pytest.raises(FeatureSourceError, match="writes no direction"):
        nearest_directions(source(None), [0], 1)


@pytest.mark.parametrize("given", [source(DIRECTIONS), source(None, "read")])
def test_a_source_that_is_read_along_no_directions_has_none(given: Any) -> None:
    with pytest.raises(FeatureSourceError, match="reads its features along none"):
        require_directions(given, "read")
