"""What the answer cache holds, model by model, and removing from it, least recently used first, while others use it."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.errors import UnknownNameError
from harness.llm.answers_file import AnswersFile

if TYPE_CHECKING:
    import sqlite3
    from datetime import timedelta
    from pathlib import Path

    from harness.llm.answers_file import Journal

__all__ = ["ModelAnswers", "Pruned", "answers_by_model", "prune_answers"]

_ROWS_AT_ONCE = 1_000
_PAGES_AT_ONCE = 4_096
_BUSY_S = 600.0
_ROUNDS = 4
_SPARSE = 1.15
_BY_MODEL = """
SELECT model, count(*), sum(length(answer)), min(created), max(created, ifnull(max(used), 0)),
       sum(tokens), sum(tokens * hits)
FROM (
    SELECT model, answer, created, ifnull(hits, 0) AS hits, used,
           ifnull(json_extract(answer, '$.input_tokens'), 0) + ifnull(json_extract(answer, '$.output_tokens'), 0)
           AS tokens
    FROM answers LEFT JOIN uses USING (key)
)
GROUP BY model ORDER BY model
"""
_DOOMED = """
CREATE TEMP TABLE doomed AS
SELECT key, model, size, last, newer FROM (
    SELECT key, model, size, last, sum(size) OVER (ORDER BY last DESC, key ROWS UNBOUNDED PRECEDING) AS newer
    FROM (
        SELECT key, model, length(answer) AS size, max(created, ifnull(used, 0)) AS last
        FROM answers LEFT JOIN uses USING (key)
        WHERE :model IS NULL OR model = :model
    )
)
WHERE (:before IS NULL AND :most IS NULL) OR last <= :before OR newer > :most
ORDER BY last, key
"""
_REMOVE = tuple(
    f"DELETE FROM {table} WHERE key IN (SELECT key FROM doomed WHERE rowid > ? AND rowid <= ?)"  # noqa: S608 -- ours
    for table in ("answers", "uses")
)


@dataclass(frozen=True, slots=True)
class ModelAnswers:
    """The answers of one model.

    Attributes:
        model: As the configuration names it.
        answers: How many.
        bytes: What they take in the file, its indices and free pages shared out.
        oldest: When the first was given.
        last_used: When one was last given or served, as far as that is noted.
        tokens: Prompt and generated tokens of all of them: what asking again would take.
        tokens_saved: Tokens that did not have to be paid for again, as far as that is noted.
    """

    model: str
    answers: int
    bytes: int
    oldest: datetime
    last_used: datetime
    tokens: int
    tokens_saved: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, or would be: answers by model, and by how many bytes the file shrank (None: not done)."""

    answers: dict[str, int]
    bytes: int
    freed: int | None


def answers_by_model(path: Path, journal: Journal | None = None) -> list[ModelAnswers]:
    """Return what the file holds, by model. A file that does not exist holds nothing.

    Raises:
        LLMError: If it cannot be read.
    """
    if not path.exists():
        return []
    file = AnswersFile(path, journal, _BUSY_S)
    try:
        with file.reading() as connection:
            rows = connection.execute(_BY_MODEL).fetchall()
            share = _bytes_per_character(connection)
    finally:
        file.close()
    return [
        ModelAnswers(model, answers, round(size * share), _time(oldest), _time(last), tokens, saved)
        for model, answers, size, oldest, last, tokens, saved in rows
    ]


def prune_answers(
    path: Path,
    *,
    model: str | None = None,
    older_than: timedelta | None = None,
    max_bytes: int | None = None,
    dry_run: bool = False,
    journal: Journal | None = None,
) -> Pruned:
    """Remove answers and give their space back to the file system; other processes may go on using the file.

    Args:
        path: The file.
        model: Only this model's.
        older_than: Those neither given nor served within this time.
        max_bytes: Those that have to go, least recently used first, for the rest to take no more.
        dry_run: Remove nothing.
        journal: None for what suits the file system.

    Given neither ``older_than`` nor ``max_bytes``, all go; given both, what either asks for.

    Raises:
        UnknownNameError: If there is no answer of ``model``.
        LLMError: If the file cannot be read or written.
    """
    if not path.exists():
        return Pruned({}, 0, None if dry_run else 0)
    file = AnswersFile(path, journal, _BUSY_S)
    answers: Counter[str] = Counter()
    size, before = 0, _file_bytes(path)
    try:
        # What a page holds is known only once it was pruned: a bound may take a second look, and a few answers more.
        for _ in range(_ROUNDS):
            share = _choose(file, model, older_than, max_bytes)
            with file.reading() as connection:
                rows = connection.execute("SELECT model, count(*), sum(size) FROM doomed GROUP BY model").fetchall()
            answers.update({name: number for name, number, _ in rows})
            size += round(sum(row[2] for row in rows) * share)
            if dry_run:
                return Pruned(dict(answers), size, None)
            if rows:
                _remove(file, sum(row[1] for row in rows))
                _give_back(file, share)
            if not rows or max_bytes is None:
                break
    finally:
        file.close()
    return Pruned(dict(answers), size, max(0, before - _file_bytes(path)))


def _choose(file: AnswersFile, model: str | None, older_than: timedelta | None, max_bytes: int | None) -> float:
    """Note in a table of this connection what is to go; return the bytes a stored character takes."""
    with file.reading() as connection:
        names = [name for (name,) in connection.execute("SELECT DISTINCT model FROM answers")]
        if model is not None and names and model not in names:
            raise UnknownNameError("model with answers in the cache", model, names)
        share = _bytes_per_character(connection)
        asked = {
            "model": model,
            "before": None if older_than is None else time.time() - older_than.total_seconds(),
            "most": None if max_bytes is None else max_bytes / share,
        }
        connection.execute("DROP TABLE IF EXISTS temp.doomed")
        connection.execute(_DOOMED, asked)
    return share


def _remove(file: AnswersFile, number: int) -> None:
    """Remove what was chosen, in short transactions, so that nobody waits long."""
    for start in range(0, number, _ROWS_AT_ONCE):
        places = (start, start + _ROWS_AT_ONCE)
        with file.writing() as connection:
            for statement in _REMOVE:
                connection.execute(statement, places)


def _give_back(file: AnswersFile, share_before: float) -> None:
    """Give free pages back to the file system; rebuild the file where they are not enough.

    In steps, and without taking space of its own, which a full disk has not; answers removed here and there leave
    pages half empty, and only a rebuilt file is packed again. Writers wait while that is done.
    """
    free = True
    while free:
        with file.writing() as connection:
            connection.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()
            (left,) = connection.execute("PRAGMA freelist_count").fetchone()
            # A file of the first layout cannot shrink in steps before it was rebuilt once.
            in_steps = connection.execute("PRAGMA auto_vacuum").fetchone() != (0,)
        free = bool(left) and in_steps
    with file.alone() as connection:
        sparse = _bytes_per_character(connection) > _SPARSE * share_before
        if (sparse or not in_steps) and shutil.disk_usage(file.path.parent).free > 2 * _file_bytes(file.path):
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("VACUUM")
        # Until the log is copied back the file itself keeps its size; a reader in the way only puts that off.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _bytes_per_character(connection: sqlite3.Connection) -> float:
    """Return the bytes of the file in use for every character of an answer."""
    (characters,) = connection.execute("SELECT ifnull(sum(length(answer)), 0) FROM answers").fetchone()
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size / characters if characters else 1.0


def _file_bytes(path: Path) -> int:
    places = [path, path.with_name(f"{path.name}-wal")]
    return sum(place.stat().st_size for place in places if place.exists())


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
