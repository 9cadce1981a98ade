"""The functions behind ``harness leaderboard``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ResultsError
from harness.leaderboard.service import build, finished_runs, load, show
from harness.leaderboard.store import write_leaderboard


def test_a_results_folder_becomes_a_leaderboard(tmp_path: Path, fake_run: Any) -> None:
    fake_run("b").add("default", {1: 0.9, 2: 0.8}).write(tmp_path)
    fake_run("a").add("other", {1: 0.5, 2: 0.4}).write(tmp_path)
    path = build(tmp_path)
    assert path == tmp_path / "leaderboard.jsonl"
    assert [row.explanation_set for row in load(path)] == ["default", "other"]
    assert load(tmp_path) == load(path)
    assert "default" in show(path)
    assert show(tmp_path, "md").startswith("### `detection`")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["leaderboard.jsonl", "runs"]


def test_the_same_runs_give_the_same_bytes(tmp_path: Path, fake_run: Any) -> None:
    fake_run("a").add("default", {1: 0.9, 2: 0.8}).add("c", {1: 0.5, 2: 0.4}, control="c").write(tmp_path)
    first = build(tmp_path).read_bytes()
    rows = load(tmp_path)
    write_leaderboard(tmp_path / "leaderboard.jsonl", reversed(rows))
    assert (tmp_path / "leaderboard.jsonl").read_bytes() == build(tmp_path).read_bytes() == first


def test_runs_that_have_not_ended_are_left_out(tmp_path: Path, fake_run: Any) -> None:
    fake_run("done", status="partial").add("default", {1: 0.9}).write(tmp_path)
    fake_run("going", status="running").add("going", {1: 0.9}).write(tmp_path)
    fake_run("stopped", status="failed", error="interrupted").add("stopped", {1: 0.9}).write(tmp_path)
    (tmp_path / "runs" / "begun").mkdir()
    assert [path.name for path in finished_runs(tmp_path)] == ["done"]
    assert [row.explanation_set for row in load(build(tmp_path))] == ["default"]


def test_an_empty_results_folder_gives_an_empty_leaderboard(tmp_path: Path) -> None:
    assert load(build(tmp_path)) == []
    assert show(tmp_path) == "no scores yet"


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no results folder here"):
        build(tmp_path / "none")
    with pytest.raises(ResultsError, match="no leaderboard here"):
        load(tmp_path)


def test_a_damaged_leaderboard_is_named_by_line(tmp_path: Path) -> None:
    (tmp_path / "leaderboard.jsonl").write_text("{}\n")
    with pytest.raises(ResultsError, match=r"leaderboard.jsonl:1: not a valid LeaderboardRow"):
        show(tmp_path)


def test_showing_needs_neither_numpy_nor_scipy() -> None:
    code = (
        "import sys, harness.leaderboard.service; print({'numpy', 'scipy', 'torch', 'jsonschema'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=Path(__file__).parents[3]
    )
    assert done.stdout.strip() == "set()"
