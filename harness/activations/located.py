"""A feature's activations with what the corpus says of their places, worked out once for all who ask."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from harness.activations.contexts import ContextIndex

if TYPE_CHECKING:
    from harness.activations.protocol import FeatureActivations, TokenReader

__all__ = ["Located", "Locator", "TokenGroups", "grouped"]


class TokenGroups:
    """Activations grouped by the token they are on.

    Args:
        ids: The different token ids, int64 [m], ascending.
        codes: Which of them each activation is on, int64 [n].
    """

    def __init__(self, ids: np.ndarray, codes: np.ndarray) -> None:
        self.ids, self.codes = ids, codes

    @cached_property
    def counts(self) -> np.ndarray:
        """Return how many activations are on each id, int64 [m]."""
        return np.bincount(self.codes, minlength=self.ids.size)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sum of ``values`` [n] on each id, float64 [m]."""
        return np.bincount(self.codes, weights=values, minlength=self.ids.size)

    def sums_of(self, numbers: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the ids that some of the activations are on, the sums of their values, and how many are on each.

        Args:
            numbers: Which activations, int64 [k].
            values: Their values, [k].
        """
        codes = self.codes[numbers]
        counts = np.bincount(codes, minlength=self.ids.size)
        sums = np.bincount(codes, weights=values, minlength=self.ids.size)
        met = np.flatnonzero(counts)
        return self.ids[met], sums[met], counts[met]

    def only(self, kept: np.ndarray) -> TokenGroups:
        """Return the groups of some of the activations; of ids that are left without one there is none.

        Args:
            kept: Their numbers, or a flag for each, [n].
        """
        codes = self.codes[kept]
        left = np.flatnonzero(np.bincount(codes, minlength=self.ids.size))
        if left.size == self.ids.size:
            return TokenGroups(self.ids, codes)
        return TokenGroups(self.ids[left], _renumbered(codes, left, self.ids.size))


def grouped(ids: np.ndarray) -> TokenGroups:
    """Return activations grouped by their token ids, int [n]."""
    if not ids.size:
        return TokenGroups(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    size = int(ids.max()) + 1
    met = np.zeros(size, dtype=np.bool_)
    met[ids] = True
    different = np.flatnonzero(met)
    return TokenGroups(different, _renumbered(ids, different, size))


def _renumbered(ids: np.ndarray, different: np.ndarray, size: int) -> np.ndarray:
    """Return the place of each of ``ids`` among the ascending ``different`` ones, all below ``size``."""
    places = np.empty(size, dtype=np.int64)
    places[different] = np.arange(different.size)
    renumbered: np.ndarray = places[ids]
    return renumbered


class Located:
    """What the corpus says of the places of a feature's activations; each piece is worked out when first asked for.

    Args:
        found: The activations.
        tokens: The token ids of the corpus.
        index: Its contexts.
    """

    def __init__(self, found: FeatureActivations, tokens: np.ndarray, index: ContextIndex) -> None:
        self.found = found
        self._tokens, self._index = tokens, index

    @cached_property
    def contexts(self) -> np.ndarray:
        """Return the context of each activation, int64 [n]."""
        return self._index.of(self.found.positions)

    @cached_property
    def by_token(self) -> TokenGroups:
        """Return the activations grouped by the token they are on."""
        return grouped(self._tokens[self.found.positions])


class Locator:
    """Locates the activations of features of one corpus; the last feature's are kept for whoever asks next.

    A record and the facts of a feature are asked for one after the other and look at the same places.

    Args:
        tokens: The corpus.
    """

    def __init__(self, tokens: TokenReader) -> None:
        self.index = ContextIndex(tokens.context_starts)
        self._tokens = tokens
        self._last: Located | None = None

    def of(self, found: FeatureActivations) -> Located:
        """Return what the corpus says of the places of ``found``."""
        last = self._last
        if last is None or last.found is not found:
            last = self._last = Located(found, self._tokens.tokens, self.index)
        return last
