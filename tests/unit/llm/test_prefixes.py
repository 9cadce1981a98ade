from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.llm.prefixes import SharedPrefix, common_length, shared_prefixes

# Few distinct tokens, so that beginnings are often shared.
SEQUENCES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8).map(tuple), min_size=1, max_size=7)


@given(st.lists(st.integers(0, 1)), st.lists(st.integers(0, 1)))
def test_the_common_length_is_the_longest(first: list[int], second: list[int]) -> None:
    length = common_length(first, second)
    assert first[:length] == second[:length]
    assert first[: length + 1] != second[: length + 1] or length == min(len(first), len(second))


@given(SEQUENCES, st.integers(1, 10))
def test_prefixes_are_shared_nested_and_leave_a_token(sequences: list[tuple[int, ...]], least: int) -> None:
    seen: list[SharedPrefix] = []
    for prefix in shared_prefixes(sequences, least):
        assert len({sequences[row][: prefix.length] for row in prefix.rows}) == 1
        assert len(prefix.rows) > 1
        assert all(len(sequences[row]) > prefix.length > 0 for row in prefix.rows)
        for earlier in seen:
            inside = set(prefix.rows) <= set(earlier.rows)
            assert inside or not set(prefix.rows) & set(earlier.rows)
            assert not inside or earlier.length < prefix.length
        seen.append(prefix)


@given(SEQUENCES, st.integers(1, 10))
def test_every_prefix_saves_what_it_must(sequences: list[tuple[int, ...]], least: int) -> None:
    prefixes = shared_prefixes(sequences, least)
    for number, prefix in enumerate(prefixes):
        base = max((each.length for each in prefixes[:number] if set(prefix.rows) <= set(each.rows)), default=0)
        assert (len(prefix.rows) - 1) * (prefix.length - base) >= least


def test_few_shots_and_each_explanation_are_prefixes() -> None:
    few_shots = tuple(range(100))
    sequences = [(*few_shots, *([explanation] * 40), item) for explanation in (7, 8) for item in (1, 2, 3)]
    found = shared_prefixes(sequences, 64)
    assert {(prefix.length, prefix.rows) for prefix in found} == {
        (100, (0, 1, 2, 3, 4, 5)),
        (140, (0, 1, 2)),
        (140, (3, 4, 5)),
    }
    assert found[0].length == 100


def test_what_is_known_need_not_be_shared_again() -> None:
    sequences = [(1, 2, 3, 4, 5), (1, 2, 3, 4, 6)]
    assert shared_prefixes(sequences, 2) == [SharedPrefix(4, (0, 1))]
    assert shared_prefixes(sequences, 2, known=lambda tokens: min(3, len(tokens))) == []


def test_equal_sequences_share_all_but_the_last_token() -> None:
    assert shared_prefixes([(1, 2, 3)] * 3, 1) == [SharedPrefix(2, (0, 1, 2))]
    assert shared_prefixes([(1,), (1,)], 1) == []
