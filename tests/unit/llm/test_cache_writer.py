from __future__ import annotations

import asyncio
import threading
from concurrent import futures
from typing import TYPE_CHECKING

import pytest

from harness.errors import LLMError
from harness.llm.answers_file import AnswersFile
from harness.llm.cache_writer import AnswerWriter, Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

WAIT_S = 20


def row(key: str) -> Row:
    return (key, "m", 0.0, "{}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.sqlite"


@pytest.fixture
def writer(path: Path) -> Iterator[AnswerWriter]:
    writer = AnswerWriter(AnswersFile(path), dict)
    yield writer
    writer.close()


def written(writer: AnswerWriter, given: Row) -> None:
    waiting: futures.Future[None] = futures.Future()
    writer.submit(given, waiting)
    waiting.result(WAIT_S)


async def awritten(writer: AnswerWriter, given: Row) -> None:
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    writer.submit(given, waiting)
    await asyncio.wait_for(waiting, WAIT_S)


def test_what_cannot_be_encoded_fails_its_writer_and_nothing_later(writer: AnswerWriter, path: Path) -> None:
    for _ in range(2):
        with pytest.raises(LLMError, match="cannot be written: UnicodeEncodeError") as caught:
            written(writer, row("half \udcff"))
        assert caught.value.where == str(path)
        str(caught.value).encode()
        with pytest.raises(LLMError, match="UnicodeEncodeError"):
            asyncio.run(awritten(writer, row("half \udcff")))
        written(writer, row("whole"))
        asyncio.run(awritten(writer, row("whole too")))


def test_any_error_at_all_is_told(path: Path) -> None:
    troubles = [MemoryError(), RuntimeError("boom")]

    def take_hits() -> Mapping[str, int]:
        if troubles:
            raise troubles.pop()
        return {}

    writer = AnswerWriter(AnswersFile(path), take_hits)
    for said in ("RuntimeError: boom", "MemoryError"):
        with pytest.raises(LLMError, match=rf"written: {said}\. Try|written: {said}$"):
            written(writer, row("k"))
    written(writer, row("k"))
    writer.close()


def test_a_loop_that_is_gone_stops_nobody_else(writer: AnswerWriter) -> None:
    loop = asyncio.new_event_loop()
    gone: asyncio.Future[None] = loop.create_future()
    loop.close()
    writer.submit(row("a"), gone)
    written(writer, row("b"))


def test_a_thread_that_died_is_replaced(writer: AnswerWriter) -> None:
    dead = threading.Thread()
    dead.start()
    dead.join()
    writer._thread = dead
    written(writer, row("a"))
