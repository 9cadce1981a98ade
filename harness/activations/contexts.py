"""Which context of a corpus a position is in."""

from __future__ import annotations

import numpy as np

__all__ = ["ContextIndex"]


class ContextIndex:
    """Finds contexts by a table of stretches of the corpus, about two to a context, made once.

    A binary search for each of a feature's positions takes several times as long, and the other way round, each context
    among the positions, takes as long for a rare feature as for a frequent one.

    Args:
        starts: First position of every context, plus one past the last: int64 [n_contexts + 1], ascending.
    """

    def __init__(self, starts: np.ndarray) -> None:
        self.starts = np.array(starts, dtype=np.int64)  # in memory, whatever file it came from
        self._ends = self.starts[1:]
        n_tokens = int(self.starts[-1])
        mean = max(1, n_tokens // max(1, self._ends.size))
        self._shift = max(0, mean.bit_length() - 2)
        stretches = np.arange(0, n_tokens, 1 << self._shift)
        self._first = np.searchsorted(self.starts, stretches, side="right") - 1
        # Contexts that begin in a stretch after its first position: more than one needs more than one step.
        self._one_step = bool(np.all(np.diff(self._first, append=self._ends.size - 1) <= 1))

    def of(self, positions: np.ndarray) -> np.ndarray:
        """Return the context of each of ``positions``, which are all in the corpus, int64 [n]."""
        contexts: np.ndarray = self._first[positions >> self._shift]
        contexts += self._ends[contexts] <= positions
        if self._one_step:
            return contexts
        behind = np.flatnonzero(self._ends[contexts] <= positions)
        contexts[behind] = np.searchsorted(self.starts, positions[behind], side="right") - 1
        return contexts
