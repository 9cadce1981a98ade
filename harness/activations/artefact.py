"""Artefacts on disk: a folder that is there whole or not at all, its ``meta.json``, and its checked arrays."""

from __future__ import annotations

import errno
import fcntl
import json
import mmap
import os
import shutil
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np

from harness.errors import MaterialError
from harness.identity import file_sha256, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "META",
    "PARTIAL",
    "USED",
    "ArrayAppender",
    "building",
    "cache_errors",
    "damaged",
    "load_array",
    "mark_used",
    "read_ahead",
    "read_meta",
    "remove_dead_partials",
    "save_array",
    "save_arrays",
    "verify",
    "write_meta",
]

META = "meta.json"
USED = "last_used"
PARTIAL = ".partial-"
_LOCK = ".lock"
_CACHE_ERRORS = (
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EFBIG,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
)
_CACHE_HINT = "choose a folder you can write with paths.cache or HARNESS_CACHE, and see that the disk is not full"
_VERIFY_AT_OPEN_BYTES = 64 << 20
_READ_AHEAD_BYTES = 1 << 16


@contextmanager
def building(final: Path) -> Iterator[Path]:
    """Yield a fresh folder that becomes ``final`` when the block ends without an error, and vanishes otherwise.

    The builder holds a lock that the kernel releases when its process ends, however it ends, so the remains of a dead
    builder are told from the work of a living one. If another process was first, its artefact stays and ours goes.

    Raises:
        MaterialError: If the cache cannot be written, or its disk is full.
    """
    with cache_errors(final), _building(final) as partial:
        yield partial


@contextmanager
def cache_errors(final: Path, hint: str = _CACHE_HINT, within: Path | None = None) -> Iterator[None]:
    """Hold a context in which the errors of a cache that cannot be written become one line.

    Args:
        final: What is being made.
        hint: How that is mended.
        within: The folder whose errors are meant; those of files elsewhere are left as they are.

    Raises:
        MaterialError: If the cache cannot be written, or its disk is full.
    """
    try:
        yield
    except OSError as error:
        elsewhere = within is not None and isinstance(error.filename, str) and not _is_in(error.filename, within)
        if error.errno not in _CACHE_ERRORS or elsewhere:
            raise
        raise MaterialError(f"cannot write the cache: {error.strerror}", where=str(final), hint=hint) from error


@contextmanager
def _building(final: Path) -> Iterator[Path]:
    final.parent.mkdir(parents=True, exist_ok=True)
    remove_dead_partials(final.parent)
    partial = final.parent / f"{PARTIAL}{final.name}-{os.getpid()}-{os.urandom(4).hex()}"
    lock = _lock_of(partial)
    with lock.open("w") as held:
        # The lock is taken before the folder exists: a folder without a held lock is therefore always a dead one.
        fcntl.flock(held, fcntl.LOCK_EX)
        partial.mkdir()
        try:
            yield partial
            _move_into_place(partial, final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            lock.unlink(missing_ok=True)


def remove_dead_partials(parent: Path) -> list[Path]:
    """Return the half-written folders of ended processes in ``parent``, all removed."""
    removed = []
    for partial in sorted(parent.glob(f"{PARTIAL}*")):
        if not partial.is_dir():
            continue
        lock = _lock_of(partial)
        with lock.open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # its builder is alive
            shutil.rmtree(partial, ignore_errors=True)
            lock.unlink(missing_ok=True)
            removed.append(partial)
    return removed


def write_meta(folder: Path, meta: Mapping[str, Any], files: Sequence[str]) -> None:
    """Write ``meta.json`` with the time of creation and the size and SHA-256 of each of ``files``."""
    described = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": file_sha256(folder / name)} for name in files
    }
    whole = {**plain(dict(meta)), "created": datetime.now(UTC).isoformat(timespec="seconds"), "files": described}
    new = folder / f"new-{META}"
    with new.open("wb") as stream:
        stream.write((json.dumps(whole, indent=2, sort_keys=True) + "\n").encode())
        _synced(stream)
    new.replace(folder / META)


def read_meta(folder: Path, *, kind: str, format_version: int, fingerprint: str | None = None) -> dict[str, Any]:
    """Return the ``meta.json`` of the artefact in ``folder``, checked.

    Artefacts of up to 64 MiB are compared with their checksums every time they are opened; of larger ones only the
    sizes are (``verify`` does the rest on request), since reading gigabytes would undo the point of mapping them.

    Raises:
        MaterialError: If the artefact is damaged or is not what was asked for; the message says what differs.
    """
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise damaged(folder, f"{META} cannot be read ({error})") from error
    if not isinstance(meta, dict) or not isinstance(meta.get("files"), dict):
        raise damaged(folder, f"{META} does not describe an artefact")
    expected = {"kind": kind, "format": format_version, "fingerprint": fingerprint or folder.name}
    for key, value in expected.items():
        if meta.get(key) != value:
            raise damaged(folder, f"{META} has {key} {meta.get(key)!r} where {value!r} is expected")
    verify(folder, meta, contents=_total_bytes(meta) <= _VERIFY_AT_OPEN_BYTES)
    return meta


