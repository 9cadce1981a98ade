from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from harness.errors import FeatureSourceError
from harness.subjects.weights.safetensors_header import read_scalars, read_shapes

if TYPE_CHECKING:
    from pathlib import Path


def test_shapes_and_scalars_without_loading(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    scalars = {
        str(dtype): torch.tensor(-1.5, dtype=dtype)
        for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    }
    save_file({"w": torch.zeros(2, 3), "n": torch.tensor(7), "one": torch.tensor([2.0]), **scalars}, path, {"a": "b"})
    shapes = read_shapes(path)
    assert (shapes["w"], shapes["n"], shapes["one"]) == ((2, 3), (), (1,))
    assert read_scalars(path) == {**dict.fromkeys(scalars, -1.5), "one": 2.0}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"torn",
        struct.pack("<Q", 1 << 60),
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 6) + b'{"a":1',
        struct.pack("<Q", 8) + b'{"a": 1}',
    ],
)
def test_what_is_no_safetensors_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(FeatureSourceError, match=r"x\.safetensors: not readable as safetensors"):
        read_shapes(path)


def test_a_missing_file_and_a_torn_scalar(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(FeatureSourceError, match="not readable as safetensors"):
        read_shapes(path)
    save_file({"norm": torch.tensor(3.0)}, path)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(FeatureSourceError, match="norm is torn"):
        read_scalars(path)
