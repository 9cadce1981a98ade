"""From a judge's scale to a feature's own units: a map fitted on windows that are not scored with it.

A judge predicts activations from 0 to 10, and a feature has units of its own. Errors can be measured only after the one
was mapped to the other, on held-out windows: a map fitted on what it is then scored on explains noise, and turns the
sign of predictions that run against the truth into credit.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from harness.scoring.correlation import CONSTANT_PREDICTION, CONSTANT_TRUTH, NO_PREDICTIONS, pearson

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Calibration", "Fitted", "fit_linear", "fit_percentiles"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A piecewise linear map that never falls, constant beyond its ends unless it is one straight line.

    Attributes:
        slope: Of the least-squares line from predictions to truth, whatever its sign: below 0, predictions run against
            the truth on the windows it was fitted on.
        intercept: Of the same line.
        knots: Predictions, ascending, and their values; empty for the straight line.
        mean: Of the truth it was fitted on.
    """

    slope: float
    intercept: float
    knots: tuple[tuple[float, float], ...] = ()
    mean: float = 0.0

    def __call__(self, predicted: float) -> float:
        """Return a prediction in the feature's units.

        A line that falls is not followed: it would give credit for being wrong. The mean truth is returned instead,
        which says nothing.
        """
        if self.knots:
            return _between(self.knots, predicted)
        return self.mean if self.slope <= 0 else self.intercept + self.slope * predicted


class Fitted(NamedTuple):
    """A calibration, or None and why there is none."""

    calibration: Calibration | None
    reason: str | None = None


def fit_linear(predicted: Sequence[float], truth: Sequence[float]) -> Fitted:
    """Return the least-squares line from predictions to truth.

    Bills et al. 2023, linear calibration; unlike there, a line that falls is not followed.
    """
    if not predicted:
        return Fitted(None, NO_PREDICTIONS)
    n = len(predicted)
    means = math.fsum(predicted) / n, math.fsum(truth) / n
    related = pearson(truth, predicted)
    if related.reason == CONSTANT_PREDICTION or min(predicted) == max(predicted):
        return Fitted(None, CONSTANT_PREDICTION)
    if related.reason == CONSTANT_TRUTH:
        return Fitted(None, CONSTANT_TRUTH)
    spread = math.fsum((p - means[0]) ** 2 for p in predicted)
    slope = math.fsum((p - means[0]) * (t - means[1]) for p, t in zip(predicted, truth, strict=True)) / spread
    return Fitted(Calibration(slope, means[1] - slope * means[0], mean=means[1]))


def fit_percentiles(predicted: Sequence[float], truth: Sequence[float]) -> Fitted:
    """Return the map from each prediction to the true value of the same rank, the mean of them for equal ones.

    Bills et al. 2023, percentile matching; there, one of the tied values is taken, and most predictions are tied at 0.
    """
    line = fit_linear(predicted, truth)
    if line.calibration is None:
        return line
    groups: dict[float, list[float]] = {}
    for prediction, value in zip(sorted(predicted), sorted(truth), strict=True):
        groups.setdefault(prediction, []).append(value)
    knots = tuple((prediction, math.fsum(values) / len(values)) for prediction, values in groups.items())
    fitted = line.calibration
    return Fitted(Calibration(fitted.slope, fitted.intercept, knots, fitted.mean))


def _between(knots: Sequence[tuple[float, float]], place: float) -> float:
    right = bisect_right(knots, place, key=lambda knot: knot[0])
    if right == 0:
        return knots[0][1]
    if right == len(knots):
        return knots[-1][1]
    (left_x, left_y), (right_x, right_y) = knots[right - 1], knots[right]
    return left_y + (right_y - left_y) * (place - left_x) / (right_x - left_x)
