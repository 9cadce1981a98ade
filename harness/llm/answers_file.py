"""The file the answers lie in: how it is opened, locked, laid out and brought up to date.

Layout 2 is layout 1 with one more table, so that a file of paid answers is brought up to date by adding to it:

``answers``
    ``key`` (digest of everything that can change the answer), ``model``, ``created`` (seconds since 1970), ``answer``
    (JSON).
``uses``
    ``key``, ``used`` (when it was last served, noted now and then) and ``hits`` (how often). An answer never served
    has no row.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import time
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.errors import LLMError
from harness.llm.filesystems import is_shared_filesystem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["LAYOUT", "AnswersFile", "Journal", "answers_path", "failure", "journal_for"]

LAYOUT = 2
_ANSWERS = """
CREATE TABLE IF NOT EXISTS answers
(key TEXT PRIMARY KEY, model TEXT NOT NULL, created REAL NOT NULL, answer TEXT NOT NULL) WITHOUT ROWID
"""
_USES = """
CREATE TABLE IF NOT EXISTS uses
(key TEXT PRIMARY KEY, used REAL NOT NULL, hits INTEGER NOT NULL) WITHOUT ROWID
"""
_ELSEWHERE = "choose another folder with paths.cache=... or HARNESS_CACHE"
_PRIMARY = 0xFF  # the low byte of SQLite's codes is the kind, the rest the detail
_UNWRITABLE = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})
_UNWRITABLE_FOLDER = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_PAUSE_S = 0.02


class Journal(StrEnum):
    """How a transaction is kept whole.

    ``WAL`` is SQLite's write-ahead log: readers and the writer do not wait for each other. It shares memory between
    processes, which no network file system does; ``ROLLBACK`` is the journal that needs none, with every transaction
    under an advisory lock on a file beside it as well, written through to the disk.
    """

    WAL = "wal"
    ROLLBACK = "rollback"


def answers_path(cache: Path) -> Path:
    """Return where the answers of all models lie under the cache root."""
    return cache / "llm" / "answers.sqlite"


def journal_for(path: Path) -> Journal:
    """Return the journal for a file at ``path``, by the file system it is on."""
    return Journal.ROLLBACK if is_shared_filesystem(path) else Journal.WAL


class AnswersFile:
    """One connection to the file. Opened on first use; used from one thread at a time.

    Args:
        path: The file; its folder is made if need be.
        journal: None for what suits the file system.
        busy_s: How long to wait for other processes.

    Its methods raise LLMError, in one line, if the file cannot be opened, read or written.
    """

    def __init__(self, path: Path, journal: Journal | None = None, busy_s: float = 60.0) -> None:
        self.path = path
        self._journal = journal
        self._busy_s = busy_s
        self._connection: sqlite3.Connection | None = None
        self._lock: int | None = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for one look at the file."""
        try:
            connection = self._opened()
            with self._locked(fcntl.LOCK_SH):
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise failure(self.path, "read", error) from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for one transaction: committed at the end, taken back if anything is raised."""
        try:
            connection = self._opened()
            with self._locked(fcntl.LOCK_EX), _transaction(connection):
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise failure(self.path, "written", error) from error

    @contextmanager
    def alone(self) -> Iterator[sqlite3.Connection]:
        """Give the connection, outside a transaction, for what SQLite does in one of its own."""
        try:
            connection = self._opened()
            with self._locked(fcntl.LOCK_EX):
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise failure(self.path, "written", error) from error

    def close(self) -> None:
        """Close the file; idempotent. The next use opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            journal = self._journal or journal_for(self.path)
            connection = sqlite3.connect(self.path, timeout=self._busy_s, isolation_level=None, check_same_thread=False)
            try:
                self._set_up(connection, journal)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _set_up(self, connection: sqlite3.Connection, journal: Journal) -> None:
        # Only a new file takes it; an older one is rebuilt when it is first pruned.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        if journal is Journal.WAL and self._write_ahead(connection):
            # Loses nothing to a killed process; only a power failure may cost the last answers, never the file.
            connection.execute("PRAGMA synchronous = NORMAL")
        else:
            # The lock's own file is never removed, so that all processes lock the same one.
            self._lock = os.open(f"{self.path}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            with self._locked(fcntl.LOCK_EX):
                connection.execute("PRAGMA journal_mode = DELETE").fetchone()
            connection.execute("PRAGMA synchronous = FULL")
        with self._locked(fcntl.LOCK_EX), _transaction(connection):
            self._bring_up_to_date(connection)

    def _write_ahead(self, connection: sqlite3.Connection) -> bool:
        """Return whether the file is written ahead from now on; False where the file system cannot."""
        until = time.monotonic() + self._busy_s
        while True:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:
                # Two processes that make the file at once: SQLite does not wait by itself here.
                if _kind(error) == sqlite3.SQLITE_BUSY and time.monotonic() < until:
                    time.sleep(_PAUSE_S)
                    continue
                if _kind(error) in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL}:
                    raise
                return False
            return bool(mode == "wal")

    def _bring_up_to_date(self, connection: sqlite3.Connection) -> None:
        (layout,) = connection.execute("PRAGMA user_version").fetchone()
        if layout > LAYOUT:
            what = f"written by a newer version of the harness (layout {layout}, this one knows {LAYOUT})"
            raise LLMError(what, where=str(self.path), hint=f"upgrade, or {_ELSEWHERE}")
        for statement in (_ANSWERS, _USES):
            connection.execute(statement)
        # Written even where it is the same: a folder that cannot be written is found out before anything is paid for.
        connection.execute(f"PRAGMA user_version = {LAYOUT}")

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        if self._lock is None:
            yield
            return
        fcntl.flock(self._lock, how)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has ended the transaction by itself after some errors, such as a full disk.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def failure(path: Path, verb: str, error: sqlite3.Error | OSError) -> LLMError:
    """Return the one line that says why the answers at ``path`` cannot be ``verb`` (opened, read, written)."""
    where = str(path)
    kind = None if isinstance(error, OSError) else _kind(error)
    said = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    if kind in _UNWRITABLE or getattr(error, "errno", None) in _UNWRITABLE_FOLDER:
        return LLMError(f"the cache folder is read-only ({said})", where=str(path.parent), hint=_ELSEWHERE)
    if kind == sqlite3.SQLITE_CANTOPEN and not os.access(path.parent, os.W_OK):
        return LLMError(f"the cache folder is read-only ({said})", where=str(path.parent), hint=_ELSEWHERE)
    if kind == sqlite3.SQLITE_FULL:
        hint = f"free some space (harness cache prune), or {_ELSEWHERE}"
        return LLMError("the disk is full; no answer more can be kept", where=where, hint=hint)
    if kind in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        hint = f"move the file away (what it held is asked again), or {_ELSEWHERE}"
        return LLMError(f"the answer cache is damaged ({error})", where=where, hint=hint)
    if kind in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        hint = f"wait for the other process, or {_ELSEWHERE}"
        return LLMError("another process has kept the answer cache locked", where=where, hint=hint)
    return LLMError(f"the answer cache cannot be {verb}: {said}", where=where, hint=_ELSEWHERE)


def _kind(error: sqlite3.Error) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & _PRIMARY
