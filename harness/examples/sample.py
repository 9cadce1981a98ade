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
) -> np.ndarray:
    """Return the numbers of the chosen windows, strongest first, none twice; all of them if there are too few.

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

    Raises:
        UnknownNameError: If there is no such strategy.
    """
    strategies: dict[str, Callable[[], np.ndarray]] = {
        "top": lambda: strongest_first(strengths)[:count],
        "random": lambda: generator.permutation(strengths.size)[:count],
        "quantiles": lambda: _quantiles(np.arange(strengths.size), deciles, count, generator),
        "mix": lambda: _mix(strengths, deciles, count, generator, mix_top),
        "importance": lambda: _importance(strengths, count, generator),
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
    wanted = share_out(np.bincount(levels, minlength=DECILES + 1)[1:], count)
    # Each decile is shuffled by itself, so that what one gives does not depend on how many another gives.
    drawn = [
        generator.permutation(pool[levels == level])[:number]
        for level, number in zip(range(1, DECILES + 1), wanted.tolist(), strict=True)
    ]
    return np.concatenate(drawn)


def _mix(
    strengths: np.ndarray, deciles: np.ndarray, count: int, generator: np.random.Generator, mix_top: float
) -> np.ndarray:
    strongest = strongest_first(strengths)[: round(count * mix_top)]
    rest = np.setdiff1d(np.arange(strengths.size), strongest)
    return np.concatenate([strongest, _quantiles(rest, deciles, count - strongest.size, generator)])


def _importance(strengths: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    # Exponential clocks with rates a^2: the first k to ring are a draw of k without replacement (Efraimidis and
    # Spirakis 2006). Scaled by the largest, so that squares stay finite.
    rates = np.square(strengths.astype(np.float64) / strengths.max(initial=1e-30))
    rings = generator.exponential(size=strengths.size) / np.maximum(rates, np.finfo(np.float64).tiny)
    return np.argsort(rings, kind="stable")[:count]
