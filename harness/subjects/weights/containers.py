"""Tensors out of the files weights lie in: safetensors, NumPy archives, PyTorch files that hold nothing but tensors."""

from __future__ import annotations

import math
import tokenize
import zipfile
from pickle import UnpicklingError
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from harness.errors import FeatureSourceError
from harness.subjects.weights.torchfile import NOT_ONE, check_unpacked, restricted_load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["array_tensor", "plain_tensors", "read_tensors", "read_torch"]

_NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}

_TORN = (*NOT_ONE, SyntaxError, tokenize.TokenError)
_CONVERT = (
    "a pickle can run code when it is read. Convert it on a machine where you trust it: "
    "safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in state_dict.items()}, 'x.safetensors')"
)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors in ``path``, by name; numbers of a PyTorch file as tensors of one element.

    Raises:
        FeatureSourceError: If it is missing, torn, of no kind known here, or needs code to be read.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".npz":
        return _read_npz(path)
    found = read_torch(path)
    return plain_tensors(found, path)


def plain_tensors(found: Mapping[Any, Any], path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors and numbers among what a PyTorch file holds, as tensors without a gradient.

    Raises:
        FeatureSourceError: If a tensor is of another layout than a block of numbers, or claims more than the file has.
    """
    tensors = {}
    for name, value in found.items():
        if not isinstance(name, str):
            continue
        if isinstance(value, torch.Tensor):
            tensors[name] = _plain(value, name, path)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            tensors[name] = torch.tensor(float(value), dtype=torch.float64)
    return tensors


def read_torch(path: Path) -> dict[str, Any]:
    """Return the dictionary in a PyTorch file: tensors and plain data, nothing else is ever read.

    Raises:
        FeatureSourceError: If it is missing or torn, holds no dictionary, or needs code to be read.
    """
    try:
        value = restricted_load(path)
    except UnpicklingError as error:
        what = "holds more than tensors and plain data, and is not read"
        raise FeatureSourceError(what, where=str(path), hint=_CONVERT) from error
    except _TORN as error:
        raise FeatureSourceError(f"not readable as a PyTorch file: {_short(error)}", where=str(path)) from error
    if not isinstance(value, dict):
        raise FeatureSourceError(f"holds a {type(value).__name__} in place of named tensors", where=str(path))
    return {name: entry for name, entry in value.items() if isinstance(name, str)}


def array_tensor(file: IO[bytes], size: int) -> torch.Tensor:
    """Return the array in NumPy's own format that a stream of ``size`` bytes holds, whatever its byte order.

    Raises:
        ValueError: If it is something else, holds Python objects, or claims another size than it has.
        TypeError: If PyTorch has no such numbers.
    """
    version = np.lib.format.read_magic(file)
    if version not in _NPY_HEADERS:
        raise ValueError(f"an array of version {version}")
    shape, by_columns, dtype = _NPY_HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError("holds Python objects, which need allow_pickle")
    stated, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if stated != there or min(shape, default=0) < 0:
        raise ValueError(f"an array of shape {shape} has {stated} bytes, and {there} are there")
    data = bytearray(file.read(there))
    if len(data) != there:
        raise ValueError("an array is torn")
    array = np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if by_columns else "C")
    return torch.from_numpy(np.ascontiguousarray(array, dtype=dtype.newbyteorder("=")).reshape(shape))


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError, LookupError, ValueError, RuntimeError) as error:
        raise FeatureSourceError(f"not readable as safetensors: {_short(error)}", where=str(path)) from error


def _read_npz(path: Path) -> dict[str, torch.Tensor]:
    try:
        check_unpacked(path)
        with zipfile.ZipFile(path) as archive:
            return {
                entry.filename.removesuffix(".npy"): _read_npy(archive, entry)
                for entry in archive.infolist()
                if entry.filename.endswith(".npy")
            }
    except _TORN as error:
        raise FeatureSourceError(f"not readable as a NumPy archive: {_short(error)}", where=str(path)) from error


def _read_npy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> torch.Tensor:
    with archive.open(entry) as file:
        return array_tensor(file, entry.file_size)


def _plain(tensor: torch.Tensor, name: str, path: Path) -> torch.Tensor:
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        hint = "save it as a plain tensor"
        raise FeatureSourceError(
            f"{name:.60} is a sparse, quantised or empty-shelled tensor", where=str(path), hint=hint
        )
    # A view of one number can have any shape.
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        what = f"{name:.60} has shape {tuple(tensor.shape)}, for which the file holds too few numbers"
        raise FeatureSourceError(what, where=str(path))
    return tensor.detach()


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
