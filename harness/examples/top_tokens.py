"""The tokens on which a feature fires most."""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from harness.activations.located import Located
    from harness.activations.protocol import TokenReader

__all__ = ["TextTable", "top_tokens"]

_SHOWN = 10
_BROKEN = "\N{REPLACEMENT CHARACTER}"
_BLOCK = 1 << 20
_NO_TEXT = -1


class TextTable:
    """The texts of the token ids of a corpus: which ids have one of their own, and which have the same.

    Args:
        tokens: The corpus.
    """

    def __init__(self, tokens: TokenReader) -> None:
        ids = _ids_in(tokens.tokens)
        self._texts: list[str] = []
        self._numbers = np.full(int(ids[-1]) + 1 if ids.size else 0, _NO_TEXT, dtype=np.int64)
        numbers: dict[str, int] = {}
        for token in ids.tolist():
            text = tokens.token_texts([token])[0]
            # Tokens that are only a part of a character have no text of their own.
            if text and _BROKEN not in text:
                self._numbers[token] = numbers.setdefault(text, len(numbers))
        self._texts = list(numbers)
        self.distinct = len(numbers) == int(np.count_nonzero(self._numbers != _NO_TEXT))

    def numbers(self, ids: np.ndarray) -> np.ndarray:
        """Return the number of the text of each id, below 0 where it has none, int64 [n]."""
        found: np.ndarray = self._numbers[ids]
        return found

    def text(self, number: int) -> str:
        """Return a text by its number."""
        return self._texts[number]


def top_tokens(located: Located, numbers: np.ndarray, table: TextTable) -> tuple[tuple[str, float], ...]:
    """Return up to ten token texts with the feature's mean activation where it fires on them, largest mean first.

    A text on which it fired once says little, however strongly: such texts come after all that it fired on at least
    twice. Tokens that are only a part of a character have no text of their own and are left out.

    Args:
        located: The feature's activations.
        numbers: Which of them to look at, ascending.
        table: The texts of the corpus's tokens.
    """
    texts, totals, counts = _by_text(located, numbers, table)
    means = totals / counts
    shown: list[tuple[str, float]] = []
    for pool in (np.flatnonzero(counts > 1), np.flatnonzero(counts == 1)):
        pool = _strongest(pool, means, _SHOWN - len(shown))  # noqa: PLW2901 -- what may still be shown of it
        keys = [(-float(means[at]), -int(counts[at]), table.text(int(texts[at]))) for at in pool.tolist()]
        shown += [(text, -mean) for mean, _, text in nsmallest(_SHOWN - len(shown), keys)]
    return tuple(shown)


def _strongest(pool: np.ndarray, means: np.ndarray, count: int) -> np.ndarray:
    """Return those of ``pool`` that may be among the ``count`` of the largest means: more of them if there are ties."""
    if pool.size <= count or not count:
        return pool[: pool.size if count else 0]
    found = means[pool]
    least = np.partition(found, pool.size - count)[pool.size - count]
    kept: np.ndarray = pool[found >= least]
    return kept


def _by_text(located: Located, numbers: np.ndarray, table: TextTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the numbers of the texts the feature fires on, its summed activation there and how often it fires."""
    values = located.found.values[numbers]
    fires = values > 0
    if not fires.all():
        numbers, values = numbers[fires], values[fires]
    ids, totals, counts = located.by_token.sums_of(numbers, values)
    texts = table.numbers(ids)
    shown = texts >= 0
    texts, totals, counts = texts[shown], totals[shown], counts[shown]
    if table.distinct:
        return texts, totals, counts
    return _sums(texts, totals, counts)


def _sums(numbers: np.ndarray, totals: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each number that is met, and the sums of the totals and counts that stand beside it, in their order."""
    counted = np.bincount(numbers, weights=counts)
    summed = np.bincount(numbers, weights=totals)
    met = np.flatnonzero(counted)
    return met, summed[met], counted[met].astype(np.int64)


def _ids_in(tokens: np.ndarray) -> np.ndarray:
    """Return the token ids that are in the corpus, ascending, int64."""
    met = np.zeros(0, dtype=np.bool_)
    for begin in range(0, tokens.size, _BLOCK):
        block = tokens[begin : begin + _BLOCK]
        more = int(block.max()) + 1 - met.size
        if more > 0:
            met = np.concatenate([met, np.zeros(more, dtype=np.bool_)])
        met[block] = True
    return np.flatnonzero(met)
