"""Directions, one after the other, out of a safetensors or NumPy file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from harness.errors import FeatureSourceError
from harness.subjects.weights.containers import read_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["BIAS", "Vectors", "read_directions"]

BIAS = "bias"
"""Name of the tensor that holds the biases in a safetensors file of directions."""

_MATRIX = 2
_NPY_MAGIC = b"\x93NUMPY"


@dataclass(frozen=True, eq=False)
class Vectors:
    """Directions as a file holds them, in float32.

    Attributes:
        names: What to call each in messages.
        weight: [n, d].
        bias: [n], zeros where the file states none.
    """

    names: tuple[str, ...]
    weight: torch.Tensor
    bias: torch.Tensor


def read_directions(path: Path, bias: Path | None = None) -> Vectors:
    """Return the directions in ``path``.

    A ``.npy`` file holds a matrix [n, d], one direction per row, or one vector [d]. A ``.safetensors`` file holds one
    such tensor, or several vectors [d], which are taken in the order of their names (as text: ``d10`` before ``d2``);
    a tensor called ``bias`` [n] is no direction but their biases.

    Args:
        path: The file.
        bias: A file with the biases [n] alone, or None.

    Raises:
        FeatureSourceError: If a file is unreadable, holds something else or values that are no finite real numbers, or
            biases are given twice.
    """
    tensors = _read(path)
    biases = tensors.pop(BIAS, None) if path.suffix == ".safetensors" else None
    names, weight = _stack(tensors, path)
    _check_finite(names, weight, path)
    if bias is not None:
        if biases is not None:
            hint = "leave the option bias out, or take that tensor out of the file"
            raise FeatureSourceError(
                f"holds biases of its own, and {bias.name} is given too", where=str(path), hint=hint
            )
        path, biases = bias, _only(_read(bias), bias)
    if biases is None:
        return Vectors(names, weight, torch.zeros(len(weight)))
    expected = (len(weight),)
    # One probe's intercept is often a plain number.
    biases = biases.reshape(1) if biases.ndim == 0 else biases
    if tuple(biases.shape) != expected:
        message = f"the biases have shape {tuple(biases.shape)}, expected {expected}: one per direction"
        raise FeatureSourceError(message, where=str(path))
    biases = biases.float()
    _check_finite(tuple(f"the bias of {name}" for name in names), biases[:, None], path)
    return Vectors(names, weight, biases)


def _stack(tensors: Mapping[str, torch.Tensor], path: Path) -> tuple[tuple[str, ...], torch.Tensor]:
    """Return the directions' names and the matrix of them all."""
    if len(tensors) == 1:
        tensor = _only(tensors, path)
        matrix = tensor[None] if tensor.ndim == 1 else tensor
        if matrix.ndim != _MATRIX or matrix.numel() == 0:
            message = f"holds a tensor of shape {tuple(tensor.shape)}; directions are a matrix [n, d] or a vector [d]"
            raise FeatureSourceError(message, where=str(path))
        return tuple(f"direction {index}" for index in range(len(matrix))), matrix.float()
    names = sorted(tensors)
    if not names:
        raise FeatureSourceError("holds no direction", where=str(path))
    for name in names:
        shape, first = tuple(tensors[name].shape), tuple(tensors[names[0]].shape)
        if len(shape) != 1 or shape[0] == 0:
            message = f"holds {len(names)} tensors, of which '{name}' has shape {shape} and is no vector [d]"
            hint = "keep one matrix [n, d] in the file, or vectors only"
            raise FeatureSourceError(message, where=str(path), hint=hint)
        if shape != first:
            message = f"the vectors '{names[0]}' and '{name}' have widths {first[0]} and {shape[0]}"
            raise FeatureSourceError(
                message, where=str(path), hint="give directions of one place, which have one width"
            )
    return tuple(f"direction '{name}'" for name in names), torch.stack([tensors[name].float() for name in names])


def _only(tensors: Mapping[str, torch.Tensor], path: Path) -> torch.Tensor:
    if len(tensors) != 1:
        found = ", ".join(sorted(tensors)) or "none"
        raise FeatureSourceError(f"holds {len(tensors)} tensors where one is due: {found}", where=str(path))
    (tensor,) = tensors.values()
    return tensor


def _read(path: Path) -> dict[str, torch.Tensor]:
    tensors = {"": _read_npy(path)} if path.suffix == ".npy" else read_tensors(path)
    for name, tensor in tensors.items():
        if tensor.dtype == torch.bool or tensor.is_complex():
            what = f"'{name}'" if name else "the array"
            message = f"{what} is of type {str(tensor.dtype).removeprefix('torch.')}, not of real numbers"
            raise FeatureSourceError(message, where=str(path))
    return dict(tensors)


def _read_npy(path: Path) -> torch.Tensor:
    hint = "save the array of directions with numpy.save"
    try:
        with path.open("rb") as stream:
            # NumPy would take anything else for a pickle or an archive.
            if stream.read(len(_NPY_MAGIC)) != _NPY_MAGIC:
                raise FeatureSourceError("is no NumPy array, whatever its name says", where=str(path), hint=hint)
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, TypeError, SyntaxError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        if "allow_pickle" in reason:
            hint = "save it again as numbers: numpy.save('x.npy', numpy.asarray(directions, dtype='float32'))"
            raise FeatureSourceError("holds Python objects, and is not read", where=str(path), hint=hint) from error
        raise FeatureSourceError(f"not readable as a NumPy array: {reason}", where=str(path)) from error
    if array.dtype.kind not in "fiu":
        raise FeatureSourceError(f"the array is of type {array.dtype}, not of real numbers", where=str(path))
    # Values beyond float32 become infinite, and are refused as such with their place.
    with np.errstate(over="ignore", invalid="ignore"):
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32).reshape(array.shape))


def _check_finite(names: tuple[str, ...], rows: torch.Tensor, path: Path) -> None:
    for name, row in zip(names, rows, strict=True):
        if not bool(row.isfinite().all()):
            raise FeatureSourceError(f"{name} holds NaN or infinite values", where=str(path))
