"""The stored activations of one subject: any feature's are one seek away."""

from __future__ import annotations

import json
import zipfile
import zlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.activations import positions as code
from harness.activations.artefact import damaged, load_array, mark_used, read_ahead, read_meta
from harness.activations.context_sample import context_levels, unpack_contexts
from harness.activations.protocol import ContextSample, FeatureActivations
from harness.errors import FeatureSourceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["FILES", "FORMAT", "KIND", "SAMPLED", "SPANS", "ActivationStore", "Sampled"]

KIND = "activations"
FORMAT = 2
FILES = ("indptr.npy", "offsets.npy", "positions.npy", "values.npy", "checksums.npy")
SAMPLED = "sampled.npz"
SPANS = "spans.jsonl"
_THEN = "then_"


class Sampled:
    """What a store knows of the features of which it keeps a sample of contexts; see ``context_sample``.

    Args:
        folder: The store's folder.

    Raises:
        MaterialError: If it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        try:
            with (folder / SAMPLED).open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
                self._arrays: dict[str, np.ndarray] = {name: arrays[name] for name in arrays.files}
            self._features = self._arrays["features"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise damaged(folder, f"{SAMPLED} cannot be read ({error})") from error

    @property
    def features(self) -> np.ndarray:
        """Return the features, int64, ascending."""
        return self._features

    @property
    def n_active(self) -> np.ndarray:
        """Return how often each of them is active in the corpus, int64."""
        return self._arrays["n_active"]

    @property
    def highest_level(self) -> int:
        """Return the level of contexts of which the smallest sample is made."""
        return int(self._arrays["level"].max(initial=0))

    def of(self, feature: int, levels: np.ndarray) -> ContextSample | None:
        """Return which contexts are kept of ``feature``; None if all are.

        Args:
            feature: Its number.
            levels: The level of every context (``context_levels``).
        """
        row = int(np.searchsorted(self._features, feature))
        if row == self._features.size or self._features[row] != feature:
            return None
        level = int(self._arrays["level"][row])
        packed = np.concatenate([self._arrays["strongest"][row], self._arrays["settled"][row]])
        return ContextSample(
            uniform=np.flatnonzero(levels >= level),
            strongest=unpack_contexts(packed),
            rate=2.0**-level,
            n_active=int(self._arrays["n_active"][row]),
            max=float(self._arrays["largest"][row]),
        )

    def then(self) -> dict[str, np.ndarray]:
        """Return the state of these features before the last span of the corpus, as a writer takes it over."""
        before = {name.removeprefix(_THEN): array for name, array in self._arrays.items() if name.startswith(_THEN)}
        return {"features": self._features, **before}


class ActivationStore:
    """The ``ActivationReader`` that lives in a folder, sorted by feature, then by position.

    ``indptr[f]`` to ``indptr[f + 1]`` are feature ``f``'s entries of ``values``, ``offsets[f]`` to ``offsets[f + 1]``
    the bytes of ``positions`` that code their places (``harness.activations.positions``), and ``checksums[f]`` is the
    CRC-32 of both, compared whenever the feature is read.

    Args:
        folder: Where it was written.
        fingerprint: The fingerprint it must have; the folder's name if not given.
        identity: What it must have been made of, if that is to be compared.
        context_starts: The contexts of its corpus; needed if it keeps only a sample of some features.

    Raises:
        MaterialError: If the folder holds something else, or is damaged; the message says what differs.
    """

    def __init__(
        self,
        folder: Path,
        fingerprint: str | None = None,
        *,
        identity: Mapping[str, Any] | None = None,
        context_starts: np.ndarray | None = None,
    ) -> None:
        self.folder = folder
        self.meta = read_meta(folder, kind=KIND, format_version=FORMAT, fingerprint=fingerprint)
        if identity is not None and (other := difference(identity, self.meta.get("identity", {}))):
            raise damaged(folder, f"the store was made of something else: {other}")
        arrays = [load_array(folder, name) for name in FILES]
        self._indptr, self._offsets, self._positions, self._values, self._checksums = arrays
        self._sampled = Sampled(folder)
        self._context_starts = context_starts
        self._last: tuple[int, FeatureActivations] | None = None
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
        return int(self._values.size)

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

    @property
    def sampled(self) -> Sampled:
        """Return what is known of features of which only a sample of contexts is kept."""
        return self._sampled

    def spans(self) -> list[dict[str, Any]]:
        """Return the spans of the corpus it was made of, in order (``writer.SpanFacts`` as plain data).

        Raises:
            MaterialError: If they cannot be read.
        """
        try:
            lines = (self.folder / SPANS).read_text(encoding="utf-8").splitlines()
            return [json.loads(line) for line in lines]
        except (OSError, ValueError) as error:
            raise damaged(self.folder, f"{SPANS} cannot be read ({error})") from error

    def feature(self, index: int) -> FeatureActivations:
        """Return all kept activations of one feature.

        Raises:
            FeatureSourceError: If ``index`` is out of range (the message gives the range).
            MaterialError: If what is stored of it is not what was written.
        """
        last = self._last
        if last is not None and last[0] == index:
            return last[1]
        if not 0 <= index < self.n_features:
            raise FeatureSourceError(f"there is no feature {index}; the valid ones are 0 to {self.n_features - 1}")
        packed = self._positions[int(self._offsets[index]) : int(self._offsets[index + 1])]
        values = self._values[int(self._indptr[index]) : int(self._indptr[index + 1])]
        for part in (packed, values):
            read_ahead(part)
        if values.size and zlib.crc32(values.data, zlib.crc32(packed.data)) != self._checksums[index]:
            raise damaged(self.folder, f"what is stored of feature {index} is not what was written (CRC-32 differs)")
        try:
            positions = code.decode(packed, values.size, self.n_tokens)
        except ValueError as error:
            raise damaged(self.folder, f"the positions of feature {index} cannot be read: {error}") from error
        wide = values.astype(np.float32)
        for array in (positions, wide):
            array.flags.writeable = False
        found = FeatureActivations(positions, wide, self._sample_of(index))
        self._last = (index, found)  # a record and its facts are asked for one after the other
        return found

    def counts(self) -> np.ndarray:
        """Return the number of activations of every feature in the corpus, kept or not, int64 [n_features]."""
        counts = np.diff(self._indptr)
        counts[self._sampled.features] = self._sampled.n_active
        return counts

    def kept_of_all(self) -> np.ndarray | None:
        """Return which tokens every feature's activations are kept of, bool [n_tokens]; None if all of all are."""
        if not self._sampled.features.size:
            return None
        kept = self._levels >= self._sampled.highest_level
        return np.repeat(kept, np.diff(np.asarray(self._context_starts)))

    def _sample_of(self, index: int) -> ContextSample | None:
        if not self._sampled.features.size:
            return None
        return self._sampled.of(index, self._levels)

    @cached_property
    def _levels(self) -> np.ndarray:
        if self._context_starts is None:
            message = "a store that keeps samples of contexts was opened without the contexts"
            raise ValueError(message)
        return context_levels(np.asarray(self._context_starts)[:-1])

    def _check(self) -> None:
        indptr, offsets = self._indptr, self._offsets
        if indptr.size != self.n_features + 1:
            raise damaged(self.folder, f"indptr is of {indptr.size - 1} features, meta.json of {self.n_features}")
        fits = indptr.size == offsets.size == self._checksums.size + 1
        for starts, filled in ((indptr, self._values), (offsets, self._positions)):
            fits = fits and starts[0] == 0 and starts[-1] == filled.size and not np.any(np.diff(starts) < 0)
        if not fits:
            raise damaged(self.folder, "indptr, offsets, positions and values do not fit together")


def difference(wanted: Any, found: Any, at: str = "") -> str | None:
    """Return the first place where two pieces of plain data differ, ``place is 'b' where 'a' is wanted``, or None."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name in sorted({*wanted, *found}):
            if (below := difference(wanted.get(name), found.get(name), f"{at}.{name}".lstrip("."))) is not None:
                return below
        return None
    return None if wanted == found else f"{at} is {found!r} where {wanted!r} is wanted"
