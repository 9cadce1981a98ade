"""Features that fire too often to keep all: which contexts are kept of them, decided in one pass and in any order.

Every context has a level, drawn by a hash of where it begins: half of all contexts have level 0, a quarter level 1, and
so on. Of a feature with too many activations those in contexts of at least some level are kept. The level rises as
activations come in, and is in the end the lowest at which not too many are left; since counts only grow, what was
dropped on the way would have been dropped in the end. These contexts are drawn without regard to the feature, so they
stand for the corpus.

Beside them the contexts with the feature's largest values are kept whole. A window's largest value is at most its
context's, so the strongest windows of the corpus are among those of the strongest contexts, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Entries = tuple[np.ndarray, np.ndarray, np.ndarray]

__all__ = ["MOST_KEPT", "SCHEME", "STRONGEST_CONTEXTS", "SampleState", "context_levels", "unpack_contexts"]

SCHEME = "uniform contexts by hash, and the strongest contexts"
MOST_KEPT = 1 << 19
"""Activations of a feature up to which all are kept."""
STRONGEST_CONTEXTS = 128
"""Contexts kept for their largest value."""

LEVELS = 24
_CONTEXT_BITS = 31
_ROWS_AT_ONCE = 512
_COUNTED_AT_ONCE = 1 << 18
"""Activations counted at once, so that what counting takes does not grow with a run."""
_ARRAYS = ("n_active", "largest", "level", "features", "counts", "strongest", "settled")


def context_levels(starts: np.ndarray) -> np.ndarray:
    """Return the level of the context that begins at each of ``starts``, uint8 [n]; ``l`` has chance 2^-(l+1)."""
    # SplitMix64 (Steele, Lea and Flood 2014): all output bits depend on all input bits.
    mixed = starts.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    lowest = mixed & (~mixed + np.uint64(1))
    level = np.frexp(np.maximum(lowest, np.uint64(1)).astype(np.float64))[1] - 1
    levels: np.ndarray = np.minimum(level, LEVELS - 1).astype(np.uint8)
    return levels


def unpack_contexts(packed: np.ndarray) -> np.ndarray:
    """Return the contexts in packed entries [n], ascending and each once; the empty ones are none."""
    return np.unique(_unpack(packed[packed >= 0]))


@dataclass
class SampleState:
    """What one pass has seen of every feature, and what it keeps of those that fire too often.

    Attributes:
        starts: First position of every context and one past the last, int64 [n_contexts + 1].
        levels: Level of every context, uint8 [n_contexts].
        most: Activations of a feature up to which all are kept.
        n_active: Activations seen, int64 [n_features].
        largest: Largest value seen, float32 [n_features]; minus infinity before the first.
        level: The lowest level kept, uint8 [n_features]; 0 keeps all.
        features: Features of which a sample is kept, int64 [s], ascending.
        counts: Their activations by the level of the context, int64 [s, LEVELS].
        strongest: Their strongest contexts, packed with their largest value (see ``_pack``), int64 [s, k]; -1 is none.
        settled: Those that were strongest when levels were last allowed to rise; kept whatever comes later.
        rising: Whether levels may still rise.
    """

    starts: np.ndarray
    levels: np.ndarray
    most: int
    n_active: np.ndarray
    largest: np.ndarray
    level: np.ndarray
    features: np.ndarray
    counts: np.ndarray
    strongest: np.ndarray
    settled: np.ndarray
    rising: bool = True
    _row: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._row = np.full(self.level.size, -1, dtype=np.int64)
        self._row[self.features] = np.arange(self.features.size)

    @classmethod
    def fresh(
        cls, n_features: int, starts: np.ndarray, most: int = MOST_KEPT, strongest: int = STRONGEST_CONTEXTS
    ) -> SampleState:
        """Return the state before anything was seen."""
        return cls(
            starts=starts,
            levels=context_levels(starts[:-1]),
            most=most,
            n_active=np.zeros(n_features, dtype=np.int64),
            largest=np.full(n_features, -np.inf, dtype=np.float32),
            level=np.zeros(n_features, dtype=np.uint8),
            features=np.zeros(0, dtype=np.int64),
            counts=np.zeros((0, LEVELS), dtype=np.int64),
            strongest=np.zeros((0, strongest), dtype=np.int64),
            settled=np.zeros((0, strongest), dtype=np.int64),
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what ``restore`` needs."""
        return {name: getattr(self, name) for name in _ARRAYS}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go back to what ``arrays`` returned."""
        for name in _ARRAYS:
            setattr(self, name, np.array(arrays[name]))
        self.__post_init__()

    def settle(self) -> None:
        """Let no level rise from now on, and keep what is kept now.

        What a corpus that goes on would have kept of the part before does then not depend on what comes after.
        """
        self.settled = self.strongest.copy()
        self.rising = False

    def see(
        self,
        features: np.ndarray,
        positions: np.ndarray,
        values: np.ndarray,
        earlier: Callable[[np.ndarray], Iterable[Entries]],
    ) -> None:
        """Take account of activations, sorted by feature, then by position. No context may come in two calls.

        Args:
            features: Their features, int64 [n].
            positions: Their positions, int64 [n].
            values: Their values, float32 [n].
            earlier: Yields features, positions and values of all activations of the given features (int64, ascending)
                that earlier calls kept, in any parts that are sorted so and hold whole contexts.
        """
        if not features.size:
            return
        first = np.flatnonzero(np.diff(features, prepend=-1))
        met = features[first]
        self.n_active[met] += np.diff(np.append(first, features.size))
        self.largest[met] = np.maximum(self.largest[met], np.maximum.reduceat(values, first))
        self._count_of(self._row >= 0, (features, positions, values))
        if not self.rising:
            return
        over = met[(self.n_active[met] > self.most) & (self._row[met] < 0)]
        if over.size:
            self._begin(over)
            new = np.zeros(self.level.size, dtype=np.bool_)
            new[over] = True
            # Everything seen of them so far is still there, as nothing of them was left out.
            for part in chain(earlier(over), [(features, positions, values)]):
                self._count_of(new, part)
        self._raise()

    def kept(self, features: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return which activations are kept as things stand, bool [n]."""
        keeps = np.ones(features.size, dtype=np.bool_)
        if not self.features.size:
            return keeps
        for first in range(0, features.size, _COUNTED_AT_ONCE):
            some = features[first : first + _COUNTED_AT_ONCE]
            sampled = np.flatnonzero(self._row[some] >= 0)
            if not sampled.size:
                continue
            some = some[sampled]
            wanted = self._strongest_places(np.unique(self._row[some]))
            context = self._context(positions[first + sampled])
            of_level = self.levels[context] >= self.level[some]
            keeps[first + sampled] = of_level | self._is_strongest(self._row[some], context, wanted)
        return keeps

    def _strongest_places(self, rows: np.ndarray) -> np.ndarray:
        """Return row times number of contexts plus context of the strongest ones of some rows, ascending."""
        both = np.concatenate([self.strongest[rows], self.settled[rows]], axis=1)
        places = np.where(both < 0, -1, _unpack(both) + rows[:, None] * self.levels.size)
        return np.unique(places)

    def _is_strongest(self, rows: np.ndarray, context: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        n_contexts = self.levels.size
        asked = rows * n_contexts + context
        at = np.minimum(np.searchsorted(wanted, asked), wanted.size - 1)
        found: np.ndarray = wanted[at] == asked
        return found

    def _context(self, positions: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.starts, positions, side="right") - 1

    def _count_of(self, flags: np.ndarray, entries: Entries) -> None:
        """Count those activations whose features are flagged, some at a time; ``flags`` is bool [n_features]."""
        for part in self._parts(*entries):
            mine = flags[part[0]]
            if mine.any():
                self._count(*(array[mine] for array in part))

    def _parts(self, features: np.ndarray, positions: np.ndarray, values: np.ndarray) -> Iterator[Entries]:
        """Yield activations in parts that hold a feature's activations in a context whole."""
        first = 0
        while first < features.size:
            last = first + _COUNTED_AT_ONCE
            if last < features.size:
                feature, position = features[last - 1], positions[last - 1]
                end = self.starts[np.searchsorted(self.starts, position, side="right")]
                feature_ends = last + int(np.searchsorted(features[last:], feature, side="right"))
                last += int(np.searchsorted(positions[last:feature_ends], end))
            yield features[first:last], positions[first:last], values[first:last]
            first = last

    def _count(self, features: np.ndarray, positions: np.ndarray, values: np.ndarray) -> None:
        """Count activations of sampled features by level, and find their strongest contexts."""
        rows, context = self._row[features], self._context(positions)
        n_sampled = len(self.features)
        cells = rows * LEVELS + self.levels[context]
        self.counts += np.bincount(cells, minlength=n_sampled * LEVELS).reshape(n_sampled, LEVELS)
        first = np.flatnonzero(np.diff(rows * self.levels.size + context, prepend=-1))
        peaks = np.maximum.reduceat(values, first)
        self._offer(rows[first], context[first], peaks)

    def _offer(self, rows: np.ndarray, context: np.ndarray, peaks: np.ndarray) -> None:
        """Keep the strongest of the contexts there are and of those given, which are new and sorted by row."""
        positive = peaks > 0
        rows, context, peaks = rows[positive], context[positive], peaks[positive]
        packed = _pack(peaks, context)
        first = np.flatnonzero(np.diff(rows, prepend=-1))
        lengths = np.diff(np.append(first, rows.size))
        width = self.strongest.shape[1]
        # Some rows at a time, so that what is sorted at once does not grow with their number.
        for begin in range(0, first.size, _ROWS_AT_ONCE):
            some = slice(begin, begin + _ROWS_AT_ONCE)
            counts, starts = lengths[some], first[some]
            last = starts[-1] + counts[-1]
            offered = np.full((counts.size, int(counts.max())), -1, dtype=np.int64)
            within = np.arange(starts[0], last) - np.repeat(starts, counts)
            offered[np.repeat(np.arange(counts.size), counts), within] = packed[starts[0] : last]
            whose = rows[starts]
            both = np.concatenate([self.strongest[whose], offered], axis=1)
            self.strongest[whose] = -np.sort(-both, axis=1)[:, :width]

    def _begin(self, over: np.ndarray) -> None:
        """Make room for features of which a sample is kept from now on."""
        merged = np.union1d(self.features, over)
        place = np.searchsorted(merged, self.features)
        for name, empty in (("counts", 0), ("strongest", -1), ("settled", -1)):
            before = getattr(self, name)
            after = np.full((merged.size, before.shape[1]), empty, dtype=np.int64)
            after[place] = before
            setattr(self, name, after)
        self.features = merged
        self._row[merged] = np.arange(merged.size)

    def _raise(self) -> None:
        left = np.cumsum(self.counts[:, ::-1], axis=1)[:, ::-1]
        fits = left <= self.most
        fits[:, -1] = True
        self.level[self.features] = np.argmax(fits, axis=1)


def _pack(values: np.ndarray, context: np.ndarray) -> np.ndarray:
    """Return positive values and contexts as int64 that sort by value, then with the earlier context above."""
    bits = values.astype(np.float32).view(np.int32).astype(np.int64)
    packed: np.ndarray = (bits << _CONTEXT_BITS) | ((1 << _CONTEXT_BITS) - 1 - context)
    return packed


def _unpack(packed: np.ndarray) -> np.ndarray:
    """Return the contexts of packed entries."""
    return (1 << _CONTEXT_BITS) - 1 - (packed & ((1 << _CONTEXT_BITS) - 1))
