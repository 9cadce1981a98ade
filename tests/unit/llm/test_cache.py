from __future__ import annotations

import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import LLMError
from harness.llm.backend import Reply
from harness.llm.cache import AnswerCache, decode_reply, encode_reply
from harness.llm.protocol import TokenAlternatives
from harness.outcome import Outcome

if TYPE_CHECKING:
    from pathlib import Path

ANY_TEXT = st.text(st.characters())  # lone surrogates included: models do produce them
LOGPROBS = st.floats(allow_nan=False, allow_infinity=False)
TOKENS = st.builds(TokenAlternatives, ANY_TEXT, st.none() | LOGPROBS, st.dictionaries(ANY_TEXT, LOGPROBS, max_size=3))
REPLIES = st.builds(
    Reply,
    outcome=st.just(Outcome.OK),
    text=ANY_TEXT,
    logprobs=st.none() | st.lists(TOKENS, min_size=1, max_size=3).map(tuple),
    finish_reason=st.none() | st.just("stop"),
    input_tokens=st.none() | st.integers(0),
    output_tokens=st.none() | st.integers(0),
)
YES = Reply(Outcome.OK, text="Yes", input_tokens=3, output_tokens=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "llm" / "answers.sqlite"


@given(REPLIES)
def test_replies_survive_the_disk_form(reply: Reply) -> None:
    assert decode_reply(encode_reply(reply)) == reply


def test_answers_survive_closing(path: Path) -> None:
    cache = AnswerCache(path)
    assert cache.get("k") is None
    cache.put("k", "m", YES)
    cache.close()
    assert AnswerCache(path).get("k") == YES
    assert cache.get("k") == YES
    cache.close()


def test_the_first_answer_stays(path: Path) -> None:
    cache = AnswerCache(path)
    cache.put("k", "m", YES)
    cache.put("k", "m", Reply(Outcome.OK, text="No"))
    assert cache.get("k") == YES
    cache.close()


def test_it_writes_ahead_where_it_can(path: Path) -> None:
    cache = AnswerCache(path)
    cache.put("k", "m", YES)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    cache.close()


def test_it_works_where_writing_ahead_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoWal(sqlite3.Connection):
        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            if "= WAL" in sql:
                message = "locking protocol"
                raise sqlite3.OperationalError(message)
            return super().execute(sql, *args)

    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: real(*a, factory=NoWal, **k))
    cache = AnswerCache(path)
    cache.put("k", "m", YES)
    assert cache.get("k") == YES
    cache.close()
    assert not path.with_name("answers.sqlite-wal").exists()


WRITER = """
import sys
from pathlib import Path
from harness.llm.backend import Reply
from harness.llm.cache import AnswerCache
from harness.outcome import Outcome
cache = AnswerCache(Path(sys.argv[1]))
for number in range(200):
    cache.put(f"{sys.argv[2]}-{number}", "m", Reply(Outcome.OK, text=sys.argv[2]))
    cache.put(f"shared-{number}", "m", Reply(Outcome.OK, text="same"))
"""


def test_several_processes_write_at_once(path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in "abc"]
    assert [writer.wait(50) for writer in writers] == [0, 0, 0]
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM answers").fetchone() == (800,)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


KILLED = WRITER.replace('    cache.put(f"shared', '    print(number, flush=True)\n    cache.put(f"shared')


def test_what_was_answered_before_a_kill_is_kept(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(path), "k"], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        seen = [int(writer.stdout.readline()) for _ in range(20)]
        writer.kill()
    cache = AnswerCache(path)
    assert all(cache.get(f"k-{number}") is not None for number in seen)
    cache.close()


def test_a_file_that_is_no_cache_is_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(LLMError, match=r"answers\.sqlite"):
        AnswerCache(path).get("k")


def test_a_cache_of_another_layout_is_not_touched(path: Path) -> None:
    cache = AnswerCache(path)
    cache.put("k", "m", YES)
    cache.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LLMError, match="layout 99"):
        AnswerCache(path).get("k")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "llm").write_text("in the way")
    with pytest.raises(LLMError, match=r"paths\.cache"):
        AnswerCache(tmp_path / "llm" / "answers.sqlite").put("k", "m", YES)
