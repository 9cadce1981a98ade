"""The leaderboard's file: written whole and sorted, checked on write and read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import ResultsError
from harness.results.jsonl import read_lines, rewrite_sorted
from harness.results.records import LeaderboardRow

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["read_leaderboard", "row_order", "write_leaderboard"]


def row_order(row: LeaderboardRow) -> tuple[str, str, str, str, bool, str]:
    """Return the sorting key of a leaderboard: scorer, judge, protocol, subject, real sets before controls, set."""
    return (row.scorer, row.judge or "", row.protocol, row.subject, row.control is not None, row.explanation_set)


def write_leaderboard(path: Path, rows: Iterable[LeaderboardRow]) -> None:
    """Replace the leaderboard at ``path`` by ``rows``, sorted: the same rows give the same bytes.

    Raises:
        ResultsError: If a row is not valid or the file cannot be written.
    """
    ordered = sorted(rows, key=row_order)
    rewrite_sorted(path, ordered)


def read_leaderboard(path: Path) -> list[LeaderboardRow]:
    """Return the rows of the leaderboard at ``path``.

    Raises:
        ResultsError: If there is none, or a line is not a valid row.
    """
    if not path.exists():
        raise ResultsError("there is no leaderboard here", where=str(path), hint="make it: harness leaderboard build")
    return list(read_lines(path, LeaderboardRow))
