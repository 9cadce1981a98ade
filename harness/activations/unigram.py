"""How much of a feature's activation the token alone explains."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from harness.activations.located import grouped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.activations.located import TokenGroups
    from harness.activations.protocol import ContextSample, TokenReader

__all__ = ["FEWEST", "TokenCounter", "TokenCounts", "explained_by_group", "explained_by_token"]

FEWEST = 10
"""Activations below which nothing is said."""
_BLOCK = 1 << 21


class TokenCounts:
    """How often each token is in a corpus or a part of it.

    Args:
        by_id: How often, by token id, int64 [V].
    """

    def __init__(self, by_id: np.ndarray) -> None:
        self.by_id = by_id

    @cached_property
    def repeated(self) -> int:
        """Return how many tokens are of ids that are there more than once."""
        return int(self.by_id[self.by_id > 1].sum())


def explained_by_token(ids: np.ndarray, values: np.ndarray, counts: np.ndarray, fewest: int = FEWEST) -> float | None:
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
    return explained_by_group(grouped(ids), values, TokenCounts(np.asarray(counts)), fewest=fewest)


def explained_by_group(
    groups: TokenGroups,
    values: np.ndarray,
    counted: TokenCounts,
    *,
    sums: np.ndarray | None = None,
    fewest: int = FEWEST,
) -> float | None:
    """Return what ``explained_by_token`` does, of activations that are grouped already.

    Args:
        groups: The activations by token id.
        values: Their values, [n].
        counted: How often each id is in the corpus.
        sums: ``groups.sums(values)``, if that is known.
        fewest: Activations on ids that are there more than once, from which on anything is said; at least 1.
    """
    repeated = counted.by_id[groups.ids] > 1
    if not repeated.all():
        kept = repeated[groups.codes]
        groups, values, sums = groups.only(kept), values[kept], None
    if values.size < fewest:
        return None
    values = values.astype(np.float64)
    fires, there = groups.counts, counted.by_id[groups.ids].astype(np.int64)
    means = (groups.sums(values) if sums is None else sums) / there
    squares = groups.sums((values - means[groups.codes]) ** 2) + (there - fires) * means**2
    total = counted.repeated
    mean = float(values.sum()) / total
    variance = float(((values - mean) ** 2).sum() + (total - values.size) * mean**2) / (total - 1)
    if not variance > 0:
        return None
    within = float((there * squares / (there - 1)).sum())
    return max(0.0, 1.0 - within / (total * variance))


class TokenCounter:
    """Counts the tokens of a corpus, once, and of each uniform sample of its contexts, once.

    Tokens are counted in blocks: NumPy counts in int64, several times as large as the mapped ids.

    Args:
        tokens: The corpus.
    """

    def __init__(self, tokens: TokenReader) -> None:
        self._tokens = np.asarray(tokens.tokens)
        self._starts = np.asarray(tokens.context_starts)
        blocks = [self._tokens[start : start + _BLOCK] for start in range(0, self._tokens.size, _BLOCK)]
        self._vocabulary = max((int(block.max()) + 1 for block in blocks), default=0)
        self.of_corpus = self._counted(blocks)
        self._of_samples: dict[float, TokenCounts] = {}

    def of_sample(self, sample: ContextSample) -> TokenCounts:
        """Return how often each token is in the uniform contexts of a sample.

        Contexts are drawn by a hash of where they begin, so the samples of one rate are the same whatever the feature,
        and are counted once. There are no more rates than ``harness.activations.context_sample`` has levels.
        """
        found = self._of_samples.get(sample.rate)
        if found is None:
            found = self._of_samples[sample.rate] = self._counted(self._parts(sample.uniform))
        return found

    def _parts(self, contexts: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the tokens of contexts in parts of about ``_BLOCK``, each of whole contexts."""
        firsts = self._starts[contexts]
        lengths = self._starts[contexts + 1] - firsts
        totals = lengths.cumsum()
        cuts = np.searchsorted(totals, np.arange(_BLOCK, totals[-1] if totals.size else 0, _BLOCK))
        for some in np.split(np.arange(contexts.size), cuts):
            here = lengths[some]
            at = np.repeat(firsts[some] - (here.cumsum() - here), here)
            at += np.arange(at.size)
            yield self._tokens[at]

    def _counted(self, parts: Iterable[np.ndarray]) -> TokenCounts:
        counts = np.zeros(self._vocabulary, dtype=np.int64)
        for part in parts:
            counts += np.bincount(part, minlength=self._vocabulary)
        return TokenCounts(counts)
