"""What a path says of the weights in it, for formats that write it nowhere else."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from harness.errors import FeatureSourceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["files_like", "gemma_width", "holds_like", "in_path", "one_file"]

_SHOWN = 8
_GEMMA_WIDTH = re.compile(r"(?:^|_)width_(\d+)([km]?)(?:_|$)")


def in_path(path: Path, pattern: re.Pattern[str]) -> re.Match[str] | None:
    """Return the match of ``pattern`` in the last part of ``path`` that has one, or None."""
    # Not resolved: a cache may link to files whose own names say nothing.
    found = (pattern.search(part) for part in reversed(path.absolute().parts))
    return next((match for match in found if match is not None), None)


def gemma_width(path: Path) -> int | None:
    """Return the number of latents that Gemma Scope means by ``width_16k`` (a power of two) or ``width_64``."""
    match = in_path(path, _GEMMA_WIDTH)
    if match is None:
        return None
    thousands = {"": 0, "k": 1, "m": 2}[match[2]]
    stated = int(match[1]) * 1000**thousands
    return 2 ** round(math.log2(stated)) if thousands and stated else stated or None


def files_like(path: Path, pattern: re.Pattern[str]) -> list[Path]:
    """Return ``path`` itself if it is a file of that name, or the files of that name in the folder ``path``."""
    if path.is_file():
        return [path] if pattern.fullmatch(path.name) else []
    if not path.is_dir():
        return []
    return sorted(entry for entry in path.iterdir() if pattern.fullmatch(entry.name) and entry.is_file())


def holds_like(pattern: re.Pattern[str]) -> Callable[[Path], bool]:
    """Return a test whether a path is a file of such a name, or a folder that holds one."""
    return lambda path: bool(files_like(path, pattern))


def one_file(path: Path, pattern: re.Pattern[str]) -> Path:
    """Return the only file of that name at ``path``.

    Raises:
        FeatureSourceError: If there are several; the message lists them.
    """
    found = files_like(path, pattern)
    if len(found) == 1:
        return found[0]
    names = ", ".join(entry.name for entry in found[:_SHOWN])
    raise FeatureSourceError(
        f"holds {len(found)} files of weights, each a feature source of its own",
        where=str(path),
        hint=f"add one of: {names}",
    )
