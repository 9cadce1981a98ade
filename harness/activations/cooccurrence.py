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


_AT_ONCE = 512  # features whose neighbours are counted in one pass: one number for each of them and each other


def cooccurring(
    activations: ActivationReader, features: Sequence[int], k: int, within: np.ndarray | None = None
) -> list[tuple[Neighbour, ...]]:
    """Return, for each of ``features``, the ``k`` others that share most tokens with it, by the Jaccard index.

    The Jaccard index is the number of tokens both fire on over the number either does. Features that share no token are
    no neighbours, so there may be fewer than ``k``. One pass over the store for every 512 of ``features``; of equally
    near ones the lower number comes first.

    Args:
        activations: The store.
        features: The features.
        k: How many of each one's neighbours are wanted.
        within: Which tokens of the corpus to look at, bool [n_tokens]; all if not given. Where a store keeps a sample
            of some features, those of which it keeps every feature's activations.
    """
    counts = activations.counts() if within is None else _counts(activations, within)
    found = []
    for start in range(0, len(features), _AT_ONCE):
        asked = features[start : start + _AT_ONCE]
        for feature, shared in zip(asked, _shared(activations, asked, within), strict=True):
            either = counts[feature] + counts - shared
            index = np.where(either > 0, shared / np.maximum(either, 1), 0.0)
            index[feature] = 0.0
            near = np.lexsort((np.arange(index.size), -index))[:k]
            found.append(tuple(Neighbour(int(other), float(index[other])) for other in near if index[other] > 0))
    return found


def _counts(activations: ActivationReader, within: np.ndarray) -> np.ndarray:
    return np.array([_fires(activations, feature, within).size for feature in range(activations.n_features)])


def _fires(activations: ActivationReader, feature: int, within: np.ndarray | None) -> np.ndarray:
    positions = activations.feature(feature).positions
    return positions if within is None else positions[within[positions]]


def _shared(activations: ActivationReader, features: Sequence[int], within: np.ndarray | None) -> np.ndarray:
    """Return how many tokens each of ``features`` shares with every feature, [len(features), n_features]."""
    fires = [_fires(activations, feature, within) for feature in features]
    where = np.concatenate(fires)
    whose = np.repeat(np.arange(len(features)), [found.size for found in fires])
    order = np.argsort(where, kind="stable")
    where, whose = where[order], whose[order]
    shared = np.zeros((len(features), activations.n_features), dtype=np.int64)
    for other in range(activations.n_features) if where.size else ():
        positions = _fires(activations, other, within)
        low, high = np.searchsorted(where, positions, side="left"), np.searchsorted(where, positions, side="right")
        for depth in range(int((high - low).max(initial=0))):
            reached = low + depth < high
            shared[:, other] += np.bincount(whose[low[reached] + depth], minlength=len(features))
    return shared
