"""How much of a feature's activation the token alone explains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from harness.activations.protocol import FeatureActivations, TokenReader

__all__ = ["UnigramReader", "explained_by_token"]

_BLOCK = 1 << 24


def explained_by_token(ids: np.ndarray, values: np.ndarray, counts: np.ndarray, fewest: int = 10) -> float | None:
    """Return the share of a feature's variance over a corpus that the identity of the token explains, 0 to 1.

    The effect size of a one-way analysis of variance with the token ids as groups and silent tokens counted as 0. Let
    ``N_t`` be how often id ``t`` is in the corpus, ``s_t^2`` the variance of the feature on it, and ``N`` and ``s^2``
    those of all tokens together, each variance over its number of values less one. Returned is

        1 - sum_t(N_t s_t^2) / (N s^2),    and 0 where that is negative.

    It is 1 for a feature that looks its value up by the token. For one that fires with chance ``p`` on each token of
    some rare ids, always as strongly, it is about ``p``. Eta squared, with the variances of the sample, would also be
    near 1 for whatever fires on rare words, since a few values lie near their own mean whatever they are; without bias
    in ``s_t^2`` a feature that does not depend on the token has 0 on average (before what is negative becomes 0; as
    Kelley's epsilon squared, PNAS 21, 1935, which takes the groups' variances to be equal, and here they are not).
    Ids that are there only once say nothing about this, and are left out of all of it. Below ``fewest`` activations on
    the others nothing is said: a name of one document would explain all there is.

    Args:
        ids: Token id of each activation, int [n].
        values: The activations, [n].
        counts: How often each id is in the corpus, by id, int [more than the largest of ``ids``].
        fewest: Activations on ids that are there more than once, from which on anything is said; at least 1.

    Returns:
        The share; None if there are fewer activations than that, or it does not vary.
    """
    repeated = counts[ids] > 1
    ids, values = ids[repeated], values[repeated].astype(np.float64)
    if ids.size < fewest:
        return None
    every = np.bincount(ids)
    met = np.flatnonzero(every)
    fires, there = every[met], counts[met].astype(np.int64)
    means_of = np.bincount(ids, weights=values) / np.maximum(counts[: every.size], 1)
    means = means_of[met]
    squares = np.bincount(ids, weights=(values - means_of[ids]) ** 2)[met] + (there - fires) * means**2
    total = int(counts[counts > 1].sum())
    mean = float(values.sum()) / total
    variance = float(((values - mean) ** 2).sum() + (total - values.size) * mean**2) / (total - 1)
    if not variance > 0:
        return None
    within = float((there * squares / (there - 1)).sum())
    return max(0.0, 1.0 - within / (total * variance))


class UnigramReader:
    """Works ``explained_by_token`` out for features of one store; the corpus is counted once.

    Args:
        tokens: The corpus.
    """

    def __init__(self, tokens: TokenReader) -> None:
        self._tokens = np.asarray(tokens.tokens)
        self._starts = np.asarray(tokens.context_starts)
        # In blocks: NumPy counts in int64, four times as large as the mapped ids.
        blocks = [self._tokens[start : start + _BLOCK] for start in range(0, self._tokens.size, _BLOCK)]
        self._vocabulary = max((int(block.max()) + 1 for block in blocks), default=0)
        self._counts = np.zeros(self._vocabulary, dtype=np.int64)
        for block in blocks:
            self._counts += np.bincount(block, minlength=self._vocabulary)

    def share(self, found: FeatureActivations) -> float | None:
        """Return the share of one feature's variance that the token explains; see ``explained_by_token``.

        Of a feature of which only some contexts are kept, it is that of the contexts drawn without regard to it.
        """
        fires = found.values > 0
        positions, values, counts = found.positions[fires], found.values[fires], self._counts
        if found.sample is not None:
            whose = np.searchsorted(self._starts, positions, side="right") - 1
            drawn = np.isin(whose, found.sample.uniform)
            positions, values = positions[drawn], values[drawn]
            counts = self._counted(found.sample.uniform)
        return explained_by_token(self._tokens[positions], values, counts)

    def _counted(self, contexts: np.ndarray) -> np.ndarray:
        """Return how often each id is in the given contexts."""
        lengths = self._starts[contexts + 1] - self._starts[contexts]
        first = np.repeat(self._starts[contexts] - (lengths.cumsum() - lengths), lengths)
        return np.bincount(self._tokens[first + np.arange(first.size)], minlength=self._vocabulary)
