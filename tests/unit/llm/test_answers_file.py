from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import LLMError
from harness.llm.answers_file import LAYOUT, AnswersFile, Journal
from harness.llm.backend import Reply
from harness.llm.cache import AnswerCache
from harness.llm.cache_contents import answers_by_model
from harness.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

YES = Reply(Outcome.OK, text="Yes", input_tokens=3, output_tokens=1)
FIRST_LAYOUT = """
CREATE TABLE answers (key TEXT PRIMARY KEY, model TEXT NOT NULL, created REAL NOT NULL, answer TEXT NOT NULL)
WITHOUT ROWID;
PRAGMA journal_mode = WAL;
PRAGMA user_version = 1;
"""
OLD_ANSWER = '{"text":"Yes","finish_reason":null,"input_tokens":3,"output_tokens":1,"logprobs":null}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "llm" / "answers.sqlite"


def journal_mode(path: Path) -> str:
    connection = sqlite3.connect(path)
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    connection.close()
    return str(mode)


def first_layout(path: Path, answers: int = 3) -> sqlite3.Connection:
    path.parent.mkdir(parents=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(FIRST_LAYOUT)
    connection.execute("BEGIN")
    rows = [(f"k{number}", "m", 1.6e9 + number, OLD_ANSWER) for number in range(answers)]
    connection.executemany("INSERT INTO answers VALUES (?, ?, ?, ?)", rows)
    connection.execute("COMMIT")
    return connection


def test_it_writes_ahead_where_it_can(path: Path) -> None:
    cache = AnswerCache(path)
    cache.put("k", "m", YES)
    assert journal_mode(path) == "wal"
    cache.close()


def test_it_takes_a_lock_and_the_rollback_journal_where_it_must(path: Path) -> None:
    cache = AnswerCache(path, Journal.ROLLBACK)
    cache.put("k", "m", YES)
    assert journal_mode(path) == "delete"
    assert {one.name for one in path.parent.iterdir()} == {"answers.sqlite", "answers.sqlite-lock"}
    cache.close()


def test_while_one_transaction_is_under_the_lock_nobody_reads(path: Path) -> None:
    writer, reader = AnswersFile(path, Journal.ROLLBACK), AnswersFile(path, Journal.ROLLBACK)
    order = []

    def read() -> None:
        with reader.reading() as connection:
            order.append(connection.execute("SELECT count(*) FROM answers").fetchone()[0])

    with reader.reading():
        pass
    with writer.writing() as connection:
        thread = threading.Thread(target=read)
        thread.start()
        thread.join(0.2)
        connection.execute("INSERT INTO answers VALUES ('k', 'm', 0, '{}')")
        order.append(-1)
    thread.join()
    assert order == [-1, 1]
    writer.close()
    reader.close()


def test_it_works_where_writing_ahead_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoWal(sqlite3.Connection):
        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            if "= WAL" in sql:
                message = "locking protocol"
                raise sqlite3.OperationalError(message)
            return super().execute(sql, *args)

    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: real(*a, factory=NoWal, **k))
    cache = AnswerCache(path, Journal.WAL)
    cache.put("k", "m", YES)
    assert cache.get("k") == YES
    cache.close()
    assert journal_mode(path) == "delete"
    assert path.with_name("answers.sqlite-lock").exists()


def test_a_file_written_ahead_goes_on_under_the_lock(path: Path) -> None:
    local = AnswerCache(path, Journal.WAL)
    local.put("k", "m", YES)
    local.close()
    shared = AnswerCache(path, Journal.ROLLBACK)
    assert shared.get("k") == YES
    assert journal_mode(path) == "delete"
    shared.close()


def test_answers_of_the_first_layout_stay(path: Path) -> None:
    old = first_layout(path)
    cache = AnswerCache(path)
    assert [cache.get(f"k{number}") for number in range(3)] == [YES] * 3
    # A run of the older version that is still going on goes on.
    old.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", ("late", "m", 1.7e9, OLD_ANSWER))
    assert cache.get("late") == YES
    cache.put("new", "m", YES)
    cache.close()
    assert old.execute("PRAGMA user_version").fetchone() == (LAYOUT,)
    old.close()
    (model,) = answers_by_model(path)
    assert (model.answers, model.tokens_saved, model.oldest.timestamp()) == (5, 16, 1.6e9)


def test_a_newer_layout_is_not_touched(path: Path) -> None:
    cache = AnswerCache(path)
    cache.put("k", "m", YES)
    cache.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    actions: list[Callable[[], object]] = [cache.open, lambda: cache.get("k"), lambda: cache.put("j", "m", YES)]
    for action in actions:
        with pytest.raises(LLMError, match=r"newer version of the harness \(layout 99, this one knows 2\)\. Try: "):
            action()
    cache.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (99,)
    assert connection.execute("SELECT count(*) FROM answers").fetchone() == (1,)
    connection.close()


def test_a_file_that_is_no_cache_is_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(LLMError, match=r"answers\.sqlite: the answer cache is damaged .*paths\.cache"):
        AnswerCache(path).get("k")


def test_a_damaged_page_is_told_of(path: Path) -> None:
    cache = AnswerCache(path)
    for number in range(200):
        cache.put(f"k{number}", "m", Reply(Outcome.OK, text="x" * 200))
    cache.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(LLMError, match="damaged"):
        cache.get("k7")
    cache.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "llm").write_text("in the way")
    with pytest.raises(LLMError, match=r"paths\.cache=\.\.\. or HARNESS_CACHE"):
        AnswerCache(tmp_path / "llm" / "answers.sqlite").put("k", "m", YES)


OPENED = """
import os, sys
from pathlib import Path
from harness.errors import LLMError
from harness.llm.answers_file import Journal
from harness.llm.cache import AnswerCache
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    AnswerCache(Path(sys.argv[1]), Journal(sys.argv[2])).open()
except LLMError as error:
    print(error.exit_code, error)
"""


@pytest.mark.parametrize("journal", list(Journal))
@pytest.mark.parametrize("made", ["nothing", "folder", "file"])
def test_a_folder_that_cannot_be_written_is_told_of_when_it_is_opened(
    tmp_path: Path, path: Path, made: str, journal: Journal
) -> None:
    if made != "nothing":
        path.parent.mkdir()
    if made == "file":
        cache = AnswerCache(path, journal)
        cache.put("k", "m", YES)
        cache.close()
        path.chmod(0o444)
        for beside in path.parent.iterdir():
            beside.chmod(0o444)
    for folder in (path.parent, tmp_path):
        if folder.exists():
            folder.chmod(0o555)
    for folder in tmp_path.parents[:2]:
        folder.chmod(0o755)  # so that another user gets as far as the folder itself
    try:
        command = [sys.executable, "-c", OPENED, str(path), journal]
        said = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ)).stdout
    finally:
        tmp_path.chmod(0o755)
        if path.parent.exists():
            path.parent.chmod(0o755)
    assert said.startswith("2 ")
    assert said.count("\n") == 1
    assert "the cache folder is read-only" in said
    assert "paths.cache=... or HARNESS_CACHE" in said
