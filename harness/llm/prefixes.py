"""Which beginnings several token sequences share, and which of them are worth computing once. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["SharedPrefix", "common_length", "shared_prefixes"]


@dataclass(frozen=True, slots=True)
class SharedPrefix:
    """A beginning that several sequences share.

    Attributes:
        length: Tokens of it.
        rows: Numbers of the sequences that begin so, at least two, ascending.
    """

    length: int
    rows: tuple[int, ...]


def common_length(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens two sequences of the same kind have in common at their beginnings."""
    low, high = 0, min(len(first), len(second))
    # Comparing slices runs in C; a loop over tokens would be the slowest part of choosing a batch.
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def shared_prefixes(
    sequences: Sequence[tuple[int, ...]], least_saved: int, known: Callable[[tuple[int, ...]], int] = lambda _: 0
) -> list[SharedPrefix]:
    """Return the beginnings worth computing once, shorter ones before the longer ones that extend them.

    A sequence is never a prefix as a whole: its last token is left to be computed with the sequence itself.

    Args:
        sequences: Token sequences, none empty.
        least_saved: Fewest tokens that computing a beginning once must save.
        known: Returns how many first tokens of a sequence need no computing at all.
    """
    found: list[SharedPrefix] = []
    order = sorted(range(len(sequences)), key=lambda row: sequences[row])
    # (rows in lexicographic order, tokens already had)
    stack = [(order, 0)]
    while stack:
        rows, had = stack.pop()
        if len(rows) < 2:  # noqa: PLR2004 -- one sequence shares nothing
            continue
        # In lexicographic order the first and the last differ the most.
        common = common_length(sequences[rows[0]], sequences[rows[-1]])
        length = min(common, min(len(sequences[row]) for row in rows) - 1)
        base = max(had, min(known(sequences[rows[0]][:length]), length))
        if (len(rows) - 1) * (length - base) >= least_saved:
            found.append(SharedPrefix(length, tuple(sorted(rows))))
            base = length
        longer = [row for row in rows if len(sequences[row]) > common]
        groups = groupby(longer, key=lambda row: sequences[row][common])
        stack += [(list(group), base) for _, group in groups]
    return found
