from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness.errors import LLMError
from harness.llm.answers_file import Journal
from harness.llm.backend import Reply
from harness.llm.cache import AnswerCache
from harness.llm.cache_contents import answers_by_model
from harness.outcome import Outcome

if TYPE_CHECKING:
    from pathlib import Path

YES = Reply(Outcome.OK, text="Yes", input_tokens=3, output_tokens=1)
REFUSED = Reply(Outcome.REFUSED, error="no", input_tokens=3, output_tokens=0)
CUT = Reply(Outcome.TRUNCATED, text="so many wor", finish_reason="length", input_tokens=3, output_tokens=4)
UNHEARD = Reply(Outcome.ERROR, error="timeout", answered=False)
JOURNALS = list(Journal)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "llm" / "answers.sqlite"


@pytest.mark.parametrize("journal", JOURNALS)
def test_answers_survive_closing(path: Path, journal: Journal) -> None:
    cache = AnswerCache(path, journal)
    assert cache.get("k") is None
    cache.put("k", "m", YES)
    cache.close()
    other = AnswerCache(path, journal)
    assert other.get("k") == YES
    assert cache.get("k") == YES
    cache.close()
    other.close()


def test_the_first_answer_stays(path: Path) -> None:
    cache = AnswerCache(path)
    cache.put("k", "m", YES)
    cache.put("k", "m", Reply(Outcome.OK, text="No"))
    assert cache.get("k") == YES
    cache.close()


@pytest.mark.parametrize("journal", JOURNALS)
def test_what_many_tasks_write_at_once_is_there_when_they_go_on(path: Path, journal: Journal) -> None:
    cache = AnswerCache(path, journal)

    async def one(number: int) -> bool:
        await cache.aput(f"k{number}", "m", YES)
        other = sqlite3.connect(path)
        (found,) = other.execute("SELECT count(*) FROM answers WHERE key = ?", (f"k{number}",)).fetchone()
        other.close()
        return bool(found)

    async def many() -> list[bool]:
        return await asyncio.gather(*(one(number) for number in range(200)))

    assert all(asyncio.run(many()))
    # The next event loop, or none, is served as well.
    assert asyncio.run(one(200))
    cache.put("sync", "m", YES)
    assert cache.get("sync") == YES
    cache.close()


def test_who_is_cancelled_while_waiting_leaves_the_answer_behind(path: Path) -> None:
    cache = AnswerCache(path)

    async def cancelled() -> None:
        task = asyncio.create_task(cache.aput("k", "m", YES))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    cache.close()
    assert cache.get("k") == YES
    cache.close()


@pytest.mark.parametrize("reply", [REFUSED, CUT, Reply(Outcome.ERROR, error="an empty answer"), UNHEARD])
def test_what_is_no_answer_is_not_kept(path: Path, reply: Reply) -> None:
    cache = AnswerCache(path)
    cache.put("k", "m", reply)
    asyncio.run(cache.aput("k", "m", reply))
    assert not cache.keeps(reply)
    assert cache.get("k") is None
    cache.close()


@pytest.mark.parametrize("reply", [REFUSED, CUT])
def test_what_is_no_answer_is_kept_where_asked_for(path: Path, reply: Reply) -> None:
    everything, answers = AnswerCache(path, keep_all=True), AnswerCache(path)
    everything.put("k", "m", reply)
    everything.put("unheard", "m", UNHEARD)
    assert everything.get("k") == reply
    assert everything.get("unheard") is None
    # Who did not ask for it asks the endpoint again, and a real answer takes its place.
    assert answers.get("k") is None
    answers.put("k", "m", YES)
    assert everything.get("k") == answers.get("k") == YES
    everything.put("k", "m", reply)
    assert everything.get("k") == YES
    everything.close()
    answers.close()


def test_what_is_served_is_counted_in_batches(path: Path) -> None:
    cache = AnswerCache(path)
    cache.put("k", "m", YES)
    for _ in range(5):
        cache.get("k")
    cache.get("other")
    (before,) = answers_by_model(path)
    assert before.tokens_saved == 0
    cache.close()
    cache.get("k")
    cache.close()
    (after,) = answers_by_model(path)
    assert (after.answers, after.tokens, after.tokens_saved) == (1, 4, 24)
    assert after.last_used > before.last_used == before.oldest == after.oldest


