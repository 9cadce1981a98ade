"""How well the scores of one group stand above those of another, over features that have both."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from harness.seeding import generator
from harness.stats.intervals import Estimate, check_level

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DRAWS", "separation"]

Key = TypeVar("Key", bound=str | int | tuple[str, int])

DRAWS = 2000
"""Bootstrap samples."""


def separation(
    upper: Mapping[Key, float], lower: Mapping[Key, float], *, seed: int, level: float = 0.95, draws: int = DRAWS
) -> Estimate:
    """Return the AUROC of ``upper`` over ``lower``, over the keys that both have, with a bootstrap interval.

    It is the probability that a value of ``upper`` is above one of ``lower``, ties half, over all pairs: 0.5 where the
    two cannot be told apart. A key (a feature) is the unit that is drawn again, with both of its values (percentile
    bootstrap over clusters; Efron and Tibshirani 1993, chapters 8 and 13). Where all samples agree the bootstrap would
    claim certainty: then, as a share p = 1 - (alpha/2)^(1/n) of the population may not have been seen, at worst with
    the opposite values, the interval is [c (1-p)^2, 1 - (1-c)(1-p)^2] about the value c.

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
    counts = generator(seed, "separation", n).multinomial(n, np.full(n, 1 / n), size=draws)
    sampled = ((counts @ wins) * counts).sum(axis=1) / n**2
    if float(sampled.max() - sampled.min()) <= 0:
        seen = math.exp(2 * math.log((1 - level) / 2) / n)
        low, high = value * seen, 1 - (1 - value) * seen
        return Estimate(n, value, 0.0, level, low, high, "exact unseen-mass bound (all samples equal)")
    low, high = (float(end) for end in np.quantile(sampled, [(1 - level) / 2, (1 + level) / 2]))
    return Estimate(
        n, value, float(sampled.std(ddof=1)), level, low, high, f"bootstrap over features ({draws} samples)"
    )
