"""The folder of a run: where its files are, and the lock that keeps a second process out."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness.errors import ResultsError
from harness.results.claim import ClaimedError, about_us, claim, owner
from harness.results.files import UnlockableError, open_locked, write_all

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["RunFolder", "RunPaths"]

_CLAIM = "run.claim"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=,+-]*")


class RunPaths:
    """The files of the run in folder ``path``, to read. To write, open a ``RunFolder``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def run_id(self) -> str:
        """Return the run's id, which is the folder's name."""
        return self.path.name

    @property
    def manifest(self) -> Path:
        """Return the path of ``manifest.json``."""
        return self.path / "manifest.json"

    @property
    def features(self) -> Path:
        """Return the path of ``features.jsonl``."""
        return self.path / "features.jsonl"

    @property
    def explanations(self) -> Path:
        """Return the path of ``explanations.jsonl``."""
        return self.path / "explanations.jsonl"

    @property
    def scores(self) -> Path:
        """Return the path of ``scores.jsonl``."""
        return self.path / "scores.jsonl"

    @property
    def items(self) -> Path:
        """Return the path of ``items.jsonl``."""
        return self.path / "items.jsonl"

    @property
    def events(self) -> Path:
        """Return the path of ``events.jsonl``."""
        return self.path / "events.jsonl"

    @property
    def lock(self) -> Path:
        """Return the path of the lock file, which is there while a process works on the run."""
        return self.path / "run.lock"


class RunFolder(RunPaths):
    """A run's folder whose lock this process holds. Made by ``open``; closed by ``close`` or as a context manager."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        super().__init__(path)
        self._descriptor = descriptor
        self._is_open = True

    @classmethod
    def open(cls, results_root: str | Path, run_id: str) -> Self:
        """Return the locked folder ``<results_root>/runs/<run_id>``, made if need be.

        The lock of a killed process is none. Where the file system knows no locks, the folder is claimed by a file.

        Raises:
            ResultsError: If the folder cannot be written, the id is no plain file name, or another process works on
                the run (the message names it and says for how long).
        """
        if not _NAME.fullmatch(run_id):
            raise ResultsError(f"'{run_id}' cannot be the name of a run", hint="use letters, digits, '.', '_' and '-'")
        path = Path(results_root) / "runs" / run_id
        try:
            path.mkdir(parents=True, exist_ok=True)
            return cls(path, _lock(path))
        except OSError as error:
            raise ResultsError(
                f"cannot write the results folder: {error.strerror or error}",
                where=str(path),
                hint="name another folder with paths.results=FOLDER",
            ) from error

    def close(self) -> None:
        """Give the lock back and remove its file; idempotent."""
        if not self._is_open:
            return
        self._is_open = False
        if self._descriptor is None:
            (self.path / _CLAIM).unlink(missing_ok=True)
            return
        # Removed while still held: whoever opened it meanwhile sees that it is gone and opens a new one.
        self.lock.unlink(missing_ok=True)
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _lock(path: Path) -> int | None:
    """Return the descriptor that holds the lock of the run in ``path``, None if it had to be claimed by a file."""
    hint = "wait for it or stop it; the same command then goes on where it stopped"
    try:
        descriptor = open_locked(path / "run.lock", wait=False)
    except BlockingIOError:
        what = f"another process works on this run: {owner(path / 'run.lock')}"
        raise ResultsError(what, where=str(path), hint=hint) from None
    except UnlockableError:
        (path / "run.lock").unlink(missing_ok=True)
        try:
            claim(path / _CLAIM)
        except ClaimedError:
            what = f"another process works on this run: {owner(path / _CLAIM)}"
            hint = f"wait for it or stop it; if it is gone, remove {path / _CLAIM}"
            raise ResultsError(what, where=str(path), hint=hint) from None
        return None
    os.ftruncate(descriptor, 0)
    write_all(descriptor, about_us())
    return descriptor
