"""What a PyTorch file holds, found out without reading its weights and without running anything in it."""

from __future__ import annotations

import pickletools
import struct
import warnings
import zipfile
import zlib
from functools import lru_cache
from pickle import UnpicklingError
from typing import IO, TYPE_CHECKING, Any

from harness.errors import FeatureSourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

__all__ = [
    "NOT_ONE",
    "check_unpacked",
    "only_file",
    "pickled_globals",
    "read_with_stand_ins",
    "torch_entries",
    "torch_files",
]

_SUFFIX = ".pt"
_MMAP_NEEDS_ZIP = "mmap can only be used"
NOT_ONE = (
    OSError,
    ArithmeticError,
    AssertionError,
    MemoryError,
    zlib.error,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    struct.error,
    zipfile.BadZipFile,
)
"""What torch, NumPy and pickletools were seen to raise over files that are torn or something else."""
# The pickle of a checkpoint names its tensors only; one larger than this is no checkpoint of ours.
_MAX_PICKLE = 1 << 26
# PyTorch's old layout is four pickles (a magic number, a version, the machine, the object) and then the numbers.
_OLD_PICKLES = 4
# Weights pack badly; what packs better than this is made to fill the memory. Small files may be anything.
_MOST_PACKED, _ALWAYS_UNPACKED = 20, 1 << 24
_SHOWN = 8


def torch_entries(path: Path) -> dict[str, Any] | None:
    """Return the dictionary in a PyTorch file, with shapes (tuples) in place of its tensors.

    None if the file is torn, holds no dictionary, or needs code to be read. The numbers themselves stay on disk, except
    with files in PyTorch's layout of before version 1.6, which can only be read whole.
    """
    try:
        stat = path.stat()
    except OSError:
        return None
    return _entries(path, stat.st_size, stat.st_mtime_ns)


def pickled_globals(path: Path) -> frozenset[str]:
    """Return the full names of the classes and functions that a PyTorch file would import when it is unpickled.

    The pickle's instructions are listed and not carried out. Empty if there is no such file or it is something else.
    """
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                file.seek(0)
                return frozenset(name for _ in range(_OLD_PICKLES) for name in _globals(file))
            with zipfile.ZipFile(file) as archive:
                info = next(entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl"))
                if info.file_size > _MAX_PICKLE:
                    return frozenset()
                with archive.open(info) as pickled:
                    return frozenset(_globals(pickled))
    except (*NOT_ONE, StopIteration):
        return frozenset()


def check_unpacked(path: Path) -> None:
    """Compare what an archive unpacks to with its own size; other files pass.

    Raises:
        ValueError: If it is far more than numbers could be packed to.
        OSError: If the file is missing.
        zipfile.BadZipFile: If it is torn.
    """
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            return
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    size = path.stat().st_size
    if unpacked > _MOST_PACKED * size + _ALWAYS_UNPACKED:
        raise ValueError(f"its {size} bytes unpack to {unpacked}")


def restricted_load(path: Path, *, mmap: bool = False) -> object:
    """Return what PyTorch's restricted reader finds in a file: tensors and plain data, on the CPU.

    Raises:
        UnpicklingError: If it holds anything else.
        Exception: Another of ``NOT_ONE``, if it is torn or no such file, or unpacks to far more than it is.
    """
    import torch  # noqa: PLC0415  -- as below

    check_unpacked(path)
    with warnings.catch_warnings():
        # Of torn files it says first that their pickles are of odd versions.
        warnings.simplefilter("ignore", UserWarning)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)


def read_with_stand_ins(path: Path, classes: Collection[str]) -> object:
    """Return what a PyTorch file holds, with an empty object in place of each one of the ``classes`` it names.

    PyTorch's restricted reader takes tensors and plain data only. It is told that these names mean classes that have
    nothing but the attributes the file gives them; no code of the file's or of any package's is run or imported.

    Args:
        path: The file.
        classes: Full names, as ``pickled_globals`` lists them.

    Raises:
        FeatureSourceError: If it is missing or torn, or needs code to be read all the same.
    """
    import torch  # noqa: PLC0415  -- as below

    stand_ins: list[Any] = [(type("StandIn", (), {}), name) for name in classes]
    try:
        with torch.serialization.safe_globals(stand_ins):
            return restricted_load(path)
    except UnpicklingError as error:
        what = "holds more than tensors, plain data and a training run's configuration, and is not read"
        raise FeatureSourceError(what, where=str(path)) from error
    except NOT_ONE as error:
        said = " ".join(str(error).split())[:200]
        raise FeatureSourceError(f"not readable as a PyTorch file: {said}", where=str(path)) from error


def torch_files(path: Path, test: Callable[[Path], bool]) -> list[Path]:
    """Return the PyTorch files that pass ``test``: ``path`` itself, or those in the folder ``path``, by name."""
    found = sorted(path.glob(f"*{_SUFFIX}")) if path.is_dir() else [path]
    return [file for file in found if file.suffix == _SUFFIX and test(file)]


def only_file(path: Path, files: list[Path]) -> Path:
    """Return the one file of ``files``, which were found at ``path``.

    Raises:
        FeatureSourceError: If there are several; the message lists them.
    """
    if len(files) != 1:
        names = ", ".join(file.name for file in files[:_SHOWN])
        raise FeatureSourceError(f"holds {len(files)} feature sources", where=str(path), hint=f"add one of: {names}")
    return files[0]


@lru_cache(maxsize=64)
def _entries(path: Path, size: int, mtime_ns: int) -> dict[str, Any] | None:  # noqa: ARG001  -- parts of the cache key
    try:
        value = _load(path)
    except (UnpicklingError, *NOT_ONE):
        return None
    return _shapes(value) if isinstance(value, dict) else None


def _shapes(value: dict[Any, Any], depth: int = 0) -> dict[str, Any]:
    return {name: _shape(entry, depth) for name, entry in value.items() if isinstance(name, str)}


def _shape(entry: object, depth: int) -> object:
    import torch  # noqa: PLC0415  -- listings, and formats that say all in a config, do without PyTorch

    if isinstance(entry, torch.Tensor):
        return tuple(entry.shape)
    # Formats look one level down; a dictionary may hold itself, or be held more often than could be counted.
    return _shapes(entry, depth + 1) if isinstance(entry, dict) and not depth else entry


def _load(path: Path) -> object:
    try:
        return restricted_load(path, mmap=True)
    except RuntimeError as error:
        if _MMAP_NEEDS_ZIP not in str(error):
            raise
        return restricted_load(path)


def _globals(file: IO[bytes]) -> Iterator[str]:
    # PyTorch writes pickles of protocol 2, where every import is one instruction.
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name == "GLOBAL":
            yield str(argument).replace(" ", ".")
