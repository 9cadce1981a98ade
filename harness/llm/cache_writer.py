"""The thread that writes answers: all that wait go into one transaction, and only then are their callers told."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent import futures
from contextlib import suppress
from typing import TYPE_CHECKING

from harness.errors import LLMError
from harness.llm.failures import brief

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.llm.answers_file import AnswersFile

__all__ = ["AnswerWriter", "Row"]

Row = tuple[str, str, float, str]
"""Key, model, seconds since 1970, answer."""
_Waiting = asyncio.Future[None] | futures.Future[None]

# A real answer stays; what is none gives way to the next answer to the same question.
_INSERT = """
INSERT INTO answers VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE
SET model = excluded.model, created = excluded.created, answer = excluded.answer
WHERE json_extract(answers.answer, '$.outcome') IS NOT NULL
"""
_USE = """
INSERT INTO uses VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE
SET used = max(used, excluded.used), hits = hits + excluded.hits
"""


class AnswerWriter:
    """Writes rows from any thread through one connection of its own.

    While one transaction is under way the next rows gather, so the more answers come in, the fewer transactions one
    takes; nobody waits for company.

    Args:
        file: Where to write; used from the writer's thread only.
        take_hits: Returns and forgets what was served since it was last called; written with the next rows.
    """

    def __init__(self, file: AnswersFile, take_hits: Callable[[], Mapping[str, int]]) -> None:
        self._file = file
        self._take_hits = take_hits
        self._changed = threading.Condition()
        self._rows: list[tuple[Row, _Waiting]] = []
        self._due = False
        self._stopping = False
        self._thread: threading.Thread | None = None

    def submit(self, row: Row, waiting: _Waiting) -> None:
        """Have ``row`` written; ``waiting`` is done once it is on disk, or fails with LLMError."""
        with self._changed:
            self._start()
            self._rows.append((row, waiting))
            self._changed.notify()

    def note_hits(self) -> None:
        """Have what was served written soon."""
        with self._changed:
            self._start()
            self._due = True
            self._changed.notify()

    def close(self) -> None:
        """Write what waits, and what was served; close the file. Idempotent; the next row starts anew."""
        with self._changed:
            thread, self._thread, self._stopping = self._thread, None, True
            self._changed.notify()
        if thread is not None:
            thread.join()
        try:
            self._write([])
        finally:
            self._file.close()

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._stopping = False
            self._thread = threading.Thread(target=self._work, name="harness-answers", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._rows or self._due or self._stopping)
                if not self._rows and not self._due:
                    return
                batch, self._rows, self._due = self._rows, [], False
            # With nobody waiting it is only hits that were not noted; the next answer meets the same obstacle.
            error: LLMError | None = None
            try:
                self._write([row for row, _ in batch])
            except LLMError as caught:
                error = caught
            except Exception as caught:  # noqa: BLE001  -- told to those who wait, who would else wait for ever
                error = self._unwritten(caught)
            _tell([waiting for _, waiting in batch], error)

    def _unwritten(self, error: Exception) -> LLMError:
        said = brief(f"{type(error).__name__}: {error}").rstrip(": ")
        return LLMError(f"the answer cache cannot be written: {said}", where=str(self._file.path))

    def _write(self, rows: Sequence[Row]) -> None:
        hits = self._take_hits()
        if not rows and not hits:
            return
        now = time.time()
        with self._file.writing() as connection:
            connection.executemany(_INSERT, rows)
            connection.executemany(_USE, [(key, now, number) for key, number in hits.items()])


def _tell(batch: Sequence[_Waiting], error: LLMError | None) -> None:
    """Tell all who wait; those of one event loop at once, as waking a loop costs more than telling."""
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for waiting in batch:
        if isinstance(waiting, asyncio.Future):
            loops.setdefault(waiting.get_loop(), []).append(waiting)
        else:
            _finish(waiting, error)
    for loop, waits in loops.items():
        # Of a loop that is closed nobody waits any more, and it may be closed at any moment.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_finish_all, waits, error)


def _finish_all(waits: Sequence[asyncio.Future[None]], error: LLMError | None) -> None:
    for waiting in waits:
        _finish(waiting, error)


def _finish(waiting: _Waiting, error: LLMError | None) -> None:
    if waiting.done():
        return  # cancelled; the answer is kept all the same
    if error is None:
        waiting.set_result(None)
    else:
        waiting.set_exception(error)
