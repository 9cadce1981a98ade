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
    named = harness("leaderboard", "show", "some-run", "--results", str(tmp_path))
    assert (named.code, "takes no runs" in named.err) == (2, True)
