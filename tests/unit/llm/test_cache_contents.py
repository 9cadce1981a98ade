from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from harness.errors import UnknownNameError
from harness.llm.answers_file import Journal
from harness.llm.backend import Reply
from harness.llm.cache import AnswerCache
from harness.llm.cache_contents import Pruned, answers_by_model, prune_answers
from harness.outcome import Outcome
from tests.unit.llm.test_answers_file import OLD_ANSWER, first_layout

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "llm" / "answers.sqlite"


def fill(path: Path, ages_days: dict[str, float], model: str = "m", size: int = 500) -> None:
    """Store an answer of ``size`` characters under every name, given so many days ago."""
    cache = AnswerCache(path)
    reply = Reply(Outcome.OK, text="x" * size, input_tokens=10, output_tokens=1)

    async def put_all() -> None:
        await asyncio.gather(*(cache.aput(name, model, reply) for name in ages_days))

    asyncio.run(put_all())
    cache.close()
    connection = sqlite3.connect(path)
    with connection:
        now = time.time()
        for name, age in ages_days.items():
            connection.execute("UPDATE answers SET created = ? WHERE key = ?", (now - age * DAY, name))
    connection.close()


def serve(path: Path, *keys: str) -> None:
    cache = AnswerCache(path)
    for key in keys:
        assert cache.get(key) is not None
    cache.close()


