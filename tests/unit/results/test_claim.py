"""Where a file system knows no locks, a run's folder is claimed by a file."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ResultsError
from harness.results.claim import ClaimedError, claim, owner
from harness.results.jsonl import append_line, read_lines
from harness.results.records import FeatureLine
from harness.results.runfolder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def _no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def write_claim(path: Path, **changes: Any) -> None:
    about = {"pid": os.getpid(), "host": socket.gethostname(), "started": time.time()}
    path.write_text(json.dumps({**about, **changes}))


@pytest.mark.usefixtures("_no_locks")
def test_a_folder_has_one_writer_without_locks_too(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, "run") as folder:
        with pytest.raises(ResultsError) as caught:
            RunFolder.open(tmp_path, "run")
        assert f"another process works on this run: process {os.getpid()} on " in str(caught.value)
        assert f"remove {folder.path / 'run.claim'}" in str(caught.value)
    assert list(folder.path.iterdir()) == []
    RunFolder.open(tmp_path, "run").close()


@pytest.mark.usefixtures("_no_locks")
def test_its_files_can_be_written_without_locks(tmp_path: Path) -> None:
    line = FeatureLine(subject="sae", feature=1, status="used")
    append_line(tmp_path / "features.jsonl", line)
    assert list(read_lines(tmp_path / "features.jsonl", FeatureLine)) == [line]


def test_another_refusal_of_the_file_system_is_no_missing_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(ResultsError, match="cannot write the results folder"):
        RunFolder.open(tmp_path, "run")


def test_the_claim_of_a_process_of_this_machine_that_is_gone_is_none(tmp_path: Path) -> None:
    path = tmp_path / "run.claim"
    write_claim(path, pid=dead_process())
    claim(path)
    assert owner(path).startswith(f"process {os.getpid()} on ")
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.claim"]


@pytest.mark.parametrize("changes", [{}, {"host": "elsewhere", "pid": 1}, {"pid": 1}, {"pid": -1}, {"pid": "x"}])
def test_any_other_claim_stands(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "run.claim"
    write_claim(path, **changes)
    before = path.read_bytes()
    with pytest.raises(ClaimedError):
        claim(path)
    assert path.read_bytes() == before


def test_a_claim_that_was_cut_off_stands(tmp_path: Path) -> None:
    path = tmp_path / "run.claim"
    path.write_text('{"pid": 1')
    with pytest.raises(ClaimedError):
        claim(path)
    assert owner(path) == "it has not said which"


@pytest.mark.parametrize(("seconds", "said"), [(5, "5 s"), (300, "5 min"), (7200, "2.0 h"), (86_400 * 3, "3.0 days")])
def test_an_owner_is_named_with_the_age_of_its_lock(tmp_path: Path, seconds: int, said: str) -> None:
    path = tmp_path / "run.lock"
    write_claim(path, pid=7, host="node\x1b[31m9", started=time.time() - seconds)
    assert owner(path) == f"process 7 on node?[31m9, for {said}"
