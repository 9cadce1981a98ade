"""The judge-free path, as a user runs it: in a process of its own, killed at random moments."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from harness.materials import cache_root
from tests.support.harness_process import HarnessProcess, run_harness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

RECORDS = ("features.jsonl", "explanations.jsonl", "scores.jsonl", "items.jsonl")


def arguments(results: Path, cache: Path) -> list[str]:
    return ["run", "experiment=smoke", f"paths.results={results}", f"paths.cache={cache}"]


def run_folder(results: Path) -> Path:
    (folder,) = (results / "runs").iterdir()
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("reference")
    # The one command of these tests that begins with its imports, as a user's does.
    command = [sys.executable, "-m", "harness.cli.main", *arguments(results, cache_root(None))]
    subprocess.run(command, check=True, cwd=results, stdin=subprocess.DEVNULL)
    return results


def test_a_run_leaves_its_records_and_a_leaderboard(finished: Path) -> None:
    folder = run_folder(finished)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["status"] == "success"
    for name in RECORDS:
        assert (folder / name).stat().st_size > 0, name
    rows = [json.loads(line) for line in (finished / "leaderboard.jsonl").read_text().splitlines()]
    real = next(row for row in rows if row["control"] is None)
    assert real["n"] == 8
    assert real["interval"]["low"] < real["mean"] < real["interval"]["high"]
    assert {margin["control"] for margin in real["margins"]} == {"shuffled"}


def test_running_again_changes_nothing_and_computes_nothing(finished: Path) -> None:
    folder = run_folder(finished)
    before = {name: (folder / name).read_bytes() for name in RECORDS}
    again = run_harness(arguments(finished, cache_root(None)), finished)
    assert again.returncode == 0, again.stderr
    for stage in ("tokenising", "collecting", "explaining", "scoring"):
        assert stage not in again.stderr
    assert {name: (folder / name).read_bytes() for name in RECORDS} == before


def kill_when(results: Path, cache: Path, ready: Callable[[], bool], most_s: float) -> bool:
    """Start the run, kill it -9 once ``ready`` or after ``most_s`` seconds, and return whether it was killed."""
    process = HarnessProcess(arguments(results, cache), results.parent)
    end = time.monotonic() + most_s
    while process.poll() is None:
        if ready() or time.monotonic() > end:
            return process.kill() == -signal.SIGKILL
        time.sleep(0.005)
    return False


def has_lines(results: Path, scores: int) -> bool:
    return sum(path.read_bytes().count(b"\n") for path in results.glob("runs/*/scores.jsonl")) >= scores


def assert_same_bytes(results: Path, finished: Path, cache: Path) -> None:
    done = run_harness(arguments(results, cache), results.parent)
    assert done.returncode == 0, done.stderr
    killed, whole = run_folder(results), run_folder(finished)
    assert killed.name == whole.name
    for name in RECORDS:
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name


def test_killed_at_random_moments_of_a_cold_start_the_records_are_the_same_bytes(
    finished: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    for kind in ("materials", "models"):  # what was downloaded may be shared; what was computed may not
        (cache / kind).symlink_to(cache_root(None) / kind)
    dice = random.Random(20261121)  # noqa: S311  -- a moment to kill at, not a secret
    kills = [kill_when(tmp_path / "results", cache, lambda: False, dice.uniform(2.0, 12.0)) for _ in range(3)]
    assert any(kills)
    assert_same_bytes(tmp_path / "results", finished, cache)


def test_killed_between_units_the_records_are_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    results, cache = tmp_path / "results", cache_root(None)
    for scores in (1, 6, 11):  # of 16
        assert kill_when(results, cache, partial(has_lines, results, scores), 300)
        assert has_lines(results, scores)
    assert_same_bytes(results, finished, cache)
