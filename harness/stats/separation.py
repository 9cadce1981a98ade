"""How well the scores of one group stand above those of another, over features that have both."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, TypeVar

from harness.seeding import generator
from harness.stats.intervals import Estimate, check_level

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DRAWS", "separation"]

Key = TypeVar("Key", bound=str | int | tuple[str, int])

_EQUAL = 1e-12
_HALVINGS = 50
DRAWS = 2000
"""Bootstrap samples."""


def separation(
    upper: Mapping[Key, float], lower: Mapping[Key, float], *, seed: int, level: float = 0.95, draws: int = DRAWS
) -> Estimate:
    """Return the AUROC of ``upper`` over ``lower``, over the keys that both have, with a bootstrap interval.

    It is the probability that a value of ``upper`` is above one of ``lower``, ties half, over all pairs: 0.5 where the
    two cannot be told apart. A key (a feature) is the unit that is drawn again, with both of its values (percentile
    bootstrap over clusters; Efron and Tibshirani 1993, chapters 8 and 13). Near 0 and 1 few samples would differ, and
    the interval would claim certainty: one feature more, which ties with all, is among those that are drawn, as one
    adds successes and failures for a proportion (Agresti and Coull, The American Statistician 52, 1998). Where all
    samples agree all the same, the interval is that of Newcombe (Statistics in Medicine 25, 2006, method 5).

    Args:
        upper: Values by feature.
        lower: Values by feature.
        seed: Of the draws.
        level: Confidence level, between 0 and 1.
        draws: Bootstrap samples.

    Raises:
        ValueError: If a value is not finite or the level makes no sense.
    """
    import numpy as np  # noqa: PLC0415  -- reading a stored leaderboard needs no NumPy

    check_level(level)
    keys = sorted(key for key in upper if key in lower)
    n = len(keys)
    if not n:
        return Estimate(0, None, None, level, None, None, "none: no feature has both")
    above, below = (np.array([values[key] for key in keys], dtype=np.float64) for values in (upper, lower))
    if not (np.isfinite(above).all() and np.isfinite(below).all()):
        message = "a value is not a finite number"
        raise ValueError(message)
    wins = (above[:, None] > below[None, :]) + 0.5 * (above[:, None] == below[None, :])
    value = float(wins.mean())
    if n == 1:
        return Estimate(1, value, None, level, None, None, "none: one feature has no spread")
    padded = np.pad(wins, (0, 1), constant_values=0.5)
    counts = generator(seed, "separation", n).multinomial(n + 1, np.full(n + 1, 1 / (n + 1)), size=draws)
    sampled = ((counts @ padded) * counts).sum(axis=1) / (n + 1) ** 2
    low, high = (float(end) for end in np.quantile(sampled, [(1 - level) / 2, (1 + level) / 2]))
    method = f"bootstrap over features and a tie ({draws} samples)"
    if high - low <= _EQUAL:
        (low, high), method = _newcombe(value, n, level), "Newcombe's method 5 (all bootstrap samples equal)"
    return Estimate(n, value, float(sampled.std(ddof=1)), level, min(low, value), max(high, value), method)


def _newcombe(value: float, n: int, level: float) -> tuple[float, float]:
    """Return the two AUROCs from which ``value``, of two groups of ``n``, is just as far as the level allows."""
    z = NormalDist().inv_cdf((1 + level) / 2)

    def se(auroc: float) -> float:
        more = (n - 1) * ((1 - auroc) / (2 - auroc) + auroc / (1 + auroc))
        return math.sqrt(auroc * (1 - auroc) * (1 + more)) / n

    ends = []
    for end in (0.0, 1.0):
        near, far = value, end
        for _ in range(_HALVINGS):
            middle = (near + far) / 2
            near, far = (near, middle) if abs(value - middle) > z * se(middle) else (middle, far)
        ends.append(near)
    return ends[0], ends[1]
