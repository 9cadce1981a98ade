from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.seeding import derive_seed, generator

purposes = st.lists(st.text() | st.integers(), min_size=1, max_size=4)


@given(st.integers(), purposes)
def test_a_purpose_always_draws_the_same(root: int, purpose: list[str | int]) -> None:
    first = generator(root, *purpose).random(3).tolist()
    assert generator(root, *purpose).random(3).tolist() == first


@given(st.integers(), purposes, purposes)
def test_purposes_do_not_share_a_seed(root: int, a: list[str | int], b: list[str | int]) -> None:
    assert (derive_seed(root, *a) == derive_seed(root, *b)) == ([repr(x) for x in a] == [repr(x) for x in b])
