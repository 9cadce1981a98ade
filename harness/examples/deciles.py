"""Deciles of a feature's activating windows, over its whole distribution."""

from __future__ import annotations

import numpy as np

__all__ = ["DECILES", "decile_edges", "deciles"]

DECILES = 10


def deciles(strengths: np.ndarray) -> np.ndarray:
    """Return the decile of each window, 1 (weakest) to 10 (strongest), int64 [n].

    Deciles hold equal numbers of windows (they differ by at most one) and are taken by rank; of equally strong windows
    the earlier ones are ranked higher.

    Args:
        strengths: Window maxima of all activating windows, both halves together, in corpus order, [n].
    """
    order = np.lexsort((-np.arange(strengths.size), strengths))
    result = np.empty(strengths.size, dtype=np.int64)
    result[order] = np.arange(strengths.size) * DECILES // max(strengths.size, 1) + 1
    return result


def decile_edges(strengths: np.ndarray) -> tuple[float, ...]:
    """Return the weakest window maximum of each of the deciles 2 to 10, ascending; empty below ten windows."""
    if strengths.size < DECILES:
        return ()
    first = -(-np.arange(1, DECILES) * strengths.size // DECILES)
    return tuple(float(edge) for edge in np.sort(strengths)[first])
