"""How much steering raises the share of continuations that show a concept, and what luck alone would give. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.api import generator
from harness_fade.numbers import unsigned_above_null

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Effect", "effect", "largest_rise", "share"]

NO_ROOM = "all continuations of the baseline show the concept already, so that none can be gained"
NO_LUCK = "with so few continuations luck alone often gives the largest value there is"


@dataclass(frozen=True, slots=True)
class Effect:
    """The largest rise over a baseline beyond luck, None with ``reason`` where it is undefined.

    Attributes:
        above_null: What of the possible rise is reached beyond luck; 0 is what steering without effect gives.
        rise: The largest rise as it is.
        null: Its mean if ratings are dealt out anew.
        reason: Why there is none.
    """

    above_null: float | None = None
    rise: float | None = None
    null: float | None = None
    reason: str | None = None


def share(shown: Sequence[bool | None]) -> float | None:
    """Return the share of rated continuations that show the concept; None if none was rated."""
    known = [one for one in shown if one is not None]
    return sum(known) / len(known) if known else None


def largest_rise(shares: Sequence[float], baseline: float) -> float | None:
    """Return ``max(max(shares) - baseline, 0) / (1 - baseline)``; None where the baseline is 1."""
    return None if baseline >= 1 else max(max(shares) - baseline, 0.0) / (1 - baseline)


def effect(arms: Mapping[str, Sequence[bool | None]], baseline: Sequence[bool | None], draws: int, seed: int) -> Effect:
    """Return the largest rise of any arm over the baseline, beyond what the largest of so many gives by luck.

    Luck: the ratings of the continuations of one prompt are dealt out anew among the arms and the baseline, so that
    what a prompt itself makes likely stays where it is.

    Args:
        arms: By arm, whether the continuation of each prompt shows the concept; None where it was not rated.
        baseline: The same of the baseline.
        draws: How often they are dealt out.
        seed: Of the draws.
    """
    shares = [found for shown in arms.values() if (found := share(shown)) is not None]
    below = share(baseline)
    if below is None or not shares:
        return Effect(reason="no continuation was rated")
    rise = largest_rise(shares, below)
    if rise is None:
        return Effect(reason=NO_ROOM)
    lucky = _rises_by_luck([baseline, *arms.values()], draws, seed)
    above = unsigned_above_null(rise, lucky)
    return Effect(above, rise, float(lucky.mean()), NO_LUCK if above is None else None)


def _rises_by_luck(columns: Sequence[Sequence[bool | None]], draws: int, seed: int) -> np.ndarray:
    table = np.array([[np.nan if one is None else float(one) for one in column] for column in columns]).T
    rng = generator(seed, "rise by luck")
    rated = ~np.isnan(table)
    counts = rated.sum(axis=0)
    rises = []
    for _ in range(draws):
        dealt = _dealt(table, rated, rng.random(table.shape))
        shares = np.divide(dealt.sum(axis=0), counts, out=np.full(counts.size, np.nan), where=counts > 0)
        # A deal that fills the baseline leaves nothing to gain.
        rise = largest_rise([float(one) for one in shares[1:] if not np.isnan(one)], float(shares[0]))
        rises.append(rise or 0.0)
    return np.asarray(rises)


def _dealt(table: np.ndarray, rated: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Return the ratings of each prompt in another order, those that are missing where they were, as 0."""
    # The rated places of a row, first in order and then by drawn keys: the one takes what the other holds.
    places = np.argsort(~rated, axis=1, kind="stable")
    drawn = np.argsort(np.where(rated, keys, 2.0), axis=1)
    dealt = np.zeros_like(table)
    np.put_along_axis(dealt, places, np.take_along_axis(np.nan_to_num(table), drawn, axis=1), axis=1)
    return dealt
