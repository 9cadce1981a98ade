"""Deciles of a feature's activating windows, over its whole distribution."""

from __future__ import annotations

import numpy as np

__all__ = ["DECILES", "Deciles", "decile_edges", "deciles", "ranks", "strongest_first"]

DECILES = 10


def ranks(strengths: np.ndarray) -> np.ndarray:
    """Return a number for each window, all different and the larger the stronger it is, int64 [n].

    Of equally strong windows the earlier one has the larger number.

    Args:
        strengths: Window maxima, above 0, float32 [n] with n below 2**32.
    """
    # The bits of a positive float32 order as the number does. With the window's number below them they make distinct
    # integers, and those sort several times faster than a stable sort of the floats.
    bits = strengths.astype(np.float32).view(np.int32).astype(np.int64)
    return (bits << 32) | np.arange(strengths.size - 1, -1, -1)


def strongest_first(strengths: np.ndarray) -> np.ndarray:
    """Return the numbers of the windows from the strongest down; of equally strong ones the earlier comes first.

    Args:
        strengths: Window maxima, above 0, float32 [n] with n below 2**32.
    """
    return (strengths.size - 1 - (np.sort(ranks(strengths)) & 0xFFFFFFFF))[::-1]


class Deciles:
    """The deciles of a distribution of window maxima, from one sort of them.

    Deciles hold equal numbers of windows (they differ by at most one) and are taken by rank; of equally strong windows
    the earlier ones are ranked higher.

    Args:
        strengths: Window maxima of all activating windows, both halves together, in corpus order, [n].
    """

    def __init__(self, strengths: np.ndarray) -> None:
        self._strengths = strengths
        self._ascending = np.sort(strengths)
        # The weakest of each of the deciles 2 to 10, by rank from 0; below ten windows some of them are the same.
        first = -(-np.arange(1, DECILES) * strengths.size // DECILES)
        self._first = first[first < strengths.size]

    @property
    def edges(self) -> tuple[float, ...]:
        """Return the weakest window maximum of each of the deciles 2 to 10, ascending; empty below ten windows."""
        if self._strengths.size < DECILES:
            return ()
        return tuple(float(edge) for edge in self._ascending[self._first])

    def levels(self) -> np.ndarray:
        """Return the decile of each window, 1 (weakest) to 10 (strongest), int8 [n]."""
        levels = self.of(self._strengths)
        size = self._strengths.size
        # Equally strong windows may lie on both sides of an edge; there the rank decides.
        edges = self._ascending[self._first]
        for edge in edges[np.diff(edges, prepend=0.0) > 0]:
            tied = np.flatnonzero(self._strengths == edge)
            last = int(np.searchsorted(self._ascending, edge, side="right"))
            levels[tied] = np.arange(last - 1, last - 1 - tied.size, -1) * DECILES // size + 1
        return levels

    def of(self, strengths: np.ndarray) -> np.ndarray:
        """Return the deciles that windows outside the distribution would have, int8 [n].

        It is the decile of the strongest window of the distribution that is no stronger; 1 where all are stronger, and
        10 for everything if the distribution is empty.
        """
        if not self._strengths.size:
            return np.full(strengths.size, DECILES, dtype=np.int8)
        levels = np.ones(strengths.size, dtype=np.int8)
        if self._strengths.size < DECILES:
            rank = np.searchsorted(self._ascending, strengths, side="right") - 1
            return (np.maximum(rank, 0) * DECILES // self._strengths.size + 1).astype(np.int8)
        for edge in self._ascending[self._first]:
            levels += strengths >= edge
        return levels


def deciles(strengths: np.ndarray) -> np.ndarray:
    """Return the decile of each window, 1 (weakest) to 10 (strongest), int8 [n]; see ``Deciles``."""
    return Deciles(strengths).levels()


def decile_edges(strengths: np.ndarray) -> tuple[float, ...]:
    """Return the weakest window maximum of each of the deciles 2 to 10, ascending; empty below ten windows."""
    return Deciles(strengths).edges
