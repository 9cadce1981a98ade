"""Slices of arrays on disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.activations.artefact import load_array, read_ahead, save_array
from harness.activations.slices import ArrayFile
from harness.errors import MaterialError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.uint64])
@pytest.mark.parametrize(("first", "last"), [(0, 0), (0, 5), (3, 7), (9, 10), (4, None), (0, None)])
def test_a_slice_is_that_of_the_array(tmp_path: Path, dtype: type, first: int, last: int | None) -> None:
    array: np.ndarray = np.arange(10).astype(dtype)
    save_array(tmp_path / "a.npy", array)
    file = ArrayFile(tmp_path, "a.npy")
    assert file.size == 10
    found = file.read(first, last)
    assert found.dtype == dtype
    assert found.tolist() == array[first:last].tolist()


def test_a_file_that_became_shorter_is_told(tmp_path: Path) -> None:
    save_array(tmp_path / "a.npy", np.arange(10))
    file = ArrayFile(tmp_path, "a.npy")
    os.truncate(tmp_path / "a.npy", (tmp_path / "a.npy").stat().st_size - 1)
    assert file.read(0, 9).tolist() == list(range(9))
    with pytest.raises(MaterialError, match=r"a\.npy ends before entry 10"):
        file.read(3, None)


@pytest.mark.parametrize("first", [0, 1, 511, 512, 40_000])
def test_reading_ahead_changes_nothing(tmp_path: Path, first: int) -> None:
    array = np.random.default_rng(0).random(100_000)
    save_array(tmp_path / "a.npy", array)
    for part in (load_array(tmp_path, "a.npy")[first:], array[first:], array[:3], load_array(tmp_path, "a.npy")):
        read_ahead(part)
    assert np.array_equal(load_array(tmp_path, "a.npy"), array)
