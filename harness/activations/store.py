"""The stored activations of one subject: any feature's are one seek away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from harness.activations.artefact import damaged, load_array, mark_used, read_meta
from harness.activations.protocol import FeatureActivations
from harness.errors import FeatureSourceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["FILES", "FORMAT", "KIND", "ActivationStore"]

KIND = "activations"
FORMAT = 1
FILES = ("indptr.npy", "positions.npy", "values.npy")


class ActivationStore:
    """The ``ActivationReader`` that lives in a folder: three mapped arrays, sorted by feature, then by position.

    ``indptr[f]`` to ``indptr[f + 1]`` are feature ``f``'s entries of ``positions`` and ``values``.

    Args:
        folder: Where it was written.
        fingerprint: The fingerprint it must have; the folder's name if not given.

    Raises:
        MaterialError: If the folder holds something else, or is damaged; the message says what differs.
    """

    def __init__(self, folder: Path, fingerprint: str | None = None) -> None:
        self.folder = folder
        self.meta = read_meta(folder, kind=KIND, format_version=FORMAT, fingerprint=fingerprint)
        self._indptr, self._positions, self._values = (load_array(folder, name) for name in FILES)
        self._check()
        mark_used(folder)

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the tokens, the model and the feature source."""
        return str(self.meta["fingerprint"])

    @property
    def n_features(self) -> int:
        """Return how many features the source has."""
        return int(self.meta["n_features"])

    @property
    def n_tokens(self) -> int:
        """Return how many corpus tokens were looked at."""
        return int(self.meta["n_tokens"])

    @property
    def n_activations(self) -> int:
        """Return how many activations are kept."""
        return int(self._positions.size)

    @property
    def dropped(self) -> Mapping[str, int]:
        """Return how many active values were left out, by reason."""
        dropped: dict[str, int] = self.meta["dropped"]
        return dropped

    @property
    def values_stored(self) -> Mapping[str, Any]:
        """Return the type the values are stored in, the largest relative error that brought, and why that type."""
        stored: dict[str, Any] = self.meta["values"]
        return stored

    def feature(self, index: int) -> FeatureActivations:
        """Return all kept activations of one feature.

        Raises:
            FeatureSourceError: If ``index`` is out of range (the message gives the range).
        """
        if not 0 <= index < self.n_features:
            raise FeatureSourceError(f"there is no feature {index}; the valid ones are 0 to {self.n_features - 1}")
        span = slice(int(self._indptr[index]), int(self._indptr[index + 1]))
        return FeatureActivations(self._positions[span].astype(np.int64), self._values[span].astype(np.float32))

    def counts(self) -> np.ndarray:
        """Return the number of kept activations of every feature, int64 [n_features]."""
        return np.diff(self._indptr)

    def _check(self) -> None:
        indptr, entries = self._indptr, self._positions.size
        if indptr.size != self.n_features + 1:
            raise damaged(self.folder, f"indptr is of {indptr.size - 1} features, meta.json of {self.n_features}")
        if indptr[0] != 0 or indptr[-1] != entries or np.any(np.diff(indptr) < 0) or self._values.size != entries:
            raise damaged(self.folder, "indptr, positions and values do not fit together")
