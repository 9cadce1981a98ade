"""Signed Gini and average precision with weights, what they are without any signal, and their intervals. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.api import generator

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Comparison",
    "average_precision",
    "interval",
    "precision_without_signal",
    "signed_above_null",
    "signed_gini",
    "size_without_signal",
    "unsigned_above_null",
]

_LEVEL = 0.95
_ROUNDING = 1e-9
_BISECTIONS = 50
Statistic = Callable[["_Coded"], float]


@dataclass(frozen=True)
class Comparison:
    """Values of texts that hold the concept and of texts that do not.

    Attributes:
        positive: Values of those that do.
        negative: Values of those that do not.
        positive_weights: What each stands for; None for one each.
        negative_weights: As above.
    """

    positive: Sequence[float]
    negative: Sequence[float]
    positive_weights: Sequence[float] | None = None
    negative_weights: Sequence[float] | None = None

    @property
    def prevalence(self) -> float | None:
        """Return the share of the positive ones, by weight; None if there is nothing."""
        positive = math.fsum(self.positive_weights or [1.0] * len(self.positive))
        total = positive + math.fsum(self.negative_weights or [1.0] * len(self.negative))
        return positive / total if total else None

    def sizes(self) -> tuple[int, int]:
        """Return how many texts of either side have any weight."""
        coded = self._coded()
        one, other = (int((coded.weights[side] > 0).sum()) for side in (coded.truth, ~coded.truth))
        return one, other

    def _coded(self) -> _Coded:
        values = np.asarray([*self.positive, *self.negative], dtype=np.float64)
        truth = np.arange(values.size) < len(self.positive)
        weights = np.ones(values.size)
        if self.positive_weights is not None:
            weights[truth] = self.positive_weights
        if self.negative_weights is not None:
            weights[~truth] = self.negative_weights
        levels, codes = np.unique(values, return_inverse=True)
        return _Coded(codes.reshape(-1), truth, weights, levels.size)


@dataclass(frozen=True)
class _Coded:
    """The values as their ranks among the distinct values: codes int64 [n], truth bool [n], weights float64 [n]."""

    codes: np.ndarray
    truth: np.ndarray
    weights: np.ndarray
    levels: int

    def histograms(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the weight of positive and of negative texts at each distinct value, lowest first."""
        sides = (self.truth, ~self.truth)
        one, other = (
            np.bincount(self.codes[side], weights=self.weights[side], minlength=self.levels) for side in sides
        )
        return one, other

    def reordered(self, order: np.ndarray) -> _Coded:
        """Return the same with the values dealt out anew; sides and weights stay where they are."""
        return _Coded(self.codes[order], self.truth, self.weights, self.levels)

    def chosen(self, places: np.ndarray) -> _Coded:
        """Return some of the texts, any of them several times."""
        return _Coded(self.codes[places], self.truth[places], self.weights[places], self.levels)


def signed_gini(comparison: Comparison) -> float:
    """Return 2 AUROC - 1, ties half: 1 where every positive is above every negative, -1 where all are below.

    Both sides must have weight (``Comparison.sizes``).
    """
    return _gini(comparison._coded())  # noqa: SLF001  -- one module


def average_precision(comparison: Comparison) -> float:
    """Return the sum over distinct values, largest first, of precision times the gain in recall.

    Equal values are one step, so their order does not matter. Both sides must have weight.
    """
    return _precision(comparison._coded())  # noqa: SLF001  -- one module


def size_without_signal(comparison: Comparison, draws: int, seed: int) -> float:
    """Return the mean of ``abs(signed_gini)`` if values are dealt out anew: what few texts give by luck alone."""
    return float(np.mean(np.abs(_permuted(comparison, _gini, draws, seed))))


def precision_without_signal(comparison: Comparison, draws: int, seed: int) -> np.ndarray:
    """Return ``average_precision`` with the values dealt out anew, float64 [draws]; its mean is near the prevalence."""
    return _permuted(comparison, _precision, draws, seed)


