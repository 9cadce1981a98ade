from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Result


def test_an_empty_results_folder_gives_an_empty_leaderboard(harness: Callable[..., Result], tmp_path: Path) -> None:
    built = harness("leaderboard", "build", "--results", str(tmp_path))
    assert (built.code, built.out) == (0, f"{tmp_path / 'leaderboard.jsonl'}\n")
    assert json.loads(harness("leaderboard", "show", "--results", str(tmp_path), "--json").out) == []
    assert harness("leaderboard", "show", "--results", str(tmp_path), "--format", "md").code == 0


def test_no_results_folder_is_a_user_error(harness: Callable[..., Result], tmp_path: Path) -> None:
    for action in ("build", "show"):
        result = harness("leaderboard", action, "--results", str(tmp_path / "nothing"))
        assert result.code == 2
        assert result.err.startswith("harness: error: ")


def test_a_leaderboard_of_scorers_needs_planted_explanations(harness: Callable[..., Result], tmp_path: Path) -> None:
    result = harness("leaderboard", "scorers", "--results", str(tmp_path))
    assert result.code == 2
    assert "harness run experiment=scorer_benchmark" in result.err


def test_agreement_says_what_cannot_be_compared(harness: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    for options in ((), ("--json", "--set", "default", "--scorers", "detection,fuzzing")):
        result = harness("leaderboard", "agreement", "--results", str(tmp_path), *options)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith("harness: error: ")
        assert result.err.count("\n") == 1


def test_what_takes_all_runs_takes_none_by_name(harness: Callable[..., Result]) -> None:
    for action in ("build", "show"):
        result = harness("leaderboard", action, "some-run")
        assert (result.code, result.out) == (2, "")
        assert "some-run" in result.err
