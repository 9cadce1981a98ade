"""Cutting contexts into windows and finding those in which a feature fires.

Everything is vectorised, and what is done for a feature is of the order of its activations, never of the corpus.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.activations.contexts import ContextIndex
from harness.examples.deciles import ranks

if TYPE_CHECKING:
    from harness.activations.located import Located
    from harness.activations.protocol import TokenReader

__all__ = ["FeatureWindows", "Grid", "peak_windows", "ranges", "tile_grid", "tile_windows"]


@dataclass(frozen=True)
class Grid:
    """The fixed non-overlapping windows of a corpus: full ones only, from the start of each context.

    Attributes:
        width: Tokens per window.
        starts: First position of each window, int64 [n], ascending.
        documents: Document of each window, int64 [n].
        first: Number of each context's first window, and one past the last: int64 [n_contexts + 1].
        shifts: What to add to a context's positions so that ``width`` divides them into window numbers, int64
            [n_contexts].
        ends: Position at which each context's last full window ends, int64 [n_contexts].
        contexts: Finds the context of a position.
        leftover_tokens: Tokens at the ends of contexts that fill no window.
    """

    width: int
    starts: np.ndarray
    documents: np.ndarray
    first: np.ndarray
    shifts: np.ndarray
    ends: np.ndarray
    contexts: ContextIndex
    leftover_tokens: int

    def windows_of(self, positions: np.ndarray, contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the window of each of the positions that are in one, and the numbers of those; None for all of them.

        Args:
            positions: Positions in the corpus, int64 [n].
            contexts: Their contexts, int64 [n].
        """
        inside: np.ndarray | None = None
        if self.leftover_tokens:
            inside = np.flatnonzero(positions < self.ends[contexts])
            positions, contexts = positions[inside], contexts[inside]
        return (positions + self.shifts[contexts]) // self.width, inside

    def windows_in(self, contexts: np.ndarray) -> np.ndarray:
        """Return the numbers of all windows of some ascending contexts, ascending."""
        return ranges(self.first[contexts], self.first[contexts + 1])


@dataclass(frozen=True)
class FeatureWindows:
    """The windows of one feature.

    Attributes:
        starts: First position of each activating window, int64 [n], ascending; windows do not overlap.
        documents: Its document, int64 [n].
        strengths: Its largest activation, float32 [n], all above 0.
        low: Number of its first kept activation, int64 [n].
        high: One past the number of its last one, int64 [n].
        touched: The windows of the grid that hold a kept activation or overlap an activating window, ascending, int64.
            The others are silent (of a feature of which contexts are sampled: the others in kept contexts).
    """

    starts: np.ndarray
    documents: np.ndarray
    strengths: np.ndarray
    low: np.ndarray
    high: np.ndarray
    touched: np.ndarray


def tile_grid(tokens: TokenReader, width: int, index: ContextIndex | None = None) -> Grid:
    """Return the grid of windows of ``width`` tokens; it has none if every context is shorter.

    Args:
        tokens: The corpus.
        width: Tokens per window.
        index: Its contexts, if somebody has the index already.
    """
    index = index or ContextIndex(tokens.context_starts)
    lengths = np.diff(index.starts)
    per_context = lengths // width
    first = np.concatenate([[0], np.cumsum(per_context)]).astype(np.int64)
    context = np.repeat(np.arange(lengths.size), per_context)
    within = np.arange(first[-1]) - first[context]
    return Grid(
        width=width,
        starts=index.starts[context] + within * width,
        documents=np.asarray(tokens.context_documents)[context],
        first=first,
        shifts=first[:-1] * width - index.starts[:-1],
        ends=index.starts[:-1] + per_context * width,
        contexts=index,
        leftover_tokens=int(np.sum(lengths - per_context * width)),
    )


def tile_windows(grid: Grid, located: Located) -> FeatureWindows:
    """Return the windows of the grid in which the feature fires, and those it touches."""
    positions, values = located.found.positions, located.found.values
    windows, inside = grid.windows_of(positions, located.contexts)
    if inside is not None:
        values = values[inside]
    first = _first_of_each(windows)
    # The activations of a window have adjacent numbers, those in no window are between them.
    low = first if inside is None else inside[first]
    high = low + np.diff(first, append=windows.size)
    touched = windows[first]
    strengths = np.maximum.reduceat(values, first) if first.size else values[:0]
    # A source may keep negative values; a window with nothing above 0 is neither activating nor silent.
    fires = strengths > 0
    activating = touched
    if not fires.all():
        activating, strengths, low, high = touched[fires], strengths[fires], low[fires], high[fires]
    return FeatureWindows(
        starts=grid.starts[activating],
        documents=grid.documents[activating],
        strengths=strengths,
        low=low,
        high=high,
        touched=touched,
    )


