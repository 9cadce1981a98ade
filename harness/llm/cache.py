"""Answers on disk: one SQLite file for all models and roles, shared by several processes.

Values are JSON, never pickles. An answer is committed before its caller sees it, so a killed run repeats no paid call.
Nothing here ever removes an answer: ``harness.llm.cache_contents`` does, when asked.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent import futures
from typing import TYPE_CHECKING

from harness.errors import LLMError
from harness.llm.answers_file import AnswersFile
from harness.llm.cache_writer import AnswerWriter
from harness.llm.stored import decode_reply, encode_reply

if TYPE_CHECKING:
    from pathlib import Path

    from harness.llm.answers_file import Journal
    from harness.llm.backend import Reply
    from harness.llm.cache_writer import Row

__all__ = ["AnswerCache"]

_SELECT = "SELECT answer FROM answers WHERE key = ?"
_HITS_AT_ONCE = 2_000  # noted in one transaction, not one each
_WRITE_BUSY_S = 600.0  # rebuilding a large file after it was pruned takes minutes


class AnswerCache:
    """The answers of one cache file. Opened on first use; safe to use from several threads and processes.

    Args:
        path: The SQLite file; its folder is made if need be.
        journal: How transactions are kept whole; None for what suits the file system.
        keep_all: Keep, and give back, what is no answer as well: refusals, answers cut off, empty ones. What the
            endpoint never answered is not kept in any case.

    Every method raises LLMError, in one line, if the file cannot be opened, read or written: a cache that silently
    forgets would bill twice.
    """

    def __init__(self, path: Path, journal: Journal | None = None, *, keep_all: bool = False) -> None:
        self._path = path
        self._keep_all = keep_all
        self._reader = AnswersFile(path, journal)
        self._reading = threading.Lock()
        self._hits: dict[str, int] = {}
        self._writer = AnswerWriter(AnswersFile(path, journal, _WRITE_BUSY_S), self._take_hits)

    @property
    def path(self) -> Path:
        """Return where the answers lie."""
        return self._path

    def open(self) -> None:
        """Make and open the file, and see that it can be written: to be called before anything is paid for."""
        with self._reading, self._reader.reading():
            pass

    def get(self, key: str) -> Reply | None:
        """Return the answer stored under ``key``, or None. Waits for no writer where the file is written ahead."""
        with self._reading:
            with self._reader.reading() as connection:
                row = connection.execute(_SELECT, (key,)).fetchone()
            if row is None:
                return None
            reply = self._decoded(key, row[0])
            if not self.keeps(reply):
                return None
            self._hits[key] = self._hits.get(key, 0) + 1
            if len(self._hits) >= _HITS_AT_ONCE:
                self._writer.note_hits()
            return reply

    def keeps(self, reply: Reply) -> bool:
        """Return whether ``reply`` would be stored."""
        return reply.cacheable or (self._keep_all and reply.answered)

    def put(self, key: str, model: str, reply: Reply) -> None:
        """Store ``reply`` under ``key``; on disk when this returns. The first real answer of two wins.

        A reply that is not to be kept is left out without a word.
        """
        if self.keeps(reply):
            written: futures.Future[None] = futures.Future()
            self._writer.submit(_row(key, model, reply), written)
            written.result()

    async def aput(self, key: str, model: str, reply: Reply) -> None:
        """Store as ``put`` does, without blocking the event loop: the cheaper way from a coroutine."""
        if self.keeps(reply):
            written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._writer.submit(_row(key, model, reply), written)
            await written

    def close(self) -> None:
        """Note what was served, and close the file; idempotent. The next use opens it again."""
        self._writer.close()
        with self._reading:
            self._reader.close()

    def _take_hits(self) -> dict[str, int]:
        with self._reading:
            hits, self._hits = self._hits, {}
            return hits

    def _decoded(self, key: str, stored: str) -> Reply:
        try:
            return decode_reply(stored)
        except (ValueError, KeyError, TypeError) as error:
            what = f"the answer stored under {key[:12]} cannot be read ({error})"
            raise LLMError(what, where=str(self._path), hint="harness cache prune --kind llm") from error


def _row(key: str, model: str, reply: Reply) -> Row:
    return (key, model, time.time(), encode_reply(reply))
