"""Cutting contexts into windows and finding those in which a feature fires. Everything is vectorised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.examples.deciles import strongest_first

if TYPE_CHECKING:
    from harness.activations.protocol import FeatureActivations, TokenReader

__all__ = ["FeatureWindows", "Grid", "peak_windows", "tile_grid", "tile_windows"]


@dataclass(frozen=True)
class Grid:
    """The fixed non-overlapping windows of a corpus: full ones only, from the start of each context.

    Attributes:
        width: Tokens per window.
        starts: First position of each window, int64 [n], ascending.
        documents: Document of each window, int64 [n].
        first: Number of each context's first window, and one past the last: int64 [n_contexts + 1].
        leftover_tokens: Tokens at the ends of contexts that fill no window.
    """

    width: int
    starts: np.ndarray
    documents: np.ndarray
    first: np.ndarray
    leftover_tokens: int


@dataclass(frozen=True)
class FeatureWindows:
    """The windows of one feature.

    Attributes:
        starts: First position of each activating window, int64 [n], ascending; windows do not overlap.
        documents: Its document, int64 [n].
        strengths: Its largest activation, float32 [n], all above 0.
        low: Number of its first kept activation, int64 [n].
        high: One past the number of its last one, int64 [n].
        silent: Which windows of the grid hold no kept activation and overlap no activating window, bool [grid].
    """

    starts: np.ndarray
    documents: np.ndarray
    strengths: np.ndarray
    low: np.ndarray
    high: np.ndarray
    silent: np.ndarray


def tile_grid(tokens: TokenReader, width: int) -> Grid:
    """Return the grid of windows of ``width`` tokens; it has none if every context is shorter."""
    lengths = np.diff(tokens.context_starts)
    per_context = lengths // width
    first = np.concatenate([[0], np.cumsum(per_context)]).astype(np.int64)
    context = np.repeat(np.arange(lengths.size), per_context)
    within = np.arange(first[-1]) - first[context]
    return Grid(
        width=width,
        starts=tokens.context_starts[context] + within * width,
        documents=tokens.context_documents[context],
        first=first,
        leftover_tokens=int(np.sum(lengths - per_context * width)),
    )


def tile_windows(grid: Grid, tokens: TokenReader, activations: FeatureActivations) -> FeatureWindows:
    """Return the windows of the grid in which the feature fires, and the silent ones."""
    windows, inside = _grid_windows(grid, tokens, activations.positions)
    first = _first_of_each(windows)
    counts = np.diff(np.append(first, windows.size))
    touched, low = windows[first], inside[first]
    strengths = np.maximum.reduceat(activations.values[inside], first) if first.size else activations.values[:0]
    silent = np.ones(grid.starts.size, dtype=np.bool_)
    silent[touched] = False
    # A source may keep negative values; a window with nothing above 0 is neither activating nor silent.
    fires = strengths > 0
    return FeatureWindows(
        starts=grid.starts[touched[fires]],
        documents=grid.documents[touched[fires]],
        strengths=strengths[fires],
        low=low[fires],
        high=(low + counts)[fires],
        silent=silent,
    )


def peak_windows(grid: Grid, tokens: TokenReader, activations: FeatureActivations, offset: int) -> FeatureWindows:
    """Return windows placed around the feature's peaks, and the silent windows of the grid.

    Each activation asks for the window that has it at ``offset``, moved inwards where that would leave the context. Of
    windows that overlap the strongest stays (ties: the first), strongest first, so none overlap in the end.
    """
    width = grid.width
    context = _contexts(tokens, activations.positions)
    begin, end = tokens.context_starts[context], tokens.context_starts[context + 1]
    usable = (activations.values > 0) & (end - begin >= width)
    begin, end, context = begin[usable], end[usable], context[usable]
    wished = np.clip(activations.positions[usable] - offset, begin, end - width)
    # Many windows are moved to the same place. Positions ascend, so the windows they ask for do, too.
    first = _first_of_each(wished)
    peaks = np.maximum.reduceat(activations.values[usable], first) if first.size else activations.values[:0]
    kept = first[_without_overlap(wished[first], peaks, width)]
    starts = wished[kept]
    low = np.searchsorted(activations.positions, starts)
    high = np.searchsorted(activations.positions, starts + width)
    return FeatureWindows(
        starts=starts,
        documents=tokens.context_documents[context[kept]],
        # Not the peak's own value: a stronger activation whose window had to go may lie in this one.
        strengths=_range_maxima(activations.values, low, high),
        low=low,
        high=high,
        silent=_silent(grid, tokens, activations.positions, starts),
    )


def _contexts(tokens: TokenReader, positions: np.ndarray) -> np.ndarray:
    """Return the context of each of the ascending ``positions``."""
    edges = np.searchsorted(positions, tokens.context_starts)
    return np.repeat(np.arange(edges.size - 1), np.diff(edges))


def _grid_windows(grid: Grid, tokens: TokenReader, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the window of each of the ascending ``positions`` that is in one, and the numbers of those."""
    context = _contexts(tokens, positions)
    windows = grid.first[context] + (positions - tokens.context_starts[context]) // grid.width
    inside = np.flatnonzero(windows < grid.first[context + 1])
    return windows[inside], inside


