"""What a safetensors file says of its tensors, read without loading them (and without importing torch)."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from harness.errors import FeatureSourceError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_scalars", "read_shapes"]

# An absurd length of the header means that the file is something else.
_LONGEST = 100_000_000
_FORMATS = {"F64": "<d", "F32": "<f", "F16": "<e"}


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor in ``path``, by name.

    Raises:
        FeatureSourceError: If it is missing or no safetensors file.
    """
    return {name: tuple(entry["shape"]) for name, entry in _read(path)[0].items()}


def read_scalars(path: Path) -> dict[str, float]:
    """Return the value of each floating-point tensor of one element in ``path``, by name.

    Raises:
        FeatureSourceError: If it is missing, torn or no safetensors file.
    """
    entries, start = _read(path)
    found = {}
    with path.open("rb") as file:
        for name, entry in entries.items():
            kind, (first, last) = entry["dtype"], entry["data_offsets"]
            if any(size != 1 for size in entry["shape"]) or kind not in {*_FORMATS, "BF16"}:
                continue
            file.seek(start + first)
            data = file.read(last - first)
            # bfloat16 is the upper half of a float32.
            layout, data = (_FORMATS[kind], data) if kind in _FORMATS else ("<f", b"\0\0" + data)
            if len(data) != struct.calcsize(layout):
                raise FeatureSourceError(f"not readable as safetensors: {name} is torn", where=str(path))
            found[name] = float(struct.unpack(layout, data)[0])
    return found


def _read(path: Path) -> tuple[dict[str, Any], int]:
    """Return the entry of each tensor, and where in the file the data starts."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _LONGEST:
                raise ValueError(f"a header of {length} bytes")  # noqa: TRY301  -- one place makes the message
            stored = json.loads(file.read(length))
            largest = path.stat().st_size - 8 - length
            entries = {
                str(name): _entry(name, entry, largest) for name, entry in stored.items() if name != "__metadata__"
            }
    except (
        OSError,
        struct.error,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as error:
        reason = " ".join(str(error).split())[:200]
        raise FeatureSourceError(f"not readable as safetensors: {reason}", where=str(path)) from error
    return entries, 8 + length


def _entry(name: str, entry: Any, largest: int) -> dict[str, Any]:
    """Return a tensor's entry with its parts of the types they should have; raises ValueError or TypeError if not."""
    first, last = (int(place) for place in entry["data_offsets"])
    if not 0 <= first <= last:
        raise ValueError(f"data from {first} to {last}")
    if last > largest:
        raise ValueError(f"{name} is torn: it should end at byte {last}, and there are {largest}")
    shape = [int(size) for size in entry["shape"]]
    return {"dtype": str(entry["dtype"]), "shape": shape, "data_offsets": (first, last)}
