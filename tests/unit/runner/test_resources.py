from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.config.schema import LLMConfig
from harness.errors import LLMError
from harness.progress import SILENT
from harness.registry.catalogue import load_catalogue
from harness.runner.data import ModelPool
from harness.runner.resources import RunResources
from harness.testing import OracleJudge

if TYPE_CHECKING:
    from pathlib import Path

    from harness.llm.traffic import Traffic
    from tests.support.run_bench import Bench


class SlowToStart(OracleJudge):
    """A judge that knows what it can do only once it was started."""

    def __init__(self, *, grades: bool) -> None:
        super().__init__(lambda _: True, logprobs=False)
        self.starts = 0
        self._grades = grades

    async def start(self) -> None:
        self.starts += 1
        await asyncio.sleep(0.01)
        self._logprobs = self._grades


class Opened:
    """What was opened by role, and with which traffic."""

    def __init__(self, judge: SlowToStart) -> None:
        self.judge = judge
        self.traffic: list[Traffic] = []
        self.roles: list[str] = []

    def __call__(self, _config: Any, role: str, _cache: Path, _progress: Any, traffic: Traffic) -> SlowToStart:
        self.roles.append(role)
        self.traffic.append(traffic)
        return self.judge


def opened_by(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, grades: bool
) -> tuple[RunResources, Opened]:
    registered: Any = load_catalogue().get("scorer", "detection")
    config = registered.spec.resolve_config()()
    detection = replace(bench.resolved.scorers["grader"], registered=registered, config=config)
    judge = LLMConfig(model="openai/m")
    bench.change(scorers={"detection": detection}, judge=judge, explainer_llm=judge)
    opened = Opened(SlowToStart(grades=grades))
    monkeypatch.setattr("harness.runner.resources.open_llm", opened)
    return RunResources(bench.resolved, tmp_path, ModelPool(tmp_path, SILENT), SILENT), opened


async def test_many_units_that_want_the_judge_at_once_get_one_that_was_started(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    resources, opened = opened_by(bench, monkeypatch, tmp_path, grades=True)
    (scorer,), (subject,) = bench.resolved.scorers.values(), bench.resolved.subjects.values()
    given = await asyncio.gather(*(resources.for_scorer(scorer, subject, seed) for seed in range(5)))
    assert all(one.judge is not None and one.judge.capabilities.logprobs for one in given)
    assert opened.judge.starts == 1


async def test_what_a_judge_lacks_is_said_before_anything_is_asked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    resources, opened = opened_by(bench, monkeypatch, tmp_path, grades=False)
    with pytest.raises(LLMError, match="detection_list"):
        await resources.check()
    assert opened.judge.requests == []
    assert set(resources.started()) == {"explainer"}


async def test_all_roles_of_a_run_share_one_budget_and_one_gate(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    resources, opened = opened_by(bench, monkeypatch, tmp_path, grades=True)
    await resources.check()
    assert opened.roles == ["explainer", "judge"]
    assert opened.traffic[0] is opened.traffic[1]
    assert set(resources.started()) == {"explainer", "judge"}


FOUND = {"choices": "grammar", "structured": "json_schema", "logprobs": True}
BOTH = ("explainer", "judge")


async def test_how_a_model_is_asked_is_found_out_by_starting_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    resources, opened = opened_by(bench, monkeypatch, tmp_path, grades=True)
    assert await resources.modes() == dict.fromkeys(BOTH, FOUND)
    assert opened.roles == [*BOTH]


async def test_what_was_recorded_needs_no_endpoint(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    resources, opened = opened_by(bench, monkeypatch, tmp_path, grades=True)
    recorded = {role: {**FOUND, "choices": "none"} for role in BOTH}
    resources.expect(recorded)
    assert await resources.modes() == recorded
    assert opened.roles == []


async def test_models_of_this_process_are_not_started_to_plan_a_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    resources, opened = opened_by(bench, monkeypatch, tmp_path, grades=True)
    local = LLMConfig(backend="local", model="m", path="m.gguf", choices="none")
    bench.change(judge=local, explainer_llm=None)
    resources = RunResources(bench.resolved, tmp_path, ModelPool(tmp_path, SILENT), SILENT)
    assert await resources.modes() == {"judge": {**FOUND, "choices": "none"}}
    assert opened.roles == []


async def test_an_endpoint_that_changed_since_the_run_began_is_not_asked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    resources, opened = opened_by(bench, monkeypatch, tmp_path, grades=True)
    resources.expect({"judge": {"choices": "none", "structured": "json_schema", "logprobs": False}})
    await resources.explainer_llm()
    with pytest.raises(LLMError) as caught:
        await resources.check()
    assert str(caught.value) == (
        "judge.model: the judge's endpoint is not what it was when this run began: choices=none, logprobs=false then, "
        "choices=grammar, logprobs=true now. "
        "Try: judge.choices=none judge.logprobs=false if it still can, or another name for the run (name=...)"
    )
    assert opened.judge.requests == []
    assert set(resources.started()) == {"explainer"}