def _first_of_each(ascending: np.ndarray) -> np.ndarray:
    """Return the number of the first of each run of equal values."""
    return np.flatnonzero(np.diff(ascending, prepend=ascending[:1] - 1))


def _without_overlap(starts: np.ndarray, strengths: np.ndarray, width: int) -> np.ndarray:
    """Return the numbers of the windows that the greedy choice keeps, ascending.

    The greedy choice keeps a window as soon as it is the strongest of all that overlap it and are still there. Doing
    that for all such windows at once gives the same result, and takes at most as many rounds as windows fit into one
    context.
    """
    left = np.arange(starts.size)
    rank = np.empty_like(left)
    rank[strongest_first(strengths)[::-1]] = left
    # Those that overlap window i are low[i] to high[i]; i is above j's range exactly if j is below i's.
    high = np.searchsorted(starts, starts + width)
    low = np.cumsum(np.bincount(high, minlength=starts.size + 1))[:-1]
    kept: list[np.ndarray] = []
    while left.size:
        wins = _range_maxima(rank, low, high) == rank
        kept.append(left[wins])
        beaten = _running(wins)
        stays = beaten[high] == beaten[low]
        moved = _running(stays)
        left, rank = left[stays], rank[stays]
        low, high = moved[low[stays]], moved[high[stays]]
    return np.sort(np.concatenate(kept)) if kept else left


def _running(flags: np.ndarray) -> np.ndarray:
    """Return how many flags are set before each place, and in all: [n + 1]."""
    return np.concatenate([[0], np.cumsum(flags)])


def _range_maxima(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return ``max(values[low:high])`` of each pair; no range is empty.

    By doubling: the maximum of a range is that of the two runs of a power of two that cover it.
    """
    maxima = np.empty(low.size, dtype=values.dtype)
    if not low.size:
        return maxima
    levels = np.frexp((high - low).astype(np.float64))[1] - 1
    table = values
    for level in range(int(levels.max()) + 1):
        at = np.flatnonzero(levels == level)
        maxima[at] = np.maximum(table[low[at]], table[high[at] - (1 << level)])
        step = 1 << level
        if table.size > step:
            table = np.maximum(table[:-step], table[step:])
    return maxima


def _silent(grid: Grid, tokens: TokenReader, positions: np.ndarray, starts: np.ndarray) -> np.ndarray:
    silent = np.ones(grid.starts.size, dtype=np.bool_)
    silent[_grid_windows(grid, tokens, positions)[0]] = False
    # An activating window covers at most two windows of the grid: those its first and its last token are in.
    for covered in (starts, starts + grid.width - 1):
        silent[_grid_windows(grid, tokens, covered)[0]] = False
    return silent
