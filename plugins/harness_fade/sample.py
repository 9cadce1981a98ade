"""The natural texts of a feature: which windows of its record are looked at, and what they stand for in the corpus.

FADE sorts all texts by their activation and takes as many from each of the strata 0-50, 50-75, 75-95 and 95-100 per
cent, and the strongest besides. A record holds windows by decile of the activating ones, and silent ones; how many
windows of the corpus activate is among its statistics. So every window has a place in the order of the corpus: the
silent ones share the lower part, the deciles divide the upper.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.api import ExampleKind, generator

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from harness.api import Example, ScoreRecord

__all__ = ["Corpus", "at_largest_magnitude", "corpus_of", "draw_sample", "windows_of"]

STRATA = (0.0, 0.5, 0.75, 0.95, 1.0)
_DECILES = 10


@dataclass(frozen=True, slots=True)
class Corpus:
    """What share of the corpus's windows activates the feature; None where the record does not tell."""

    activating: float | None

    def weights(self, examples: Sequence[Example]) -> tuple[float, ...] | None:
        """Return what share of the corpus each example stands for, 0 for windows that were chosen for being hard.

        The deciles that have an example stand for all activating windows, each for as many, the silent windows drawn at
        random for all silent ones; a share is divided among the examples that are there. So the weights have the sum 1,
        whatever deciles are missing. None where the activating or the silent windows of the corpus have no example at
        all, so that nothing can stand for them.
        """
        if self.activating is None:
            return None
        cells = [_cell(example) for example in examples]
        counts = Counter(cells)
        deciles = sum(isinstance(cell, int) for cell in counts)
        silent = ExampleKind.RANDOM
        if (self.activating < 1 and not counts[silent]) or (self.activating > 0 and not deciles):
            return None
        return tuple(self._mass(cell, deciles) / counts[cell] for cell in cells)

    def covered(self, examples: Sequence[Example]) -> float | None:
        """Return what share of the corpus is in a part, a decile or the silent windows, that has an example."""
        if self.activating is None:
            return None
        return min(1.0, math.fsum(self._mass(cell, _DECILES) for cell in {_cell(example) for example in examples}))

    def _mass(self, cell: Hashable, deciles: int) -> float:
        """Return the share of the corpus of a part, if the activating windows are so many deciles."""
        share = self.activating or 0.0
        if cell == ExampleKind.RANDOM:
            return 1 - share
        return share / deciles if isinstance(cell, int) else 0.0


def windows_of(record: ScoreRecord) -> tuple[Example, ...]:
    """Return all windows a scorer may see, activating ones first."""
    return (*record.examples.activating, *record.examples.non_activating)


def at_largest_magnitude(values: Sequence[float]) -> float:
    """Return the value farthest from 0, its sign kept (ties: the first); 0 for none."""
    return max(values, key=abs, default=0.0)


def corpus_of(record: ScoreRecord) -> Corpus:
    """Return what is known of the corpus as a whole.

    Of a feature of which contexts are sampled the count of windows is of the contexts that were kept, and is scaled up
    by their share; the strongest contexts are among them, so the share is then an upper bound.
    """
    facts = record.statistics
    windows = windows_of(record)
    width = Counter(len(example.token_ids) for example in windows).most_common(1)[0][0] if windows else 0
    total = facts.n_tokens // width if width else 0
    kept = 1.0
    if facts.sampling is not None and facts.sampling.uniform_contexts:
        drawn = facts.sampling.uniform_contexts
        kept = min(1.0, facts.sampling.rate * (drawn + facts.sampling.strongest_contexts) / drawn)
    if not total or kept <= 0:
        return Corpus(None)
    return Corpus(min(1.0, facts.n_activating_windows / (total * kept)))


def draw_sample(
    windows: Sequence[Example], values: Sequence[float], n: int, top_share: float, corpus: Corpus, seed: int
) -> tuple[int, ...]:
    """Return the places of the windows that are looked at: all if there are at most ``n``.

    Of more, a quarter of ``n`` less the top share (rounded down) is drawn from each stratum, or what is there, and the
    strongest are added. A window that is both is taken once, so there may be fewer than ``n``, as in the paper's code.

    Args:
        windows: Windows of a record.
        values: Their activations.
        n: How many are wanted.
        top_share: Which part of them are the strongest.
        corpus: What share of the corpus activates; where unknown, that of the windows given.
        seed: Of the draw.
    """
    if len(windows) <= n:
        return tuple(range(len(windows)))
    rng = generator(seed, "natural sample")
    active = corpus.activating
    if active is None:
        active = sum(example.activating for example in windows) / len(windows)
    spread = rng.random(len(windows)).tolist()
    heights = [_height(example, active, at) for example, at in zip(windows, spread, strict=True)]
    quota = int(n * (1 - top_share)) // (len(STRATA) - 1)
    chosen: set[int] = set()
    for low, high in pairwise(STRATA):
        inside = [place for place, height in enumerate(heights) if low <= height < high]
        order = rng.permutation(len(inside)).tolist()
        chosen.update(inside[at] for at in order[:quota])
    strongest = sorted(range(len(windows)), key=lambda place: (-values[place], place))
    chosen.update(strongest[: n - quota * (len(STRATA) - 1)])
    return tuple(sorted(chosen))


def _cell(example: Example) -> Hashable:
    return (example.decile or _DECILES) if example.activating else example.kind


def _height(example: Example, active: float, at: float) -> float:
    """Return the place of a window in the order of the corpus's windows by activation, from 0 to below 1."""
    if not example.activating:
        return at * (1 - active)
    height = 1 - active + active * ((example.decile or _DECILES) - 1 + at) / _DECILES
    return min(height, math.nextafter(1.0, 0.0))
