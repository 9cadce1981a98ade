"""Correlations between two measures of the same features, with intervals over features.

Two ways of making an interval are used, each where it holds:

- A bootstrap over features, from 20 shared features on. Scores pile up at the ends of their range and tie, so the
  normality that Fisher's z takes for granted is not given; resampling whole features asks for none.
- Fisher's z below that, where resamples repeat so few features that their spread is too small. For ranks the variance
  is that of Bonett and Wright (Psychometrika 65, 2000), (1 + r^2 / 2) / (n - 3); for values Fisher's 1 / (n - 3).

``Correlation.method`` says which it was. Draws depend on the seed only, and the order of features does not matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, TypeVar

from harness.seeding import generator
from harness.stats.product_moment import centred, product_moment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

__all__ = ["MIN_SHARED", "Correlation", "average_ranks", "pearson_interval", "spearman_interval"]

Key = TypeVar("Key")

MIN_SHARED = 4
"""Fewest shared features that a correlation is given for; Fisher's z has no variance below."""

_MIN_BOOTSTRAP = 20
_RESAMPLES = 1000
_CELLS = 1_000_000
"""Most values resampled at once, which bounds memory however many features there are."""

_EQUAL = 1e-12
"""Relative spread, and distance of a correlation from 1, below which there is only rounding."""

_LOST = 0.01
"""Share of resamples without spread from which on a bootstrap is not used."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """A correlation with its confidence interval. What is undefined is None.

    Attributes:
        n: How many features both measures have.
        value: The correlation, from -1 to 1.
        level: Confidence level of the interval.
        low: Lower end.
        high: Upper end.
        method: How the interval was made, or why there is none.
    """

    n: int
    value: float | None
    level: float
    low: float | None
    high: float | None
    method: str


def pearson_interval(
    a: Mapping[Key, float], b: Mapping[Key, float], *, level: float = 0.95, seed: int = 0
) -> Correlation:
    """Return Pearson's correlation of ``a`` and ``b`` over the keys both have, with its interval.

    Args:
        a: Values by feature.
        b: Values by feature.
        level: Confidence level, between 0 and 1.
        seed: Root of the bootstrap's draws.

    Raises:
        ValueError: If a shared value is not a finite number or the level makes no sense.
    """
    return _correlation(a, b, ranked=False, level=level, seed=seed)


def spearman_interval(
    a: Mapping[Key, float], b: Mapping[Key, float], *, level: float = 0.95, seed: int = 0
) -> Correlation:
    """Return Spearman's rank correlation, ties given their average rank; otherwise as ``pearson_interval``."""
    return _correlation(a, b, ranked=True, level=level, seed=seed)


def average_ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of every value from 1 for the smallest; equal values share the mean of their ranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    first = 0
    while first < len(order):
        last = first
        while last + 1 < len(order) and values[order[last + 1]] == values[order[first]]:
            last += 1
        for place in order[first : last + 1]:
            ranks[place] = (first + last) / 2 + 1
        first = last + 1
    return ranks


def _correlation(
    a: Mapping[Key, float], b: Mapping[Key, float], *, ranked: bool, level: float, seed: int
) -> Correlation:
    if not 0 < level < 1:
        message = f"{level} is not a confidence level"
        raise ValueError(message)
    # Sorted, so that the draws of the bootstrap fall on the same features in any order of the mappings.
    pairs = sorted((_finite(a[key]), _finite(b[key])) for key in a if key in b)
    n = len(pairs)
    if n < MIN_SHARED:
        return _undefined(n, level, f"{n} shared features, at least {MIN_SHARED} are needed")
    left, right = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    for side, values in (("first", left), ("second", right)):
        if _constant(values):
            return _undefined(n, level, f"the {side} measure is the same on all shared features")
    if ranked:
        left, right = average_ranks(left), average_ranks(right)
    r = product_moment(left, right)
    if abs(r) >= 1 - _EQUAL:
        return Correlation(n, math.copysign(1.0, r), level, None, None, "none: a perfect correlation has no spread")
    ends = _bootstrap(left, right, ranked=ranked, level=level, seed=seed) if n >= _MIN_BOOTSTRAP else None
    if ends is not None:
        # Of few distinct values all resamples can lie on one side of the correlation itself.
        return Correlation(n, r, level, min(ends[0], r), max(ends[1], r), "bootstrap over features")
    low, high = _fisher(r, n, ranked=ranked, level=level)
    return Correlation(n, r, level, low, high, "fisher z over features")


def _undefined(n: int, level: float, why: str) -> Correlation:
    return Correlation(n, None, level, None, None, f"none: {why}")


def _finite(value: float) -> float:
    if not math.isfinite(value):
        message = f"{value} is not a finite number"
        raise ValueError(message)
    return float(value)


def _constant(values: Sequence[float]) -> bool:
    low, high = min(values), max(values)
    return high - low <= _EQUAL * max(abs(low), abs(high))


def _fisher(r: float, n: int, *, ranked: bool, level: float) -> tuple[float, float]:
    variance = (1 + r * r / 2 if ranked else 1.0) / (n - 3)
    half = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(variance)
    return math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)


def _bootstrap(
    left: Sequence[float], right: Sequence[float], *, ranked: bool, level: float, seed: int
) -> tuple[float, float] | None:
    """Return the percentile interval over resamples of features; None if too many resamples have no spread."""
    import numpy as np  # noqa: PLC0415  -- reading a stored leaderboard needs no NumPy

    rng = generator(seed, "correlation bootstrap")
    x, y = np.asarray(centred(left)), np.asarray(centred(right))
    at_once = max(1, _CELLS // len(x))
    found: list[float] = []
    for begun in range(0, _RESAMPLES, at_once):
        places = rng.integers(len(x), size=(min(at_once, _RESAMPLES - begun), len(x)))
        found += _row_correlations(x[places], y[places], ranked=ranked)
    if len(found) < (1 - _LOST) * _RESAMPLES:
        return None
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return low, high


def _row_correlations(x: np.ndarray, y: np.ndarray, *, ranked: bool) -> list[float]:
    """Return the correlation of each row of ``x`` with that of ``y`` [resamples, features], of rows with spread."""
    spread = (x.max(axis=1) > x.min(axis=1)) & (y.max(axis=1) > y.min(axis=1))
    x, y = x[spread], y[spread]
    if ranked:
        from scipy.stats import rankdata  # noqa: PLC0415  -- as NumPy

        x, y = rankdata(x, axis=1), rankdata(y, axis=1)
    x = x - x.mean(axis=1, keepdims=True)
    y = y - y.mean(axis=1, keepdims=True)
    lengths = ((x * x).sum(axis=1) * (y * y).sum(axis=1)) ** 0.5
    values: list[float] = ((x * y).sum(axis=1) / lengths).clip(-1.0, 1.0).tolist()
    return values
