"""Sorted runs: what was collected so far, on disk, and the merge of all of them by blocks of whole features."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.activations.artefact import save_array
from harness.activations.slices import ArrayFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["Block", "Run", "merged", "write_run"]

_PARTS = ("counts", "positions", "values")
_FEATURES_16 = 1 << 16


@dataclass(frozen=True)
class Run:
    """A run on disk: entries sorted by feature, then by position.

    Attributes:
        name: What its files' names begin with.
        n_entries: How many there are.
        checksum: CRC-32 of its files, one after the other.
    """

    name: str
    n_entries: int
    checksum: int

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    def counts(self, folder: Path) -> np.ndarray:
        """Return the number of entries of every feature, uint32 [n_features]."""
        return _columns(self, folder)[0].read(0, None)

    def entries(
        self, folder: Path, features: np.ndarray, most: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield the feature (int64), position (int64) and value of the entries of some features.

        Nothing else is read. Each part is of whole features, and of about ``most`` entries.

        Args:
            folder: Where the run is.
            features: Which features, int64, ascending.
            most: Entries of a part; a feature with more is one by itself.
        """
        counts, positions, values = _columns(self, folder)
        of_all = counts.read(0, None).astype(np.int64)
        before = np.cumsum(of_all) - of_all
        sizes = of_all[features]
        for first, last in pairwise(_bounds(np.concatenate([[0], np.cumsum(sizes)]), most)):
            some = features[first:last].tolist()
            spans = [(int(before[feature]), int(before[feature] + of_all[feature])) for feature in some]
            yield (
                np.repeat(features[first:last], sizes[first:last]),
                np.concatenate([positions.read(*span) for span in spans]).astype(np.int64),
                np.concatenate([values.read(*span) for span in spans]),
            )

    def intact(self, folder: Path) -> bool:
        """Return whether the files are there and are those that were written."""
        paths = [folder / f"{self.name}.{part}.npy" for part in _PARTS]
        return all(path.is_file() for path in paths) and _checksum(paths) == self.checksum


@dataclass(frozen=True)
class Block:
    """All entries of some neighbouring features, sorted by feature, then by position.

    Attributes:
        first: The first feature.
        last: One past the last.
        features: Of each entry, int64 [n].
        positions: Of each entry, int64 [n].
        values: Of each entry, float32 [n].
    """

    first: int
    last: int
    features: np.ndarray
    positions: np.ndarray
    values: np.ndarray


def write_run(
    folder: Path, name: str, counts: np.ndarray, positions: np.ndarray, values: np.ndarray, wide: bool
) -> Run:
    """Write entries, sorted by feature and then by position, and return the run they make.

    Args:
        folder: Where to.
        name: What the files' names begin with.
        counts: Number of entries of every feature.
        positions: Of each entry.
        values: Of each entry.
        wide: Whether positions need 64 bits.
    """
    types = {"counts": np.uint32, "positions": np.uint64 if wide else np.uint32, "values": np.float32}
    paths = []
    for (part, dtype), array in zip(types.items(), (counts, positions, values), strict=True):
        paths.append(folder / f"{name}.{part}.npy")
        save_array(paths[-1], array, dtype)
    return Run(name, int(values.size), _checksum(paths))


def merged(folder: Path, runs: Sequence[Run], n_features: int, most: int) -> Iterator[Block]:
    """Yield all entries of all runs in blocks of whole features, ascending, of about ``most`` entries."""
    columns = [_columns(run, folder) for run in runs]
    totals = np.zeros(n_features, dtype=np.int64)
    for counts, _, _ in columns:
        totals += counts.read(0, None)
    bounds = _bounds(np.concatenate([[0], np.cumsum(totals)]), most)
    offsets = [np.concatenate([[0], np.cumsum(counts.read(0, None), dtype=np.int64)])[bounds] for counts, *_ in columns]
    for number, (first, last) in enumerate(pairwise(bounds)):
        parts = [
            _part(files, first, last, (int(at[number]), int(at[number + 1])))
            for files, at in zip(columns, offsets, strict=True)
            if at[number + 1] > at[number]
        ]
        if parts:
            yield _sorted(first, last, *(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _columns(run: Run, folder: Path) -> tuple[ArrayFile, ArrayFile, ArrayFile]:
    """Return the files of a run: counts of all features, positions, values."""
    counts, positions, values = (ArrayFile(folder, f"{run.name}.{part}.npy") for part in _PARTS)
    return counts, positions, values


def _bounds(ends: np.ndarray, most: int) -> list[int]:
    """Return the first features of blocks of about ``most`` entries, and one past the last feature.

    Args:
        ends: Entries before each feature, and all of them, int64 [n_features + 1].
        most: Entries of a block; a feature with more is one by itself.
    """
    bounds, n_features = [0], ends.size - 1
    while bounds[-1] < n_features:
        last = int(np.searchsorted(ends, ends[bounds[-1]] + most, side="right")) - 1
        bounds.append(min(max(last, bounds[-1] + 1), n_features))
    return bounds


def _part(
    files: tuple[ArrayFile, ArrayFile, ArrayFile], first: int, last: int, span: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    counts, positions, values = files
    small = last - first <= _FEATURES_16
    local = np.arange(last - first, dtype=np.uint16 if small else np.int64)
    return np.repeat(local, counts.read(first, last)), positions.read(*span), values.read(*span)


def _sorted(first: int, last: int, local: np.ndarray, positions: np.ndarray, values: np.ndarray) -> Block:
    # Runs mostly come in the order of the corpus, so that a stable sort by feature is all there is to do; of 16-bit
    # numbers it is a radix sort.
    order = np.argsort(local, kind="stable")
    features, positions = local[order].astype(np.int64), positions[order].astype(np.int64)
    if np.any((np.diff(features) == 0) & (np.diff(positions) < 0)):
        again = np.lexsort((positions, features))
        features, positions, order = features[again], positions[again], order[again]
    return Block(first, last, features + first, positions, values[order])


def _checksum(paths: Sequence[Path]) -> int:
    checksum = 0
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                checksum = zlib.crc32(block, checksum)
    return checksum
