"""Random non-activating windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from harness.examples.windows import FeatureWindows, Grid

__all__ = ["draw_silent"]


def draw_silent(
    grid: Grid, windows: FeatureWindows, in_half: np.ndarray, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, int]:
    """Return the starts of up to ``count`` silent windows of one half, in drawing order, and how many there were.

    They are drawn without replacement from the full windows of the grid, so they are as long as the activating ones.
    If there are fewer than asked for, those are all; no other kind of window takes their place.

    Args:
        grid: The windows of the corpus.
        windows: Those of the feature.
        in_half: Which windows of the grid are of the half, bool [grid].
        count: How many are wanted.
        generator: Where the draws come from.
    """
    candidates = np.flatnonzero(windows.silent & in_half)
    chosen = generator.choice(candidates, size=min(count, candidates.size), replace=False)
    return grid.starts[chosen], int(candidates.size)
