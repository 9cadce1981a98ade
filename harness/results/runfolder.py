"""The folder of a run: where its files are, and the lock that keeps a second process out."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness.errors import ResultsError
from harness.results.files import open_locked, write_all

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["RunFolder", "RunPaths"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=,+-]*")
_MINUTE = 60
_HOUR = 3600


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

    def __init__(self, path: Path, descriptor: int) -> None:
        super().__init__(path)
        self._descriptor: int | None = descriptor

    @classmethod
    def open(cls, results_root: str | Path, run_id: str) -> Self:
        """Return the locked folder ``<results_root>/runs/<run_id>``, made if need be.

        Raises:
            ResultsError: If the folder cannot be written, the id is no plain file name, or another process works on
                the run (the message names it).
        """
        if not _NAME.fullmatch(run_id):
            raise ResultsError(f"'{run_id}' cannot be the name of a run", hint="use letters, digits, '.', '_' and '-'")
        path = Path(results_root) / "runs" / run_id
        try:
            path.mkdir(parents=True, exist_ok=True)
            descriptor = open_locked(path / "run.lock", wait=False)
        except BlockingIOError:
            raise ResultsError(
                f"another process works on this run: {_owner(path / 'run.lock')}",
                where=str(path),
                hint="wait for it or stop it; the same command then goes on where it stopped",
            ) from None
        except OSError as error:
            raise ResultsError(
                f"cannot write the results folder: {error.strerror or error}",
                where=str(path),
                hint="name another folder with paths.results=FOLDER",
            ) from error
        os.ftruncate(descriptor, 0)
        about = {"pid": os.getpid(), "host": socket.gethostname(), "started": time.time()}
        write_all(descriptor, json.dumps(about).encode())
        return cls(path, descriptor)

    def close(self) -> None:
        """Give the lock back and remove its file; idempotent."""
        if self._descriptor is not None:
            # Removed while still held: whoever opened it meanwhile sees that it is gone and opens a new one.
            self.lock.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _owner(lock: Path) -> str:
    """Return who holds the lock, as far as its file says: ``process 123 on host, for 4 min``."""
    try:
        about = json.loads(lock.read_text("utf-8"))
        age = max(0.0, time.time() - float(about["started"]))
        return f"process {int(about['pid'])} on {about['host']!s:.80}, for {_age(age)}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has not said which"


def _age(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h"
