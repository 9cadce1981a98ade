from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.runner.events import EventLog

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_stage_notes_its_beginning_its_end_and_its_time(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    with log.stage("score"):
        pass
    begun, ended = read(tmp_path / "events.jsonl")
    assert (begun["event"], ended["event"], ended["status"]) == ("stage_started", "stage_ended", "finished")
    assert ended["seconds"] == log.seconds["score"]


def test_a_stage_that_fails_says_so_and_lets_the_error_through(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    with pytest.raises(RuntimeError), log.stage("score"):
        raise RuntimeError
    assert read(tmp_path / "events.jsonl")[-1]["status"] == "failed"