def peak_windows(grid: Grid, tokens: TokenReader, located: Located, offset: int) -> FeatureWindows:
    """Return windows placed around the feature's peaks, and the windows of the grid that it or they touch.

    Each activation asks for the window that has it at ``offset``, moved inwards where that would leave the context. Of
    windows that overlap the strongest stays (ties: the first), strongest first, so none overlap in the end.
    """
    width, activations, context = grid.width, located.found, located.contexts
    held = grid.windows_of(activations.positions, context)[0]
    begin, end = grid.contexts.starts[context], grid.contexts.starts[context + 1]
    usable = (activations.values > 0) & (end - begin >= width)
    begin, end, context = begin[usable], end[usable], context[usable]
    wished = np.clip(activations.positions[usable] - offset, begin, end - width)
    # Many windows are moved to the same place. Positions ascend, so the windows they ask for do, too.
    first = _first_of_each(wished)
    peaks = np.maximum.reduceat(activations.values[usable], first) if first.size else activations.values[:0]
    kept = first[_without_overlap(wished[first], peaks, width)]
    starts, context = wished[kept], context[kept]
    # An activating window covers at most two windows of the grid: those its first and its last token are in.
    covered = np.stack([starts, starts + width - 1], axis=1).reshape(-1)
    overlapped = grid.windows_of(covered, np.repeat(context, 2))[0]
    low = np.searchsorted(activations.positions, starts)
    high = np.searchsorted(activations.positions, starts + width)
    return FeatureWindows(
        starts=starts,
        documents=np.asarray(tokens.context_documents)[context],
        # Not the peak's own value: a stronger activation whose window had to go may lie in this one.
        strengths=_range_maxima(activations.values, low, high),
        low=low,
        high=high,
        touched=_union(held, overlapped),
    )


def ranges(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the numbers from each of ``low`` to before each of ``high``, one range after the other, int64."""
    lengths = high - low
    ends = np.cumsum(lengths)
    return np.repeat(low - (ends - lengths), lengths) + np.arange(int(ends[-1]) if ends.size else 0)


def _union(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the values that are in either of two ascending arrays, each once, ascending."""
    together = np.sort(np.concatenate([part[_first_of_each(part)] for part in (one, other)]))
    union: np.ndarray = together[_first_of_each(together)]
    return union


def _first_of_each(ascending: np.ndarray) -> np.ndarray:
    """Return the number of the first of each run of equal values."""
    begins = np.ones(ascending.size, dtype=np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=begins[1:])
    return np.flatnonzero(begins)


def _without_overlap(starts: np.ndarray, strengths: np.ndarray, width: int) -> np.ndarray:
    """Return the numbers of the windows that the greedy choice keeps, ascending.

    The greedy choice keeps a window as soon as it is the strongest of all that overlap it and are still there. Doing
    that for all such windows at once gives the same result, and takes at most as many rounds as windows fit into one
    context.
    """
    left = np.arange(starts.size)
    rank = ranks(strengths)
    # Those that overlap window i are low[i] to high[i]; i is above j's range exactly if j is below i's.
    high = np.searchsorted(starts, starts + width)
    low = np.cumsum(np.bincount(high, minlength=starts.size + 1))[:-1]
    kept: list[np.ndarray] = []
    while left.size:
        wins = _range_maxima(rank, low, high) == rank
        kept.append(left[wins])
        beaten = _running(wins)
        stays = np.flatnonzero(beaten[high] == beaten[low])
        if not stays.size:
            break
        low, high = low[stays], high[stays]
        before = np.zeros(left.size + 1, dtype=np.int64)
        before[stays + 1] = 1
        np.cumsum(before, out=before)
        left, rank = left[stays], rank[stays]
        low, high = before[low], before[high]
    return np.sort(np.concatenate(kept)) if kept else left


def _running(flags: np.ndarray) -> np.ndarray:
    """Return how many flags are set before each place, and in all: [n + 1]."""
    return np.concatenate([[0], np.cumsum(flags)])


def _range_maxima(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return ``max(values[low:high])`` of each pair; no range is empty, and ``low`` ascends."""
    if not low.size:
        return values[:0]
    # What lies from the end of one range to the begin of the next is looked at too, and thrown away.
    bounds = np.stack([low, high], axis=1).reshape(-1)
    maxima: np.ndarray = np.maximum.reduceat(np.append(values, values[-1]), bounds)[::2]
    return maxima