def test_a_long_run_notes_what_it_was_served_before_its_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.llm.cache._HITS_AT_ONCE", 2)
    cache = AnswerCache(path)
    for key in "ab":
        cache.put(key, "m", YES)
        cache.get(key)
    while not answers_by_model(path)[0].tokens_saved:  # the writer's thread is on its way
        cache.get("none")
    cache.close()


WRITER = """
import sys
from pathlib import Path
from harness.llm.answers_file import Journal
from harness.llm.backend import Reply
from harness.llm.cache import AnswerCache
from harness.outcome import Outcome
cache = AnswerCache(Path(sys.argv[1]), Journal(sys.argv[3]))
for number in range(200):
    cache.put(f"{sys.argv[2]}-{number}", "m", Reply(Outcome.OK, text=sys.argv[2]))
    cache.put(f"shared-{number}", "m", Reply(Outcome.OK, text="same"))
"""


@pytest.mark.parametrize("journal", JOURNALS)
def test_several_processes_write_at_once(path: Path, journal: Journal) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, journal]) for name in "abc"]
    assert [writer.wait(50) for writer in writers] == [0, 0, 0]
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM answers").fetchone() == (800,)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


KILLED = WRITER.replace('    cache.put(f"shared', '    print(number, flush=True)\n    cache.put(f"shared')


@pytest.mark.parametrize("journal", JOURNALS)
def test_what_was_answered_before_a_kill_is_kept(path: Path, journal: Journal) -> None:
    for turn in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path), f"k{turn}", journal], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            seen = [int(writer.stdout.readline()) for _ in range(7 * turn + 5)]
            writer.kill()
        # Neither a journal half written nor a lock is left in anybody's way.
        cache = AnswerCache(path, journal)
        assert all(cache.get(f"k{turn}-{number}") is not None for number in seen)
        cache.put(f"after-{turn}", "m", YES)
        cache.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


ASKED = """
import asyncio, os, sys
from pathlib import Path
from harness.llm.answers_file import Journal
from harness.llm.backend import Reply
from harness.llm.cache import AnswerCache
from harness.outcome import Outcome
cache = AnswerCache(Path(sys.argv[1]), Journal(sys.argv[2]))
async def one(number):
    await cache.aput(f"k{number}", "m", Reply(Outcome.OK, text=str(number)))
    os.write(1, f"{number}\\n".encode())
async def many():
    await asyncio.gather(*(one(number) for number in range(5_000)))
asyncio.run(many())
"""


@pytest.mark.parametrize("journal", JOURNALS)
def test_no_task_goes_on_before_its_answer_would_survive_a_kill(path: Path, journal: Journal) -> None:
    with subprocess.Popen([sys.executable, "-c", ASKED, str(path), journal], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.kill()
        said = writer.stdout.read().decode().splitlines()[:-1]
    cache = AnswerCache(path, journal)
    assert all(cache.get(f"k{number}") == Reply(Outcome.OK, text=number) for number in said)
    cache.close()


def test_an_answer_that_cannot_be_read_is_named(path: Path) -> None:
    cache = AnswerCache(path)
    cache.put("k", "m", YES)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE answers SET answer = '{\"text\": 1'")
    connection.close()
    with pytest.raises(LLMError, match="stored under k cannot be read"):
        cache.get("k")
    cache.close()


def test_a_full_disk_fails_those_who_wait_and_nobody_else(path: Path) -> None:
    cache = AnswerCache(path)
    cache.put("k", "m", YES)
    with cache._writer._file.writing() as connection:  # the limit a disk would set
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
    large = Reply(Outcome.OK, text="x" * 100_000)
    for key in "ab":
        with pytest.raises(LLMError, match="disk is full"):
            asyncio.run(cache.aput(key, "m", large))
    with pytest.raises(LLMError, match="disk is full"):
        cache.put("c", "m", large)
    assert cache.get("k") == YES
    cache.close()
