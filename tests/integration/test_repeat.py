"""``harness run --from``: a run repeated from its manifest, in its own folder and elsewhere."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.harness_process import run_harness

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

RECORDS = ("features.jsonl", "explanations.jsonl", "scores.jsonl", "items.jsonl")


def harness(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_harness(["run", *arguments], folder)


def records(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in RECORDS}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    done = harness(folder, "experiment=smoke", "features.n=3", "execution.unit_concurrency=3")
    assert done.returncode == 0, done.stderr
    (run,) = (folder / "results" / "runs").iterdir()
    return run


def test_elsewhere_everything_is_done_again_and_the_records_are_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    again = harness(tmp_path, "--from", str(finished), "paths.results=again")
    assert again.returncode == 0, again.stderr
    assert "scoring: embedding: 6 units" in again.stderr
    repeated = tmp_path / "again" / "runs" / finished.name
    assert records(repeated) == records(finished)
    manifest = json.loads((repeated / "manifest.json").read_text())
    assert manifest["settings"]["execution"]["unit_concurrency"] == 3


def test_in_its_own_folder_a_finished_run_repeats_nothing(finished: Path, tmp_path: Path) -> None:
    before = records(finished)
    again = harness(tmp_path, f"--from={finished}")
    assert again.returncode == 0, again.stderr
    for stage in ("explaining", "scoring", "another run"):
        assert stage not in again.stderr
    assert records(finished) == before
    assert list(tmp_path.iterdir()) == []


def test_in_its_own_folder_a_stopped_run_is_finished(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "results" / "runs" / finished.name
    shutil.copytree(finished, run)
    scores = (run / "scores.jsonl").read_bytes().splitlines(keepends=True)
    (run / "scores.jsonl").write_bytes(b"".join(scores[:2]))
    again = harness(tmp_path, "--from", str(run / "manifest.json"))
    assert again.returncode == 0, again.stderr
    assert records(run) == records(finished)


def test_another_number_is_another_run_and_is_said_to_be(finished: Path, tmp_path: Path) -> None:
    again = harness(tmp_path, "--from", str(finished), "paths.results=again", "features.n=2", "--dry-run")
    assert again.returncode == 0, again.stderr
    assert f"the configuration is not that of {finished.name}: this is another run, smoke-" in again.stderr
    assert again.stdout.startswith("run        smoke-")
