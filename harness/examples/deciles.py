"""Deciles of a feature's activating windows, over its whole distribution."""

from __future__ import annotations

import numpy as np

__all__ = ["DECILES", "decile_edges", "deciles", "strongest_first"]

DECILES = 10


def strongest_first(strengths: np.ndarray) -> np.ndarray:
    """Return the numbers of the windows from the strongest down; of equally strong ones the earlier comes first.

    Args:
        strengths: Window maxima, above 0, float32 [n] with n below 2**32.
    """
    # The bits of a positive float32 order as the number does. With the window's number below them they make distinct
    # integers, and those sort several times faster than a stable sort of the floats.
    bits = strengths.astype(np.float32).view(np.int32).astype(np.int64)
    packed = np.sort((bits << 32) | np.arange(strengths.size)[::-1])
    return (strengths.size - 1 - (packed & 0xFFFFFFFF))[::-1]


def deciles(strengths: np.ndarray) -> np.ndarray:
    """Return the decile of each window, 1 (weakest) to 10 (strongest), int64 [n].

    Deciles hold equal numbers of windows (they differ by at most one) and are taken by rank; of equally strong windows
    the earlier ones are ranked higher.

    Args:
        strengths: Window maxima of all activating windows, both halves together, in corpus order, [n].
    """
    order = strongest_first(strengths)[::-1]
    result = np.empty(strengths.size, dtype=np.int64)
    result[order] = np.arange(strengths.size) * DECILES // max(strengths.size, 1) + 1
    return result


def decile_edges(strengths: np.ndarray) -> tuple[float, ...]:
    """Return the weakest window maximum of each of the deciles 2 to 10, ascending; empty below ten windows."""
    if strengths.size < DECILES:
        return ()
    first = -(-np.arange(1, DECILES) * strengths.size // DECILES)
    return tuple(float(edge) for edge in np.sort(strengths)[first])
