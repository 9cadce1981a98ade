"""Sorted runs: what was collected so far, on disk, and the merge of all of them by blocks of whole features."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.activations.artefact import load_array, save_array

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
        entries: How many there are.
        checksum: CRC-32 of its files, one after the other.
    """

    name: str
    entries: int
    checksum: int

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    def counts(self, folder: Path) -> np.ndarray:
        """Return the number of entries of every feature, uint32 [n_features], memory-mapped."""
        return load_array(folder, f"{self.name}.counts.npy")

    def entries_between(self, folder: Path, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Return copies of the positions and values of entries ``first`` to before ``last``."""
        # Mapped anew each time, so that pages already merged do not stay in memory.
        positions, values = (load_array(folder, f"{self.name}.{part}.npy") for part in _PARTS[1:])
        return np.array(positions[first:last]), np.array(values[first:last])

    def entries_of_all(self, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the feature (int64), position (int64) and value of every entry."""
        counts = self.counts(folder)
        positions, values = self.entries_between(folder, 0, self.entries)
        return np.repeat(np.arange(counts.size), counts), positions.astype(np.int64), values

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
    totals = np.zeros(n_features, dtype=np.int64)
    for run in runs:
        totals += run.counts(folder)
    ends = np.cumsum(totals)
    bounds = [0]
    while bounds[-1] < n_features:
        # A feature with more entries than that is a block of its own.
        before = int(ends[bounds[-1] - 1]) if bounds[-1] else 0
        last = int(np.searchsorted(ends, before + most, side="right"))
        bounds.append(min(max(last, bounds[-1] + 1), n_features))
    offsets = [np.concatenate([[0], np.cumsum(run.counts(folder), dtype=np.int64)])[bounds] for run in runs]
    for number, (first, last) in enumerate(pairwise(bounds)):
        parts = [
            _part(folder, run, first, last, (int(at[number]), int(at[number + 1])))
            for run, at in zip(runs, offsets, strict=True)
            if at[number + 1] > at[number]
        ]
        if parts:
            yield _sorted(first, last, *(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _part(
    folder: Path, run: Run, first: int, last: int, span: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    small = last - first <= _FEATURES_16
    local = np.arange(last - first, dtype=np.uint16 if small else np.int64)
    positions, values = run.entries_between(folder, *span)
    return np.repeat(local, run.counts(folder)[first:last]), positions, values


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
