"""Slices of a one-dimensional array on disk, read without a mapping: what was read does not stay in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.activations.artefact import damaged, load_array

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ArrayFile"]


class ArrayFile:
    """An array in a ``.npy`` file. The file is opened for each slice, so any number of them can be at hand.

    Args:
        folder: Where the file is.
        name: Its name.

    Raises:
        MaterialError: If it is not a one-dimensional array.
    """

    def __init__(self, folder: Path, name: str) -> None:
        mapped = load_array(folder, name)
        self._folder, self._name = folder, name
        self._dtype = mapped.dtype
        self.size = int(mapped.size)
        # The header is all that stands before the entries.
        self._header = (folder / name).stat().st_size - mapped.nbytes

    def read(self, first: int, last: int | None) -> np.ndarray:
        """Return entries ``first`` to before ``last``, or to the end.

        Raises:
            MaterialError: If the file has become shorter.
        """
        last = self.size if last is None else last
        offset = self._header + first * self._dtype.itemsize
        found = np.fromfile(self._folder / self._name, self._dtype, count=last - first, offset=offset)
        if found.size != last - first:
            raise damaged(self._folder, f"{self._name} ends before entry {last}")
        return found
