"""Writing activations sorted by feature, with bounded memory: sorted runs on disk, then one merge by feature blocks."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.activations.artefact import ArrayAppender, write_meta
from harness.activations.store import FILES, FORMAT, KIND
from harness.errors import FeatureSourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["ActivationWriter"]

RUN_ENTRIES = 1 << 21
"""Activations held in memory before a sorted run is written (about 130 MB while sorting)."""

_UINT32_VALUES = 1 << 32
_FLOAT16_LARGEST = float(np.finfo(np.float16).max)
_FLOAT16_SMALLEST = float(np.finfo(np.float16).smallest_subnormal)


@dataclass(frozen=True)
class _Run:
    """A sorted run on disk. A key is ``feature * n_tokens + position``."""

    keys: Path
    values: Path

    def between(self, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return copies of the keys from ``bounds[0]`` up to before ``bounds[1]``, and their values."""
        # Mapped anew each time, so that pages already merged do not stay in memory.
        keys, values = (np.load(path, mmap_mode="r") for path in (self.keys, self.values))
        span = slice(*np.searchsorted(keys, bounds))
        return np.array(keys[span]), np.array(values[span])


class ActivationWriter:
    """Writes the store of one subject into ``folder``, which somebody else moves into place.

    Args:
        folder: An empty folder.
        n_features: How many features the source has.
        n_tokens: How many corpus tokens are looked at.
        name: The subject, for messages.
        run_entries: Activations held in memory at once.
    """

    def __init__(self, folder: Path, n_features: int, n_tokens: int, name: str, run_entries: int = RUN_ENTRIES) -> None:
        self._folder, self._n_features, self._n_tokens, self._name = folder, n_features, n_tokens, name
        self._run_entries = run_entries
        self._held: list[tuple[np.ndarray, np.ndarray]] = []
        self._n_held = 0
        self._runs: list[_Run] = []
        self._counts = np.zeros(n_features, dtype=np.int64)
        self._dropped: Counter[str] = Counter()
        self._largest, self._smallest = 0.0, np.inf

    def add(self, positions: np.ndarray, features: np.ndarray, values: np.ndarray, dropped: Mapping[str, int]) -> None:
        """Add activations in any order; exact zeros are no activations and are passed over.

        Raises:
            FeatureSourceError: If a value is not finite or a feature does not exist.
        """
        self._dropped.update({reason: int(count) for reason, count in dropped.items()})
        kept = values != 0
        positions, features, values = positions[kept], features[kept], values[kept]
        if not values.size:
            return
        self._refuse_nonsense(positions, features, values)
        sizes = np.abs(values)
        self._largest = max(self._largest, float(sizes.max()))
        self._smallest = min(self._smallest, float(sizes.min()))
        self._counts += np.bincount(features, minlength=self._n_features)
        keys = features.astype(np.int64) * self._n_tokens + positions.astype(np.int64)
        self._held.append((keys, values.astype(np.float32)))
        self._n_held += keys.size
        if self._n_held >= self._run_entries:
            self._spill()

    def finish(self, meta: Mapping[str, Any]) -> None:
        """Merge the runs and write the store with its ``meta.json``.

        Raises:
            FeatureSourceError: If a feature was given two values at one position.
        """
        self._spill()
        indptr = np.zeros(self._n_features + 1, dtype=np.int64)
        np.cumsum(self._counts, out=indptr[1:])
        np.save(self._folder / FILES[0], indptr)
        values_type, why = self._values_type()
        error = 0.0
        positions_type = np.uint32 if self._n_tokens <= _UINT32_VALUES else np.uint64
        with (
            ArrayAppender(self._folder / FILES[1], positions_type) as positions,
            ArrayAppender(self._folder / FILES[2], values_type) as values,
        ):
            for keys, block in self._merged(indptr):
                stored = block.astype(values_type)
                exact = block.astype(np.float64)
                error = max(error, float(np.max(np.abs(stored - exact) / np.abs(exact))))
                positions.append(keys % self._n_tokens)
                values.append(stored)
        self._runs.clear()
        shutil.rmtree(self._folder / "runs", ignore_errors=True)
        facts = {
            "kind": KIND,
            "format": FORMAT,
            "n_features": self._n_features,
            "n_tokens": self._n_tokens,
            "n_activations": int(indptr[-1]),
            "dropped": dict(sorted(self._dropped.items())),
            "values": {"type": np.dtype(values_type).name, "max_relative_error": error, "reason": why},
        }
        write_meta(self._folder, {**meta, **facts}, FILES)

    def _refuse_nonsense(self, positions: np.ndarray, features: np.ndarray, values: np.ndarray) -> None:
        wrong = ~np.isfinite(values)
        if wrong.any():
            at = int(np.argmax(wrong))
            raise FeatureSourceError(
                f"feature {features[at]} has the value {values[at]} at corpus token {positions[at]}",
                where=self._name,
                hint="check the weights, or load the subject model in float32",
            )
        if features.min() < 0 or features.max() >= self._n_features:
            raise FeatureSourceError(
                f"the source gave feature {features.max()} but says it has {self._n_features}", where=self._name
            )

    def _spill(self) -> None:
        if not self._held:
            return
        keys = np.concatenate([keys for keys, _ in self._held])
        values = np.concatenate([values for _, values in self._held])
        self._held.clear()
        self._n_held = 0
        order = np.argsort(keys)
        folder = self._folder / "runs"
        folder.mkdir(exist_ok=True)
        stem = f"{len(self._runs):06d}"
        paths = folder / f"{stem}.keys.npy", folder / f"{stem}.values.npy"
        for path, array in zip(paths, (keys, values), strict=True):
            np.save(path, array[order])
        self._runs.append(_Run(*paths))

    def _merged(self, indptr: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield all entries in order, in blocks of whole features that are about one run long."""
        first = 0
        while first < self._n_features:
            # A feature that is longer than a run is a block of its own; it has at most one entry per corpus token.
            last = int(np.searchsorted(indptr, indptr[first] + self._run_entries, side="right")) - 1
            last = min(max(last, first + 1), self._n_features)
            if indptr[last] > indptr[first]:
                yield self._block(first, last)
            first = last

    def _block(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        bounds = np.array([first, last], dtype=np.int64) * self._n_tokens
        parts = [run.between(bounds) for run in self._runs]
        keys = np.concatenate([keys for keys, _ in parts])
        values = np.concatenate([values for _, values in parts])
        order = np.argsort(keys)
        keys = keys[order]
        twice = np.flatnonzero(np.diff(keys) == 0)
        if twice.size:
            feature, position = divmod(int(keys[twice[0]]), self._n_tokens)
            raise FeatureSourceError(
                f"feature {feature} was given two values at corpus token {position}", where=self._name
            )
        return keys, values[order]

    def _values_type(self) -> tuple[type[np.floating[Any]], str]:
        if self._largest > _FLOAT16_LARGEST:
            return np.float32, f"float16 ends at {_FLOAT16_LARGEST:.0f} and the largest value is {self._largest:.6g}"
        if self._smallest < _FLOAT16_SMALLEST:
            return np.float32, f"float16 would turn the smallest value, {self._smallest:.6g}, into 0"
        return np.float16, "all values are in the range of float16"
