from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.subjects.protocol import InterventionMode
from harness.subjects.signed import by_polarity, keep, signed_change

POLARITIES = ["positive", "negative", "absolute"]
VALUES = st.lists(st.floats(-8, 8, width=32), max_size=6).map(lambda values: torch.tensor(values, dtype=torch.float32))


@pytest.mark.parametrize(
    ("polarity", "expected"),
    [("positive", [1.5, 0.0, 0.0]), ("negative", [0.0, 2.0, 0.0]), ("absolute", [1.5, 2.0, 0.0])],
)
def test_the_side_of_a_value_that_is_the_feature(polarity: str, expected: list[float]) -> None:
    assert by_polarity(torch.tensor([1.5, -2.0, 0.0]), polarity).tolist() == expected
    assert by_polarity(torch.tensor([1.5, -2.0, 0.0]).bfloat16(), polarity).dtype == torch.float32


@pytest.mark.parametrize(
    ("polarity", "mode", "expected"),
    [
        ("positive", "add", [4.0, 0.0, 2.0]),
        ("positive", "set", [2.0, 2.0, 2.0]),
        ("positive", "scale", [4.0, -2.0, 0.0]),
        ("positive", "ablate", [0.0, -2.0, 0.0]),
        ("negative", "add", [0.0, -4.0, -2.0]),
        ("negative", "set", [-2.0, -2.0, -2.0]),
        ("negative", "scale", [2.0, -4.0, 0.0]),
        ("negative", "ablate", [2.0, 0.0, 0.0]),
        ("absolute", "add", [4.0, 0.0, 2.0]),
        ("absolute", "set", [2.0, 2.0, 2.0]),
        ("absolute", "scale", [4.0, -4.0, 0.0]),
        ("absolute", "ablate", [0.0, 0.0, 0.0]),
    ],
)
def test_the_new_signed_values(polarity: str, mode: str, expected: list[float]) -> None:
    values = torch.tensor([2.0, -2.0, 0.0])
    assert (values + signed_change(values, polarity, InterventionMode(mode), 2.0)).tolist() == expected


@settings(deadline=None)
@given(values=VALUES, polarity=st.sampled_from(POLARITIES), strength=st.floats(0, 4, width=32))
def test_the_feature_becomes_what_the_mode_says(values: torch.Tensor, polarity: str, strength: float) -> None:
    old = by_polarity(values, polarity)
    wanted = {
        InterventionMode.SET: torch.full_like(old, strength),
        InterventionMode.SCALE: old * strength,
        InterventionMode.ABLATE: torch.zeros_like(old),
    }
    for mode, expected in wanted.items():
        new = by_polarity(values + signed_change(values, polarity, mode, strength), polarity)
        torch.testing.assert_close(new, expected, atol=1e-5, rtol=1e-5)
    moved = signed_change(values, polarity, InterventionMode.ADD, strength)
    active = old > 0 if polarity != "absolute" else values > 0
    new = by_polarity(values + moved, polarity)
    torch.testing.assert_close(new[active], old[active] + strength, atol=1e-5, rtol=1e-5)


@settings(deadline=None)
@given(
    features=st.lists(st.lists(st.floats(0, 4, width=32), min_size=3, max_size=3), min_size=1, max_size=5),
    kept=st.one_of(st.tuples(st.integers(1, 5), st.none()), st.tuples(st.none(), st.floats(0, 3, width=32))),
)
def test_what_is_kept_and_what_is_counted_are_all_that_is_active(
    features: list[list[float]], kept: tuple[int | None, float | None]
) -> None:
    dense = torch.tensor(features)
    found = keep(dense, *kept)
    assert torch.equal(dense[found.row, found.feature], found.value)
    assert torch.equal(found.row, found.row.sort(stable=True).values)
    assert (found.value > (kept[1] or 0.0)).all()
    assert len(found.row) + sum(found.dropped.values()) == int((dense > 0).sum())
    if kept[0] is not None:
        expected = (dense > 0).sum(-1).clamp(max=kept[0])
        assert torch.equal(torch.bincount(found.row, minlength=len(dense)), expected)
