"""Confidence intervals of means over features, of paired differences, and of proportions of items.

The feature is the unit of sampling: a scorer's many questions about one feature are not independent, so they are first
reduced to one value per feature, and the interval is over those. No randomness is used; the order of values does not
matter, to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Estimate", "check_level", "mean_interval", "paired_interval", "wilson_interval"]

Key = TypeVar("Key")

_EQUAL = 1e-12
"""Values that differ by less than this share of the range differ by rounding only."""

_STUDENT = "student-t over features"

_OUTSIDE = 1e-6
"""A value may leave the range by this share of it, which is what float32 arithmetic does; it is then moved back."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its standard error and confidence interval. What is undefined is None.

    Attributes:
        n: How many values (features) it is of.
        mean: Their mean.
        se: Standard error of the mean; None for fewer than two values.
        level: Confidence level of the interval.
        low: Lower end.
        high: Upper end.
        method: How the interval was made, or why there is none.
    """

    n: int
    mean: float | None
    se: float | None
    level: float
    low: float | None
    high: float | None
    method: str


def mean_interval(values: Sequence[float], low: float, high: float, *, level: float = 0.95) -> Estimate:
    """Return the mean of ``values`` with a two-sided confidence interval that lies within [``low``, ``high``].

    With spread among the values: Student's t with n - 1 degrees of freedom, clipped to the range. Without any, t would
    claim certainty; then the interval is exact for what was not seen. Let a share q of the population differ from the
    common value c; n draws all miss it with probability (1-q)^n, so q <= p = 1 - (alpha/2)^(1/n) with confidence
    1 - alpha/2. At worst all of that share lies at one end of the range, which gives
    [c - p(c - low), c + p(high - c)]. For proportions at 0 or 1 this is the bound of Clopper and Pearson (Biometrika
    26, 1934).

    Args:
        values: One value per feature.
        low: Least possible value; ``-math.inf`` if there is none.
        high: Largest possible value; ``math.inf`` if there is none.
        level: Confidence level, between 0 and 1.

    Raises:
        ValueError: If a value is not a finite number or lies outside the range, or level or range make no sense.
    """
    check_level(level)
    if math.isnan(low) or math.isnan(high) or not low < high:
        message = f"[{low}, {high}] is not a range"
        raise ValueError(message)
    given = [_within(value, low, high) for value in values]
    n = len(given)
    if n == 0:
        return Estimate(0, None, None, level, None, None, "none: no values")
    mean = _clip(math.fsum(given) / n, min(given), max(given))
    if n == 1:
        return Estimate(1, mean, None, level, None, None, "none: one value has no spread")
    scale = high - low if math.isfinite(high - low) else max(1.0, abs(mean))
    if max(given) - min(given) <= _EQUAL * scale:
        return _without_spread(n, mean, low, high, level)
    se = math.sqrt(math.fsum((value - mean) ** 2 for value in given) / (n - 1) / n)
    half = _student_quantile(n - 1, (1 + level) / 2) * se
    return Estimate(n, mean, se, level, _clip(mean - half, low, high), _clip(mean + half, low, high), _STUDENT)


def paired_interval(
    a: Mapping[Key, float],
    b: Mapping[Key, float],
    low: float,
    high: float,
    *,
    level: float = 0.95,
) -> Estimate:
    """Return the mean of ``a[key] - b[key]`` over the keys that both have, with its interval (see ``mean_interval``).

    Args:
        a: Values by feature.
        b: Values by feature.
        low: Least possible value of one; differences so lie in [low - high, high - low].
        high: Largest possible value of one.
        level: Confidence level, between 0 and 1.

    Raises:
        ValueError: As ``mean_interval``.
    """
    differences = [_within(a[key], low, high) - _within(b[key], low, high) for key in a if key in b]
    estimate = mean_interval(differences, low - high, high - low, level=level)
    return Estimate(
        estimate.n, estimate.mean, estimate.se, level, estimate.low, estimate.high, f"paired {estimate.method}"
    )


def wilson_interval(successes: int, n: int, *, level: float = 0.95) -> Estimate:
    """Return a proportion of independent items with the score interval of Wilson (JASA 22, 1927).

    For items, not for features: several questions about one feature are not independent.

    Args:
        successes: How many of them.
        n: How many items.
        level: Confidence level, between 0 and 1.

    Raises:
        ValueError: If there are more successes than items, or fewer than none.
    """
    check_level(level)
    if not 0 <= successes <= n:
        message = f"{successes} successes among {n} items"
        raise ValueError(message)
    if n == 0:
        return Estimate(0, None, None, level, None, None, "none: no items")
    share = successes / n
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # The score bounds at none and all are 0 and 1 exactly; arithmetic misses them by a rounding.
    bottom = 0.0 if successes == 0 else max(0.0, centre - half)
    top = 1.0 if successes == n else min(1.0, centre + half)
    return Estimate(n, share, math.sqrt(share * (1 - share) / n), level, bottom, top, "wilson over items")


def _without_spread(n: int, mean: float, low: float, high: float, level: float) -> Estimate:
    if not (math.isfinite(low) and math.isfinite(high)):
        return Estimate(n, mean, 0.0, level, None, None, "none: all values equal and the range unbounded")
    unseen = -math.expm1(math.log((1 - level) / 2) / n)
    return Estimate(
        n,
        mean,
        0.0,
        level,
        _clip(mean - unseen * (mean - low), low, high),
        _clip(mean + unseen * (high - mean), low, high),
        "exact unseen-mass bound (all values equal)",
    )


def _student_quantile(degrees: int, probability: float) -> float:
    from scipy.special import stdtrit  # noqa: PLC0415  -- reading a stored leaderboard needs no SciPy

    return float(stdtrit(degrees, probability))


def _within(value: float, low: float, high: float) -> float:
    if not math.isfinite(value):
        message = f"{value} is not a finite number"
        raise ValueError(message)
    slack = _OUTSIDE * (high - low) if math.isfinite(high - low) else 0.0
    if not low - slack <= value <= high + slack:
        message = f"{value} is outside [{low}, {high}]"
        raise ValueError(message)
    return _clip(float(value), low, high)


def check_level(level: float) -> None:
    """Check that ``level`` is a confidence level.

    Raises:
        ValueError: If it is not between 0 and 1.
    """
    if not 0 < level < 1:
        message = f"{level} is not a confidence level"
        raise ValueError(message)


def _clip(value: float, low: float, high: float) -> float:
    return float(min(max(value, low), high))
