from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.activations.positions import decode, encode, encoded_bytes


@st.composite
def ascending(draw: st.DrawFn) -> tuple[list[int], int]:
    universe = draw(st.one_of(st.integers(1, 300), st.integers(1, 2**33)))
    some = draw(st.sets(st.integers(0, universe - 1), max_size=200))
    return sorted(some), universe


@given(ascending())
def test_positions_come_back_from_their_code(case: tuple[list[int], int]) -> None:
    positions, universe = case
    code = encode(np.array(positions, dtype=np.int64), universe)
    assert code.dtype == np.uint8
    assert code.size == encoded_bytes(len(positions), universe)
    assert decode(code, len(positions), universe).tolist() == positions


@given(ascending())
def test_a_position_takes_two_bits_and_the_logarithm_of_the_mean_distance(case: tuple[list[int], int]) -> None:
    positions, universe = case
    if positions:
        bits = len(positions) * (2 + math.log2(universe / len(positions)))
        assert encoded_bytes(len(positions), universe) <= bits / 8 + 2


@pytest.mark.parametrize("universe", [64, 65, 1000])
def test_every_position(universe: int) -> None:
    everything = np.arange(universe)
    assert np.array_equal(decode(encode(everything, universe), universe, universe), everything)


def test_code_of_another_number_of_positions_is_refused() -> None:
    code = encode(np.arange(0, 1000, 7), 1000)
    with pytest.raises(ValueError, match=r"the code of 300 positions has \d+ bytes, and \d+ are there"):
        decode(code, 300, 1000)
    torn = code.copy()
    torn[-1] ^= 0x80
    with pytest.raises(ValueError, match="the code of 143 positions holds"):
        decode(torn, 143, 1000)
