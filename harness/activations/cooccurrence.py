"""Which features fire on the same tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.activations.protocol import ActivationReader

__all__ = ["Neighbour", "cooccurring"]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A feature near another one, and how near: the measure's name is the caller's business."""

    feature: int
    similarity: float


def cooccurring(activations: ActivationReader, features: Sequence[int], k: int) -> list[tuple[Neighbour, ...]]:
    """Return, for each of ``features``, the ``k`` others that share most tokens with it, by the Jaccard index.

    The Jaccard index is the number of tokens both fire on over the number either does. Features that share no token are
    no neighbours, so there may be fewer than ``k``. One pass over the store, whatever the number of ``features``; of
    equally near ones the lower number comes first.
    """
    fires = [activations.feature(feature).positions for feature in features]
    where = np.concatenate(fires) if fires else np.zeros(0, dtype=np.int64)
    whose = np.repeat(np.arange(len(features)), [found.size for found in fires])
    order = np.argsort(where, kind="stable")
    where, whose = where[order], whose[order]
    shared = np.zeros((len(features), activations.n_features), dtype=np.int64)
    for other in range(activations.n_features) if where.size else ():
        positions = activations.feature(other).positions
        low, high = np.searchsorted(where, positions, side="left"), np.searchsorted(where, positions, side="right")
        for depth in range(int((high - low).max(initial=0))):
            reached = low + depth < high
            np.add.at(shared[:, other], whose[low[reached] + depth], 1)
    counts = activations.counts()
    found = []
    for place, feature in enumerate(features):
        either = counts[feature] + counts - shared[place]
        index = np.where(either > 0, shared[place] / np.maximum(either, 1), 0.0)
        index[feature] = 0.0
        near = np.lexsort((np.arange(index.size), -index))[:k]
        found.append(tuple(Neighbour(int(other), float(index[other])) for other in near if index[other] > 0))
    return found
