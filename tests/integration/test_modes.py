"""How a judge is really asked belongs to a run's protocol, whether it was stated or found out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.judged_run import JudgedRun, Size
from tests.support.loopback.process import EndpointProcess
from tests.support.loopback.server import EndpointSettings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SIZE = Size(features=2, activating=3, non_activating=3)
ASKED = ("judge.structured=auto", "judge.choices=auto", "judge.logprobs=null")
RECORDS = ("explanations.jsonl", "scores.jsonl", "items.jsonl")


def test_stating_what_is_found_gives_the_same_protocol_and_nothing_is_asked_to_repeat_it(tmp_path: Path) -> None:
    with EndpointProcess(EndpointSettings()) as endpoint:
        asked = JudgedRun(tmp_path, endpoint.url, SIZE, *ASKED)
        assert asked.finish() == 0, asked.said
        judge = asked.manifest["models"]["judge"]
        (fields,) = asked.manifest["protocols"].values()
        assert fields["judge"] == judge
        assert "auto" not in judge.values()
        assert judge["logprobs"] is True
        found = [f"judge.{name}={str(judge[name]).lower()}" for name in ("structured", "choices", "logprobs")]
        stated = JudgedRun(tmp_path / "stated", endpoint.url, SIZE, *found)
        assert stated.finish() == 0, stated.said
        assert stated.run_folder.name != asked.run_folder.name
        for name in RECORDS:
            assert (stated.run_folder / name).read_bytes() == (asked.run_folder / name).read_bytes()
    before = asked.records
    assert asked.finish() == 0, asked.said  # the endpoint is gone
    assert asked.records == before


def test_an_endpoint_at_which_something_else_is_found_gives_another_protocol(tmp_path: Path) -> None:
    judges = []
    for logprobs in (True, False):
        with EndpointProcess(EndpointSettings(logprobs=logprobs)) as endpoint:
            run = JudgedRun(tmp_path / str(logprobs), endpoint.url, SIZE, *ASKED, "scorers.detection.mode=list")
            run.finish()  # how well it answers lists does not matter here
        (fields,) = run.manifest["protocols"].values()
        judges.append({name: value for name, value in fields["judge"].items() if name != "api_base"})
    assert [judge.pop("logprobs") for judge in judges] == [True, False]
    assert judges[0] == judges[1]


def test_a_run_does_not_go_on_with_an_endpoint_that_changed(tmp_path: Path) -> None:
    with EndpointProcess(EndpointSettings()) as endpoint:
        run = JudgedRun(tmp_path, endpoint.url, SIZE, *ASKED)
        assert run.finish() == 0, run.said
        manifest = run.manifest
        was = {"choices": "guided_choice", "structured": "grammar", "logprobs": True}
        found = {name: manifest["models"]["judge"][name] for name in was}
        manifest["models"]["judge"] |= was
        (run.run_folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        asked = endpoint.stats()["answered"]
        assert run.finish() == 2
        assert endpoint.stats()["answered"] == asked
    changed = [name for name in ("choices", "structured") if was[name] != found[name]]
    assert changed
    last = run.said.strip().splitlines()[-1]
    assert last.startswith("harness: error: judge.model: the judge's endpoint is not what it was when this run began: ")
    assert all(f"judge.{name}={was[name]}" in last for name in changed)
    assert run.manifest["models"]["judge"]["choices"] == was["choices"]
