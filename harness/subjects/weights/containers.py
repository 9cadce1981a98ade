"""Tensors out of the files weights lie in: safetensors, NumPy archives, PyTorch files that hold nothing but tensors."""

from __future__ import annotations

import struct
import tokenize
import zipfile
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from harness.errors import FeatureSourceError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_tensors", "read_torch"]

# Whatever torch's and NumPy's readers were seen to raise over files that are torn or something else.
_TORN = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
)
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
    return {name: torch.as_tensor(value) for name, value in found.items() if _numeric(value)}


def read_torch(path: Path) -> dict[str, Any]:
    """Return the dictionary in a PyTorch file: tensors and plain data, nothing else is ever read.

    Raises:
        FeatureSourceError: If it is missing or torn, holds no dictionary, or needs code to be read.
    """
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        what = "holds more than tensors and plain data, and is not read"
        raise FeatureSourceError(what, where=str(path), hint=_CONVERT) from error
    except _TORN as error:
        raise FeatureSourceError(f"not readable as a PyTorch file: {_short(error)}", where=str(path)) from error
    if not isinstance(value, dict):
        raise FeatureSourceError(f"holds a {type(value).__name__} in place of named tensors", where=str(path))
    return {str(name): entry for name, entry in value.items()}


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise FeatureSourceError(f"not readable as safetensors: {_short(error)}", where=str(path)) from error


def _read_npz(path: Path) -> dict[str, torch.Tensor]:
    try:
        # Opened here, because NumPy leaves a torn archive open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: torch.from_numpy(np.ascontiguousarray(archive[name])) for name in archive.files}
    except _TORN as error:
        raise FeatureSourceError(f"not readable as a NumPy archive: {_short(error)}", where=str(path)) from error


def _numeric(value: object) -> bool:
    return isinstance(value, (torch.Tensor, int, float)) and not isinstance(value, bool)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