def verify(folder: Path, meta: Mapping[str, Any], *, contents: bool = True) -> None:
    """Check the files of an artefact against its ``meta.json``: sizes, and with ``contents`` checksums.

    Raises:
        MaterialError: If a file is missing or differs.
    """
    for name, described in meta["files"].items():
        path = folder / Path(name).name  # a name in a file never leads out of the folder
        if not path.is_file():
            raise damaged(folder, f"{name} is missing")
        if path.stat().st_size != described["bytes"]:
            raise damaged(folder, f"{name} has {path.stat().st_size} bytes where {described['bytes']} were written")
        if contents and file_sha256(path) != described["sha256"]:
            raise damaged(folder, f"the contents of {name} are not those that were written (SHA-256 differs)")


def load_array(folder: Path, name: str) -> np.ndarray:
    """Return the array in ``name``, memory-mapped read-only.

    Raises:
        MaterialError: If it is not a one-dimensional ``.npy`` array.
    """
    path = folder / name
    try:
        mapped: np.memmap[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise damaged(folder, f"{name} is not an array ({error})") from error
    if mapped.ndim != 1:
        raise damaged(folder, f"{name} has {mapped.ndim} dimensions where 1 is expected")
    return mapped.view(np.ndarray)  # slices of the memmap subclass are an order of magnitude slower to make


def read_ahead(part: np.ndarray) -> None:
    """Have the system read a slice of a mapped array in one piece, where it would fetch it page by page when touched.

    From a cold disk that is several times as fast. It is advice: a slice of anything else, or of a few pages, is left
    as it is.
    """
    if part.nbytes < _READ_AHEAD_BYTES:
        return
    array: Any = part
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    mapped = getattr(array, "base", None)
    if not isinstance(mapped, mmap.mmap):
        return
    first = array.offset % mmap.ALLOCATIONGRANULARITY + part.ctypes.data - array.ctypes.data
    page = first // mmap.PAGESIZE * mmap.PAGESIZE
    if hasattr(mapped, "madvise"):  # not on Windows
        mapped.madvise(mmap.MADV_WILLNEED, page, first + part.nbytes - page)


def save_array(path: Path, array: np.ndarray, dtype: np.dtype[Any] | type[np.generic] | None = None) -> None:
    """Write a one-dimensional array; unlike NumPy's own writing, a full disk is told as one."""
    with ArrayAppender(path, array.dtype if dtype is None else dtype) as file:
        file.append(array)


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as an uncompressed ``.npz``; the same arrays give the same bytes."""
    named: Any = dict(arrays)
    with path.open("wb") as stream:
        np.savez(stream, **named)
        _synced(stream)


def mark_used(folder: Path) -> None:
    """Note that the artefact was used now; a read-only cache is no error."""
    with suppress(OSError):
        (folder / USED).touch()


def damaged(folder: Path, difference: str) -> MaterialError:
    """Return the error that says what is wrong with the artefact in ``folder``."""
    return MaterialError(difference, where=str(folder), hint="delete this folder; it is made again when next needed")


class ArrayAppender:
    """A one-dimensional ``.npy`` file that grows: its final length is written into the header on close."""

    def __init__(self, path: Path, dtype: np.dtype[Any] | type[np.generic]) -> None:
        self.dtype = np.dtype(dtype)
        self.length = 0
        self._stream: IO[bytes] = path.open("wb")
        self._write_header()
        self._start = self._stream.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, values: np.ndarray) -> None:
        """Add ``values``, converted to the array's type."""
        self._stream.write(np.ascontiguousarray(values, dtype=self.dtype).data)
        self.length += values.size

    def close(self) -> None:
        """Write the final length and close the file."""
        if self._stream.closed:
            return
        with closing(self._stream):
            self._stream.seek(0)
            self._write_header()
            if self._stream.tell() != self._start:  # the format leaves room for 21 digits
                message = "the header of an array outgrew its place"
                raise AssertionError(message)
            _synced(self._stream)

    def _write_header(self) -> None:
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.length,)}
        np.lib.format.write_array_header_1_0(self._stream, header)


def _is_in(path: str, folder: Path) -> bool:
    return Path(path).absolute().is_relative_to(folder.absolute())


def _synced(stream: IO[bytes]) -> None:
    """Have the disk hold what was written, so that a crash of the whole machine finds it there, too."""
    stream.flush()
    os.fsync(stream.fileno())


def _lock_of(partial: Path) -> Path:
    return partial.with_name(partial.name + _LOCK)


def _move_into_place(partial: Path, final: Path) -> None:
    try:
        partial.rename(final)
    except OSError:
        if not (final / META).is_file():
            raise


def _total_bytes(meta: Mapping[str, Any]) -> int:
    return sum(int(described["bytes"]) for described in meta["files"].values())
