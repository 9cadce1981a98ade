"""Random non-activating windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["HalfWindows", "draw_silent", "halves_of"]


@dataclass(frozen=True)
class HalfWindows:
    """The windows of the grid that are in one half of the corpus.

    Attributes:
        members: Whether each window of the grid is one of them, bool [grid].
        windows: Their numbers, int64 [n], ascending.
        ranks: How many of them come before each window of the grid, int64 [grid].
    """

    members: np.ndarray
    windows: np.ndarray
    ranks: np.ndarray


def halves_of(in_explain: np.ndarray) -> dict[str, HalfWindows]:
    """Return the windows of the two halves, by name.

    Args:
        in_explain: Whether each window of the grid is in the explain half, bool [grid].
    """
    halves = {}
    for name, members in (("explain", in_explain), ("score", ~in_explain)):
        halves[name] = HalfWindows(members, np.flatnonzero(members), np.cumsum(members) - members)
    return halves


def draw_silent(
    half: HalfWindows,
    touched: np.ndarray,
    count: int,
    generator: np.random.Generator,
    *,
    known: np.ndarray | None = None,
) -> tuple[np.ndarray, int]:
    """Return up to ``count`` silent windows of one half, in drawing order, and how many there are.

    They are drawn without replacement from the full windows of the grid, so they are as long as the activating ones.
    If there are fewer than asked for, those are all; no other kind of window takes their place.

    What is drawn are ranks among the silent windows, in corpus order. The silent windows themselves are never listed:
    there are about as many as the corpus has windows, whatever the feature.

    Args:
        half: The windows of the half.
        touched: The windows of the grid that are not silent, ascending.
        count: How many are wanted.
        generator: Where the draws come from.
        known: The only windows of the grid that may be drawn, ascending; None for all of them.
    """
    touched = touched[half.members[touched]]
    if known is not None:
        windows = np.setdiff1d(known[half.members[known]], touched, assume_unique=True)
        return windows[_ranks(windows.size, count, generator)], int(windows.size)
    size = int(half.windows.size - touched.size)
    ranks = _ranks(size, count, generator)
    # Before the touched window number i there are so many silent ones; those are the windows to step over.
    silent_before = half.ranks[touched] - np.arange(touched.size)
    return half.windows[ranks + np.searchsorted(silent_before, ranks, side="right")], size


def _ranks(size: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """Return up to ``count`` different numbers below ``size``: what drawing from a list of that size draws."""
    return generator.choice(size, size=min(count, size), replace=False)
