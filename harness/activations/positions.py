"""Ascending positions in nearly the fewest bits there are: the Elias-Fano code.

A position is cut into its low bits, written as they are, and its high bits, which ascend slowly and are written in
unary as one long bit string. Of ``m`` positions below ``n`` that takes at most ``2 + log2(n / m)`` bits each, rounded
up, where any code needs at least about ``1.44 + log2(n / m)`` on average (Elias 1974; Fano 1971). Both directions are
vectorised.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["decode", "encode", "encoded_bytes"]

_WINDOW = 8
"""Bytes read at once; low bits begin within the first and end within the last of them."""
_GROUP = 8
"""Numbers after which they begin at a whole byte again."""


def encode(positions: np.ndarray, universe: int) -> np.ndarray:
    """Return the code of strictly ascending ``positions`` [m], all from 0 to below ``universe``, as uint8."""
    if not positions.size:
        return np.zeros(0, dtype=np.uint8)
    width = _low_bits(positions.size, universe)
    low_bytes, high_bytes = _lengths(positions.size, universe)
    as_int = positions.astype(np.int64, copy=False)
    flags = np.zeros(high_bytes * 8, dtype=np.uint8)
    flags[(as_int >> width) + np.arange(as_int.size)] = 1
    high = np.packbits(flags, bitorder="little")
    if not width:
        return high
    low = (as_int & ((1 << width) - 1)).astype("<u8").view(np.uint8).reshape(-1, 8)
    bits = np.unpackbits(low, axis=1, count=width, bitorder="little")
    return np.concatenate([np.packbits(bits.ravel(), bitorder="little")[:low_bytes], high])


def decode(code: np.ndarray, count: int, universe: int) -> np.ndarray:
    """Return the ``count`` positions, int64 [count], that ``encode`` made ``code`` of.

    Raises:
        ValueError: If the code is not one of ``count`` positions.
    """
    low_bytes, high_bytes = _lengths(count, universe)
    if code.size != low_bytes + high_bytes:
        message = f"the code of {count} positions has {low_bytes + high_bytes} bytes, and {code.size} are there"
        raise ValueError(message)
    if not count:
        return np.zeros(0, dtype=np.int64)
    flags = np.unpackbits(code[low_bytes:], bitorder="little").view(np.bool_)
    high = np.flatnonzero(flags)
    if high.size != count:
        message = f"the code of {count} positions holds {high.size}"
        raise ValueError(message)
    high -= np.arange(count)
    width = _low_bits(count, universe)
    return high if not width else (high << width) | _unpacked(code[:low_bytes], count, width)


def encoded_bytes(count: int, universe: int) -> int:
    """Return the length of the code of ``count`` positions below ``universe``."""
    return sum(_lengths(count, universe))


def _low_bits(count: int, universe: int) -> int:
    return max(0, (universe // count).bit_length() - 1)


def _lengths(count: int, universe: int) -> tuple[int, int]:
    if not count:
        return 0, 0
    width = _low_bits(count, universe)
    return (count * width + 7) // 8, (count + ((universe - 1) >> width) + 1 + 7) // 8


def _unpacked(packed: np.ndarray, count: int, width: int) -> np.ndarray:
    """Return ``count`` numbers of ``width`` bits each, below 57, int64."""
    groups = -(-count // _GROUP)
    # Eight numbers of w bits are w bytes: the numbers at one place of all groups begin w bytes apart, at the same bit.
    padded = np.zeros(groups * width + _WINDOW, dtype=np.uint8)
    padded[: packed.size] = packed
    found = np.empty((groups, _GROUP), dtype=np.int64)
    for place in range(_GROUP):
        byte, bit = divmod(place * width, 8)
        windows: np.ndarray[Any, Any] = np.ndarray((groups,), "<i8", padded.data, offset=byte, strides=(width,))
        found[:, place] = (windows >> bit) & ((1 << width) - 1)
    return found.reshape(-1)[:count]