def interval(comparison: Comparison, *, precision: bool, draws: int, seed: int) -> tuple[float | None, float | None]:
    """Return the central 95 % of the statistic over resamples of the texts of each side (percentile bootstrap)."""
    coded = comparison._coded()  # noqa: SLF001  -- one module
    rng = generator(seed, "interval")
    sides = [np.flatnonzero(coded.truth), np.flatnonzero(~coded.truth)]
    statistic: Statistic = _precision if precision else _gini
    found = []
    for _ in range(draws):
        drawn = coded.chosen(np.concatenate([side[rng.integers(side.size, size=side.size)] for side in sides]))
        # A resample may hold none of the few texts that have weight.
        if all(drawn.weights[side].sum() > 0 for side in (drawn.truth, ~drawn.truth)):
            found.append(statistic(drawn))
    if not found:
        return None, None
    low, high = np.quantile(found, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)


def signed_above_null(value: float, null: float) -> float | None:
    """Return how much of what is possible beyond ``null`` the size of ``value`` reaches, with its sign, or 0.

    None where luck alone gives the largest value there is.
    """
    if null >= 1:
        return None
    return math.copysign(max(0.0, (abs(value) - null) / (1 - null)), value)


def unsigned_above_null(value: float, lucky: np.ndarray) -> float | None:
    """Return how much of what is possible beyond luck ``value`` reaches: at most 1, at least -1, and 0 by luck.

    That is (value - mean) / (1 - mean), as in indices corrected for chance (Hubert and Arabie, Journal of
    Classification 2, 1985). Where luck alone gives nearly all there is, as average precision does for a common concept,
    it goes far below -1, and cut off there its mean by luck would lie above 0. So it is cut off higher up, and what
    that adds to the mean is taken out again: at just the floor from which the least value is then -1.

    Args:
        value: What was measured.
        lucky: The same without any signal, one number for each draw.

    Returns:
        None where half of the draws or more give the largest value there is: nothing on such a scale has mean 0.
    """
    null = float(np.mean(lucky))
    if null >= 1:
        return None
    shares = (lucky - null) / (1 - null)
    floor = _floor(shares)
    if floor is None:
        return None
    mean = float(np.mean(np.maximum(shares, floor)))
    beyond = (max(floor, (value - null) / (1 - null)) - mean) / (1 - mean)
    return min(1.0, max(-1.0, beyond))


def _floor(shares: np.ndarray) -> float | None:
    """Return the floor from -1 to below 1 that is (floor - mean) / (1 - mean) = -1 with the mean of what is above it.

    The distance of floor + 1 from twice that mean is concave, so it has one root, below the median; None if it has
    none.
    """

    def off(floor: float) -> float:
        return floor + 1 - 2 * float(np.mean(np.maximum(shares, floor)))

    low, high = -1.0, float(np.median(shares))
    if off(low) >= -_ROUNDING:
        return low
    if off(high) <= _ROUNDING:
        return None
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if off(middle) < 0 else (low, middle)
    return high


def _permuted(comparison: Comparison, statistic: Statistic, draws: int, seed: int) -> np.ndarray:
    coded = comparison._coded()  # noqa: SLF001  -- one module
    rng = generator(seed, "null")
    return np.asarray([statistic(coded.reordered(rng.permutation(coded.codes.size))) for _ in range(draws)])


def _gini(coded: _Coded) -> float:
    positive, negative = coded.histograms()
    below = np.cumsum(negative) - negative / 2
    area = float(positive @ below) / (float(positive.sum()) * float(negative.sum()))
    return min(1.0, max(-1.0, 2 * area - 1))


def _precision(coded: _Coded) -> float:
    positive, negative = (side[::-1] for side in coded.histograms())
    held, seen = np.cumsum(positive), np.cumsum(positive + negative)
    precision = np.divide(held, seen, out=np.zeros_like(held), where=seen > 0)
    return min(1.0, float(positive @ precision) / float(positive.sum()))