def keys(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    found = {key for (key,) in connection.execute("SELECT key FROM answers")}
    assert {key for (key,) in connection.execute("SELECT key FROM uses")} <= found
    connection.close()
    return found


def test_a_cache_that_does_not_exist_holds_nothing_and_is_not_made(path: Path) -> None:
    assert answers_by_model(path) == []
    assert prune_answers(path) == Pruned({}, 0, 0)
    assert not path.parent.exists()


def test_every_model_is_listed_with_its_share(path: Path) -> None:
    fill(path, {f"a{number}": 9 for number in range(30)}, "small")
    fill(path, {f"b{number}": 2 for number in range(30)}, "large", size=5_000)
    serve(path, "a1", "a1", "b2")
    large, small = answers_by_model(path)
    assert (large.model, small.model) == ("large", "small")
    assert (small.answers, small.tokens, small.tokens_saved) == (30, 330, 22)
    assert (large.answers, large.tokens, large.tokens_saved) == (30, 330, 11)
    assert large.bytes > 5 * small.bytes
    assert abs(large.bytes + small.bytes - path.stat().st_size) <= 1
    assert (small.last_used - small.oldest) > timedelta(days=8.9)


def test_the_least_recently_used_go_first(path: Path) -> None:
    fill(path, {"old": 9, "used": 8, "new": 1, "newest": 0}, size=200_000)
    serve(path, "used")
    whole = sum(one.bytes for one in answers_by_model(path))
    shown = prune_answers(path, max_bytes=whole * 4 // 5, dry_run=True)
    assert (shown.answers, shown.freed) == ({"m": 1}, None)
    assert keys(path) == {"old", "used", "new", "newest"}
    prune_answers(path, max_bytes=whole * 4 // 5)
    assert keys(path) == {"used", "new", "newest"}
    prune_answers(path, older_than=timedelta(days=0.5))
    assert keys(path) == {"used", "newest"}
    assert prune_answers(path, max_bytes=whole).answers == {}
    prune_answers(path, older_than=timedelta(days=30), max_bytes=0)
    assert keys(path) == set()


def test_only_the_model_asked_for(path: Path) -> None:
    fill(path, {"a": 1, "b": 9}, "one")
    fill(path, {"c": 1, "d": 9}, "two")
    with pytest.raises(UnknownNameError, match="did you mean one"):
        prune_answers(path, model="onee")
    prune_answers(path, model="one", older_than=timedelta(days=5))
    assert keys(path) == {"a", "c", "d"}
    assert prune_answers(path, model="two").answers == {"two": 2}
    assert keys(path) == {"a"}
    assert prune_answers(path).answers == {"one": 1}


@pytest.mark.parametrize(("size", "number"), [(100, 2_000), (20_000, 100)])
@pytest.mark.parametrize("journal", list(Journal))
def test_the_space_is_given_back(path: Path, journal: Journal, size: int, number: int) -> None:
    cache = AnswerCache(path, journal)
    # Small answers: removed here and there, they leave no page empty.
    fill(path, {f"k{place}": place / 100 for place in range(number)}, size=size)
    assert cache.get("k0") is not None
    before = path.stat().st_size
    most = before // 4
    pruned = prune_answers(path, max_bytes=most, journal=journal)
    assert most * 3 // 4 <= path.stat().st_size <= most
    assert pruned.freed is not None
    assert pruned.freed >= before - most
    assert cache.get("k0") is not None
    assert cache.get(f"k{number - 1}") is None
    cache.close()


def test_a_file_of_the_first_layout_shrinks_too(path: Path) -> None:
    first_layout(path, 20_000).close()
    before = path.stat().st_size
    prune_answers(path, max_bytes=before // 4)
    assert path.stat().st_size <= before // 4
    cache = AnswerCache(path)
    assert cache.get("k19999") is not None
    assert cache.get("k0") is None
    cache.close()
    # From now on it shrinks in steps.
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert connection.execute("SELECT answer FROM answers LIMIT 1").fetchone() == (OLD_ANSWER,)
    connection.close()


WORKER = """
import asyncio, sys
from pathlib import Path
from harness.llm.answers_file import Journal
from harness.llm.backend import Reply
from harness.llm.cache import AnswerCache
from harness.outcome import Outcome
cache = AnswerCache(Path(sys.argv[1]), Journal(sys.argv[2]))
async def work():
    for turn in range(6):
        batch = [f"{sys.argv[3]}-{turn}-{number}" for number in range(25)]
        await asyncio.gather(*(cache.aput(key, "new", Reply(Outcome.OK, text=key * 20)) for key in batch))
        assert all(cache.get(key) == Reply(Outcome.OK, text=key * 20) for key in batch), turn
asyncio.run(work())
cache.close()
"""


@pytest.mark.parametrize("journal", list(Journal))
def test_others_go_on_using_the_file_while_it_is_pruned(path: Path, journal: Journal) -> None:
    fill(path, {f"k{number}": 9 for number in range(2_000)}, "old", size=1_000)
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, str(path), journal, name]) for name in "ab"]
    removed = 0
    while any(worker.poll() is None for worker in workers):
        time.sleep(0.05)
        removed += sum(prune_answers(path, older_than=timedelta(days=5), journal=journal).answers.values())
    assert [worker.returncode for worker in workers] == [0, 0]
    assert removed == 2_000
    (model,) = answers_by_model(path, journal)
    assert (model.model, model.answers) == ("new", 300)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


PRUNER = """
import sys
from pathlib import Path
from harness.llm.cache_contents import prune_answers
print("begun", flush=True)
prune_answers(Path(sys.argv[1]), older_than=__import__("datetime").timedelta(days=5))
"""


@pytest.mark.parametrize("pause_s", [0.0, 0.02, 0.1])
def test_a_kill_in_the_middle_of_pruning_harms_nothing(path: Path, pause_s: float) -> None:
    fill(path, {f"k{number}": 9 for number in range(2_000)}, "old", size=1_000)
    fill(path, {"fresh": 0})
    with subprocess.Popen([sys.executable, "-c", PRUNER, str(path)], stdout=subprocess.PIPE) as pruner:
        assert pruner.stdout is not None
        pruner.stdout.readline()
        time.sleep(pause_s)
        pruner.kill()
    serve(path, "fresh")
    prune_answers(path, older_than=timedelta(days=5))
    assert keys(path) == {"fresh"}
