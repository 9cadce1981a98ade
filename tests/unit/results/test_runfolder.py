"""The run's folder: one process at a time, and refusals in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import ResultsError
from harness.results.files import open_locked
from harness.results.runfolder import RunFolder, RunPaths


def test_the_files_lie_under_runs(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "results", "demo-1a2b") as folder:
        assert folder.run_id == "demo-1a2b"
        assert folder.path == tmp_path / "results" / "runs" / "demo-1a2b"
        named = [folder.manifest, folder.features, folder.explanations, folder.scores, folder.items, folder.events]
        assert [path.name for path in named] == [
            "manifest.json", "features.jsonl", "explanations.jsonl", "scores.jsonl", "items.jsonl", "events.jsonl",
        ]  # fmt: skip


def test_a_second_opening_is_refused_and_names_the_owner(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, "run"), pytest.raises(ResultsError) as caught:
        RunFolder.open(tmp_path, "run")
    assert f"another process works on this run: process {os.getpid()} on " in str(caught.value)
    assert " for 0 s" in str(caught.value)


def test_another_run_is_free(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, "a"), RunFolder.open(tmp_path, "b"):
        pass


def test_closing_frees_the_run_and_leaves_no_lock_file(tmp_path: Path) -> None:
    folder = RunFolder.open(tmp_path, "run")
    folder.close()
    folder.close()
    assert list(folder.path.iterdir()) == []
    RunFolder.open(tmp_path, "run").close()


def test_an_error_inside_frees_the_run(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RunFolder.open(tmp_path, "run"):
        raise ZeroDivisionError
    RunFolder.open(tmp_path, "run").close()


def test_the_lock_of_a_killed_process_is_no_lock(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from harness.results.runfolder import RunFolder;"
        "RunFolder.open(sys.argv[1], 'run'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, cwd=Path(__file__).parents[3])
    assert killed.returncode == -9
    assert RunPaths(tmp_path / "runs" / "run").lock.exists()
    RunFolder.open(tmp_path, "run").close()


def test_a_lock_file_that_says_nothing_is_still_a_lock(tmp_path: Path) -> None:
    path = RunPaths(tmp_path / "runs" / "run")
    path.path.mkdir(parents=True)
    descriptor = open_locked(path.lock, wait=False)
    try:
        with pytest.raises(ResultsError, match="it has not said which"):
            RunFolder.open(tmp_path, "run")
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("run_id", ["", ".", "..", "../x", "a/b", "a b", "-x", "x\n"])
def test_an_id_that_is_no_plain_name_is_refused(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(ResultsError, match="cannot be the name of a run"):
        RunFolder.open(tmp_path, run_id)
    assert list(tmp_path.iterdir()) == []


def test_a_results_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file in the way")
    with pytest.raises(ResultsError) as caught:
        RunFolder.open(tmp_path / "results", "run")
    message = str(caught.value)
    assert "cannot write the results folder" in message
    assert "paths.results=FOLDER" in message
    assert "\n" not in message


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ResultsError, match="Permission denied"):
            RunFolder.open(tmp_path, "run")
    finally:
        tmp_path.chmod(0o700)
