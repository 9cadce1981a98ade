"""Negatives that are near a feature: added to the score half of its finished record.

Random negatives reward an explanation for being broad; these show whether it is precise. Of every source the windows
are of the score half, full ones of the grid, none is chosen twice, and the feature is known to be silent in each. Where
a source has fewer than asked for, there are fewer: nothing takes their place.

Neighbour negatives are those of Delphi (Paulo et al. 2024, arXiv 2410.13928, code) and of EleutherAI's report of July
2024; so are similar ones.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Protocol

import numpy as np

from harness.examples.record import Origin
from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.activations.cooccurrence import Neighbour
    from harness.examples.build import RecordBuilder
    from harness.examples.record import Example, FeatureRecord

__all__ = ["MOST_NEIGHBOURS", "MOST_POOLED", "Finder", "FiringNeighbours", "HardNegatives", "SimilarTexts", "pooled"]

MOST_NEIGHBOURS = 250
"""Neighbours of a feature that are looked at, at most."""
MOST_OF_ONE = 10
"""Windows that one neighbour gives, at most."""
MOST_POOLED = 20_000
"""Windows among which similar ones are looked for, at most."""
_DECIMALS = 6
"""Similarities count to so many decimals: further ones depend on how a machine sums."""

Found = list[tuple[int, Origin]]


class Finder(Protocol):
    """One source of negatives."""

    def find(self, record: FeatureRecord, free: np.ndarray, count: int) -> Found:
        """Return up to ``count`` windows of the grid with what they are near, all of them ``free``, none twice.

        Args:
            record: The feature.
            free: Which windows of the grid may be chosen, bool [grid].
            count: How many are wanted.
        """


class HardNegatives:
    """Adds negatives to records, source by source; what one has chosen, the next does not.

    Args:
        builder: Has built the records.
        finders: The sources by name, in the order in which they choose.
        wanted: How many windows each is asked for.
    """

    def __init__(self, builder: RecordBuilder, finders: Mapping[str, Finder], wanted: Mapping[str, int]) -> None:
        self._builder, self._finders, self._wanted = builder, finders, wanted

    def added(self, record: FeatureRecord) -> FeatureRecord:
        """Return the record with the negatives of all sources behind those it has."""
        free = self._builder.free_windows(record)
        negatives = list(record.score.non_activating)
        for source, finder in self._finders.items():
            found = finder.find(record, free, self._wanted[source])
            windows = np.array([window for window, _ in found], dtype=np.int64)
            free[windows] = False
            negatives += self._builder.non_activating(windows, source, [origin for _, origin in found])
        return replace(record, score=replace(record.score, non_activating=tuple(negatives)))


class FiringNeighbours:
    """Windows in which a near feature fires.

    Neighbours are walked from the nearest on until there are enough windows, at most ten of each, its strongest. Then
    they give one window each in turn, the nearest first, so that what is left over is taken off all of them.

    Args:
        builder: Knows the windows.
        near: The neighbours of each feature, nearest first; those of no positive similarity are none.
    """

    def __init__(self, builder: RecordBuilder, near: Mapping[int, Sequence[Neighbour]]) -> None:
        self._builder, self._near = builder, near

    def find(self, record: FeatureRecord, free: np.ndarray, count: int) -> Found:
        """Return windows in which neighbours of the feature fire, each with the neighbour."""
        left, missing = free.copy(), count
        offers: list[Found] = []
        for neighbour in self._near[record.feature][:MOST_NEIGHBOURS]:
            if missing <= 0 or neighbour.similarity <= 0:
                break
            fires = self._builder.strongest_windows(neighbour.feature)
            own = fires[left[fires]][:MOST_OF_ONE]
            left[own] = False
            missing -= own.size
            origin = Origin(round(neighbour.similarity, _DECIMALS), neighbour.feature)
            offers.append([(window, origin) for window in own.tolist()])
        return _in_turn(offers)[:count]


class SimilarTexts:
    """Windows whose text is near that of an activating one, by the cosine of their embeddings.

    The activating windows of the score half choose in turn, the strongest first, each the nearest window that is left,
    so that not only one of them has near negatives. A window of the very tokens of an activating one is never chosen.

    Args:
        builder: Knows the windows.
        pool: The windows that may be chosen, int64 [n], ascending.
        vectors: Their embeddings, unit vectors [n, d].
        embed: Returns the embeddings of other texts.
    """

    def __init__(
        self,
        builder: RecordBuilder,
        pool: np.ndarray,
        vectors: np.ndarray,
        embed: Callable[[Sequence[str]], np.ndarray],
    ) -> None:
        self._pool, self._vectors, self._embed = pool, vectors, embed
        self._rows = {start: row for row, start in enumerate(builder.starts(pool).tolist())}
        self._contents = [tuple(ids) for ids in builder.token_ids(pool).tolist()]

    def find(self, record: FeatureRecord, free: np.ndarray, count: int) -> Found:
        """Return windows that are near activating ones, each with the cosine."""
        activating = record.score.activating
        same = {example.token_ids for example in activating}
        open_rows = [row for row in np.flatnonzero(free[self._pool]).tolist() if self._contents[row] not in same]
        if not open_rows or not activating:
            return []
        cosines = (self._embedded(activating) @ self._vectors.T)[:, open_rows]
        chosen = _nearest_in_turn(np.round(cosines.astype(np.float64), _DECIMALS), count)
        return [(int(self._pool[open_rows[column]]), Origin(cosine)) for column, cosine in chosen]

    def _embedded(self, examples: Sequence[Example]) -> np.ndarray:
        """Return the embeddings of examples; most of them are those of windows of the pool."""
        rows = [self._rows.get(example.start) for example in examples]
        others = [example.text for example, row in zip(examples, rows, strict=True) if row is None]
        new = iter(self._embed(others) if others else ())
        return np.stack([next(new) if row is None else self._vectors[row] for row in rows])


def pooled(windows: np.ndarray, seed: int, most: int = MOST_POOLED) -> np.ndarray:
    """Return the windows among which similar ones are looked for: all, or a seeded draw of ``most``, ascending.

    Args:
        windows: The windows of the score half, int64, ascending.
        seed: Root seed.
        most: How many, at most.
    """
    if windows.size <= most:
        return windows
    return np.sort(generator(seed, "examples", "similar", "pool").choice(windows, most, replace=False))


def _in_turn(offers: Iterable[Found]) -> Found:
    """Return the first of each, then the second of each, and so on."""
    return [one for one in chain.from_iterable(zip_longest(*offers)) if one is not None]


def _nearest_in_turn(cosines: np.ndarray, count: int) -> list[tuple[int, float]]:
    """Return columns chosen by the rows in turn, each the nearest that is left, with their cosines.

    Args:
        cosines: Of each row with each column, [rows, columns].
        count: How many are wanted.
    """
    count = min(count, cosines.shape[1])
    # A row chooses at most ``count`` times, and others have taken fewer before: it needs no more of its nearest ones.
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :count].tolist()
    chosen: dict[int, float] = {}
    for row in range(count):
        place = row % len(nearest)
        column = next(column for column in nearest[place] if column not in chosen)
        chosen[column] = float(cosines[place, column])
    return list(chosen.items())
