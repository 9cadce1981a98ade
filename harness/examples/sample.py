"""Which of the activating windows of a half become examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.errors import UnknownNameError
from harness.examples.checks import STRATEGIES
from harness.examples.deciles import DECILES, strongest_first

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["choose", "share_out"]


def choose(
    strategy: str,
    strengths: np.ndarray,
    deciles: np.ndarray,
    count: int,
    generator: np.random.Generator,
    *,
    mix_top: float,
    drawable: np.ndarray | None = None,
) -> np.ndarray:
    """Return the numbers of the chosen windows, strongest first, none twice; all of them if there are too few.

    Where contexts are sampled, the strongest windows are known whatever contexts they are in, but draws may only come
    from windows that were not chosen for their strength.

    Args:
        strategy: ``top``: the strongest. ``random``: uniformly. ``quantiles``: equal numbers from each decile (a decile
            that is too short is made up for by the others). ``mix``: a share of the strongest, the rest by quantiles
            from what remains. ``importance``: with probability proportional to the squared maximum, one after the
            other without replacement (the weighting of SAEBench, Karvonen et al. 2025, automated interpretability).
        strengths: Window maxima of the half, in corpus order, [n].
        deciles: Their deciles in the whole distribution, [n].
        count: How many are wanted.
        generator: Where the draws come from.
        mix_top: The share of ``mix``.
        drawable: The numbers of the windows that may be drawn, ascending; None for all of them. The strongest ones of
            ``top`` and ``mix`` are taken, not drawn.

    Raises:
        UnknownNameError: If there is no such strategy.
    """
    pool = np.arange(strengths.size) if drawable is None else drawable
    strategies: dict[str, Callable[[], np.ndarray]] = {
        "top": lambda: strongest_first(strengths)[:count],
        "random": lambda: pool[generator.permutation(pool.size)[:count]],
        "quantiles": lambda: _quantiles(pool, deciles, count, generator),
        "mix": lambda: _mix(strengths, deciles, count, generator, mix_top, pool),
        "importance": lambda: pool[_importance(strengths[pool], count, generator)],
    }
    if strategy not in strategies:
        raise UnknownNameError("sampling strategy", strategy, STRATEGIES, where="examples")
    chosen = np.sort(strategies[strategy]())
    ordered: np.ndarray = chosen[strongest_first(strengths[chosen])]
    return ordered


def share_out(available: np.ndarray, count: int) -> np.ndarray:
    """Return how many to take from each decile (weakest first), as equally as what is available allows.

    What cannot be divided equally goes to deciles spread evenly from the strongest down.
    """
    taken = np.zeros_like(available)
    missing = min(count, int(available.sum()))
    while missing:
        # Strongest first; in a round every decile that has some left gives one, or only some of them in the last.
        givers = np.flatnonzero(available > taken)[::-1]
        if missing < givers.size:
            givers = givers[np.arange(missing) * givers.size // missing]
        taken[givers] += 1
        missing -= givers.size
    return taken


def _quantiles(pool: np.ndarray, deciles: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    levels = deciles[pool]
    available = np.bincount(levels, minlength=DECILES + 1)[1:]
    wanted = share_out(available, count)
    by_level = pool[np.argsort(levels, kind="stable")]
    # Each decile is shuffled by itself, so that what one gives does not depend on how many another gives.
    drawn = [
        generator.permutation(members)[:number]
        for members, number in zip(np.split(by_level, np.cumsum(available)[:-1]), wanted.tolist(), strict=True)
    ]
    return np.concatenate(drawn)


def _mix(
    strengths: np.ndarray,
    deciles: np.ndarray,
    count: int,
    generator: np.random.Generator,
    mix_top: float,
    pool: np.ndarray,
) -> np.ndarray:
    strongest = strongest_first(strengths)[: round(count * mix_top)]
    rest = pool[np.isin(pool, strongest, assume_unique=True, invert=True)]
    return np.concatenate([strongest, _quantiles(rest, deciles, count - strongest.size, generator)])


def _importance(strengths: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    # Exponential clocks with rates a^2: the first k to ring are a draw of k without replacement (Efraimidis and
    # Spirakis 2006). Scaled by the largest, so that squares stay finite.
    rates = np.square(strengths.astype(np.float64) / strengths.max(initial=1e-30))
    rings = generator.exponential(size=strengths.size) / np.maximum(rates, np.finfo(np.float64).tiny)
    return np.argsort(rings, kind="stable")[:count]
