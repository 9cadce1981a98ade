"""Pearson's correlation, the one definition of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["centred", "product_moment"]


def product_moment(left: Sequence[float], right: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """Return Pearson's correlation, from -1 to 1, of equally many values on both sides, each of which varies.

    With ``weights``, that of a population in which each pair is as frequent as its weight.
    """
    shares = [1.0] * len(left) if weights is None else weights
    x, y = centred(left, shares), centred(right, shares)
    product = math.fsum(w * one * other for w, one, other in zip(shares, x, y, strict=True))
    squares = [math.fsum(w * one * one for w, one in zip(shares, side, strict=True)) for side in (x, y)]
    return min(1.0, max(-1.0, product / (math.sqrt(squares[0]) * math.sqrt(squares[1]))))


def centred(values: Sequence[float], weights: Sequence[float] | None = None) -> list[float]:
    """Return the deviations from the mean in units of the largest, which keeps tiny ones from vanishing squared."""
    shares = [1.0] * len(values) if weights is None else weights
    mean = math.fsum(w * value for w, value in zip(shares, values, strict=True)) / math.fsum(shares)
    deviations = [value - mean for value in values]
    largest = max(abs(deviation) for deviation in deviations)
    return [deviation / largest for deviation in deviations]
