"""Files that several processes may want at once: locked opening, and replacement as a whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.errors import ResultsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["UnlockableError", "locked", "open_locked", "reported", "write_all", "write_whole"]

_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})


class UnlockableError(OSError):
    """The file system knows no locks (some network mounts): whoever needs one has to claim a file instead."""


_CHUNK = 1 << 20


def open_locked(path: Path, *, wait: bool) -> int:
    """Return a descriptor of ``path``, made if need be, that holds its exclusive lock until it is closed.

    Args:
        path: The file.
        wait: Whether to wait for another holder, or fail at once. Where the file system knows no locks, one who would
            wait goes on without: the files of a run have one writer anyway, kept by the run's own claim.

    Raises:
        BlockingIOError: If another process holds the lock and ``wait`` is false.
        UnlockableError: If there are no locks here and ``wait`` is false.
        OSError: If the file cannot be opened.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _lock(descriptor, wait=wait)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Its last holder replaced or removed the file while we waited: ours is a lock on nothing.
        os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Yield a descriptor of ``path`` that holds its lock, waiting for other holders."""
    descriptor = open_locked(path, wait=True)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def reported(path: Path, doing: str) -> Iterator[None]:
    """Turn the operating system's refusals inside the block into one-line errors that name ``path``.

    Raises:
        ResultsError: Instead of an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        raise ResultsError(
            f"cannot {doing}: {error.strerror or error}", where=str(path), hint="check the folder, its owner and space"
        ) from error


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``, however often the operating system takes only a part."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_whole(path: Path, pieces: Iterable[str]) -> None:
    """Replace ``path`` by the joined ``pieces``: readers see the old file or the new one, a crash leaves one of them.

    Raises:
        ResultsError: If the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    with reported(path, "write"), locked(partial) as descriptor:
        os.ftruncate(descriptor, 0)
        buffer = bytearray()
        for piece in pieces:
            buffer += piece.encode()
            if len(buffer) >= _CHUNK:
                write_all(descriptor, bytes(buffer))
                buffer.clear()
        write_all(descriptor, bytes(buffer))
        os.fsync(descriptor)
        partial.replace(path)
        _sync_folder(path.parent)


def _lock(descriptor: int, *, wait: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        if not wait:
            raise UnlockableError(error.errno, error.strerror) from error


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)


def _sync_folder(folder: Path) -> None:
    """Put a rename in ``folder`` on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
