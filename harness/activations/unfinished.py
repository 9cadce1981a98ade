"""Artefacts that take long to make: what is there of them survives a crash, and one process makes them at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

from harness.activations.artefact import META, cache_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

__all__ = ["RUNS", "STATE", "Unfinished", "clear_remains", "remove_unfinished", "unfinished"]

STATE = "state.npz"
"""The file whose presence says that there is something to go on from."""

RUNS = "runs"
"""The folder of what is not in the artefact's own files yet."""

_PREFIX = ".unfinished-"
_LOCK = ".lock"
_HINT = "see to the disk or set paths.cache; what was collected so far is kept, and the same command goes on from there"


@dataclass(frozen=True)
class Unfinished:
    """An artefact that is being made.

    Attributes:
        folder: Where.
        final: Where it goes.
    """

    folder: Path
    final: Path

    def publish(self) -> None:
        """Move the finished artefact into its place; if one is there by now, that one stays."""
        clear_remains(self.folder)
        try:
            self.folder.rename(self.final)
        except OSError:
            if not (self.final / META).is_file():
                raise
            shutil.rmtree(self.folder)


@contextmanager
def unfinished(final: Path, waiting: Callable[[], None]) -> Iterator[Unfinished | None]:
    """Yield the folder in which ``final`` is made, with what an earlier process left there; None if ``final`` is there.

    The folder is kept if the block ends in an error and something was committed in it. While another process makes the
    same artefact this one waits. The lock is the kernel's, and ends with the process that holds it.

    Args:
        final: The artefact.
        waiting: Called once if there is another process to wait for.

    Raises:
        MaterialError: If the cache cannot be written, or its disk is full.
    """
    folder = final.with_name(f"{_PREFIX}{final.name}")
    with cache_errors(final, _HINT, within=final.parent):
        final.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(folder.name + _LOCK), waiting):
            if final.exists():
                yield None
                return
            folder.mkdir(exist_ok=True)
            made = Unfinished(folder, final)
            if (folder / META).exists():  # whole, but its maker did not come to move it
                made.publish()
                yield None
                return
            try:
                yield made
            finally:
                if not (folder / STATE).exists() and not (folder / META).exists():
                    shutil.rmtree(folder, ignore_errors=True)


def clear_remains(folder: Path) -> None:
    """Remove what the artefact in ``folder``, which is whole, could be gone on from."""
    for name in (STATE, f"new-{STATE}"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / RUNS, ignore_errors=True)


def remove_unfinished(parent: Path, before: datetime | None = None, keep: Collection[str] = ()) -> list[Path]:
    """Return the folders of unfinished artefacts in ``parent`` that no process works on, all removed.

    Args:
        parent: Where to look.
        before: Leave what was worked on since; None leaves nothing.
        keep: Names of artefacts whose unfinished work stays.
    """
    removed = []
    for folder in sorted(parent.glob(f"{_PREFIX}*")):
        if not folder.is_dir() or folder.name.removeprefix(_PREFIX) in keep:
            continue
        if before is not None and datetime.fromtimestamp(folder.stat().st_mtime, UTC) > before:
            continue
        lock = folder.with_name(folder.name + _LOCK)
        with lock.open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # it is being worked on
            if not _is_at(handle, lock):
                continue  # and so is this, under a lock of its own
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)
            removed.append(folder)
    return removed


@contextmanager
def _locked(lock: Path, waiting: Callable[[], None]) -> Iterator[None]:
    told = False
    while True:
        with lock.open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    waiting()
                told = True
                fcntl.flock(handle, fcntl.LOCK_EX)
            if not _is_at(handle, lock):
                continue  # whoever held it removed it, and the next one made another
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def _is_at(handle: IO[str], path: Path) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(handle.fileno()))
