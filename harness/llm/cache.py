"""Answers on disk: one SQLite file for all models and roles, shared by several processes.

Values are JSON, never pickles. An answer is committed before its caller sees it, so a killed run repeats no paid call.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any

from harness.errors import LLMError
from harness.llm.backend import Reply
from harness.llm.protocol import TokenAlternatives
from harness.outcome import Outcome

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["AnswerCache", "decode_reply", "encode_reply"]

_SCHEMA_VERSION = 1
_BUSY_S = 60.0
_CREATE = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    created REAL NOT NULL,
    answer TEXT NOT NULL
) WITHOUT ROWID
"""
_HINT = "choose another folder with paths.cache=..., or move this file away"


class AnswerCache:
    """The answers of one cache file. Opened on first use; safe to use from several threads and processes.

    Args:
        path: The SQLite file; its folder is made if need be.

    Every method raises LLMError if the file cannot be opened, read or written: a cache that silently forgets would
    bill twice.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @property
    def path(self) -> Path:
        """Return where the answers lie."""
        return self._path

    def get(self, key: str) -> Reply | None:
        """Return the answer stored under ``key``, or None."""
        with self._lock:
            try:
                row = self._open().execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
            except sqlite3.Error as error:
                raise self._failure("read", error) from error
        return None if row is None else decode_reply(row[0])

    def put(self, key: str, model: str, reply: Reply) -> None:
        """Store ``reply`` under ``key``; on disk when this returns. The first of two equal keys wins."""
        row = (key, model, time.time(), encode_reply(reply))
        with self._lock:
            try:
                with self._open() as connection:
                    connection.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", row)
            except sqlite3.Error as error:
                raise self._failure("written", error) from error

    def close(self) -> None:
        """Close the file; idempotent. The next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise self._failure("opened", error) from error
            self._connection = _connect(self._path)
        return self._connection

    def _failure(self, verb: str, error: Exception) -> LLMError:
        return LLMError(f"the answer cache cannot be {verb}: {error}", where=str(self._path), hint=_HINT)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False)
    try:
        _set_journal(connection)
        # NORMAL loses nothing to a killed process; only a power failure may cost the last answers, never the file.
        connection.execute("PRAGMA synchronous = NORMAL")
        with connection:
            connection.execute(_CREATE)
            _check_version(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_journal(connection: sqlite3.Connection) -> None:
    """Use the write-ahead log where the file system can (network ones cannot), else the rollback journal."""
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    except sqlite3.OperationalError:
        mode = "refused"
    if mode != "wal":
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()


def _check_version(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    elif version != _SCHEMA_VERSION:
        message = f"made by another version of the harness (layout {version}, this one writes {_SCHEMA_VERSION})"
        raise sqlite3.DatabaseError(message)


def encode_reply(reply: Reply) -> str:
    """Return ``reply`` as one JSON text (ASCII, so that any text survives)."""
    fields = {
        "text": reply.text,
        "finish_reason": reply.finish_reason,
        "input_tokens": reply.input_tokens,
        "output_tokens": reply.output_tokens,
        "logprobs": reply.logprobs and [[item.token, item.logprob, dict(item.alternatives)] for item in reply.logprobs],
    }
    return json.dumps(fields, separators=(",", ":"), allow_nan=False)


def decode_reply(text: str) -> Reply:
    """Return the reply that ``encode_reply`` wrote."""
    fields: dict[str, Any] = json.loads(text)
    logprobs = fields.pop("logprobs")
    tokens = None if logprobs is None else tuple(TokenAlternatives(*item) for item in logprobs)
    return Reply(Outcome.OK, logprobs=tokens, **fields)
