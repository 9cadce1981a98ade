"""How well predicted activations agree with true ones, each measure named for what it is.

Pure functions of two equally long sequences. A measure that would divide by nothing is None, with the reason.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from harness.stats.product_moment import product_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Measure", "absdev_zero", "pearson", "r2_mean", "r2_zero"]

CONSTANT_TRUTH = "the true activations are all equal"
CONSTANT_PREDICTION = "the predictions are all equal"
NO_PREDICTIONS = "nothing was predicted"
_ROUNDING = 1e-12
"""Relative spread below which values that should be equal differ by rounding only."""


class Measure(NamedTuple):
    """A value, or None and why there is none."""

    value: float | None
    reason: str | None = None


def pearson(truth: Sequence[float], predicted: Sequence[float], weights: Sequence[float] | None = None) -> Measure:
    """Return Pearson's r; with ``weights``, that of a population in which each pair is as frequent as its weight.

    Raises:
        ValueError: If the sequences are not equally long.
    """
    _same_length(truth, predicted)
    if not truth:
        return Measure(None, NO_PREDICTIONS)
    weights = [1.0] * len(truth) if weights is None else weights
    _same_length(truth, weights)
    total = math.fsum(weights)
    if total <= 0:
        return Measure(None, NO_PREDICTIONS)
    for values, reason in zip((truth, predicted), (CONSTANT_TRUTH, CONSTANT_PREDICTION), strict=True):
        if _is_constant(values, weights, total):
            return Measure(None, reason)
    return Measure(product_moment(truth, predicted, weights))


def r2_zero(truth: Sequence[float], predicted: Sequence[float]) -> Measure:
    """Return 1 - sum (t - p)^2 / sum t^2: the share of the truth's energy about zero that is explained.

    Bills et al. 2023 call it explained variance.
    """
    return _explained(truth, predicted, lambda value: value * value, 0.0)


def r2_mean(truth: Sequence[float], predicted: Sequence[float]) -> Measure:
    """Return 1 - sum (t - p)^2 / sum (t - mean t)^2: the coefficient of determination."""
    return _explained(truth, predicted, lambda value: value * value, math.fsum(truth) / len(truth) if truth else 0.0)


def absdev_zero(truth: Sequence[float], predicted: Sequence[float]) -> Measure:
    """Return 1 - sum abs(t - p) / sum abs(t): the share of the truth's absolute deviation from zero explained."""
    return _explained(truth, predicted, abs, 0.0)


def _explained(
    truth: Sequence[float], predicted: Sequence[float], loss: Callable[[float], float], origin: float
) -> Measure:
    _same_length(truth, predicted)
    if not truth:
        return Measure(None, NO_PREDICTIONS)
    whole = math.fsum(loss(t - origin) for t in truth)
    if whole <= 0 or (origin and max(truth) == min(truth)):
        return Measure(None, CONSTANT_TRUTH)
    return Measure(1 - math.fsum(loss(t - p) for t, p in zip(truth, predicted, strict=True)) / whole)


def _is_constant(values: Sequence[float], weights: Sequence[float], total: float) -> bool:
    mean = math.fsum(w * value for w, value in zip(weights, values, strict=True)) / total
    present = [abs(value - mean) for value, w in zip(values, weights, strict=True) if w > 0]
    return max(present, default=0.0) <= _ROUNDING * max(abs(value) for value in values)


def _same_length(first: Sequence[float], second: Sequence[float]) -> None:
    if len(first) != len(second):
        message = f"{len(first)} values and {len(second)}"
        raise ValueError(message)
