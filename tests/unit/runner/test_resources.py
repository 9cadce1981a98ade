from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.config.checks import check_run
from harness.config.schema import LLMConfig
from harness.errors import ConfigError, FeatureSourceError, LLMError
from harness.progress import SILENT
from harness.registry.catalogue import load_catalogue
from harness.runner.data import ModelPool
from harness.runner.resources import RunResources
from harness.scoring.protocol import Need
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


async def test_scorers_that_the_judge_cannot_serve_are_named_with_the_way_to_go_on_without_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    resources, _ = opened_by(bench, monkeypatch, tmp_path, grades=False)
    graded = bench.resolved.scorers["detection"]
    listed = replace(graded, name="listed", config=replace(graded.config, mode="list"))
    bench.change(scorers={"detection": graded, "again": replace(graded, name="again"), "listed": listed})
    resources = RunResources(bench.resolved, tmp_path, ModelPool(tmp_path, SILENT), SILENT)
    with pytest.raises(LLMError) as caught:
        await resources.check()
    assert str(caught.value).endswith("or go on without: '~scorers.detection' '~scorers.again'")


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


class Tokenizer:
    bos_token_id = 1

    def __len__(self) -> int:
        return 40


class Source:
    """A feature source that writes, or only reads."""

    kind, n_features, identity = "made", 4, {"weights": "made"}

    def __init__(self, *, writes: bool) -> None:
        self._writes = writes

    def to(self, _device: Any) -> Source:
        return self

    def intervene(self, *_: Any) -> Any:
        if not self._writes:
            raise FeatureSourceError("it only reads")
        return nullcontext()


def with_subject(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, writes: bool
) -> tuple[RunResources, ModelPool, list[str]]:
    """Return the resources of a run whose scorer steers, and what was loaded."""
    loaded: list[str] = []
    model: Any = SimpleNamespace(device="cpu", tokenizer=Tokenizer(), model=None, identity={"weights": "m"})
    pool = ModelPool(tmp_path, SILENT)

    def load(plugin: Any) -> Any:
        loaded.append(plugin.name)
        return model, Source(writes=writes)

    monkeypatch.setattr(pool, "load", load)
    monkeypatch.setattr("harness.runner.data._subject_identity", lambda *_: {"model": "m"})
    (grader,) = bench.resolved.scorers.values()
    needs = frozenset({Need.SUBJECT, Need.WRITES})
    steering = replace(grader, registered=replace(grader.registered, spec=replace(grader.registered.spec, needs=needs)))  # type: ignore[call-arg]
    (subject,) = bench.resolved.subjects.values()
    subjects = {name: replace(subject, name=name, config=SimpleNamespace(model="m")) for name in ("planted", "second")}
    bench.change(scorers={"grader": steering}, subjects=subjects)
    return RunResources(bench.resolved, tmp_path, pool, SILENT), pool, loaded


async def test_scorers_share_one_access_to_a_subject(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    resources, pool, loaded = with_subject(bench, monkeypatch, tmp_path, writes=True)
    await resources.check()
    (scorer,) = bench.resolved.scorers.values()
    first, second = bench.resolved.subjects.values()
    given = [await resources.for_scorer(scorer, subject, 0) for subject in (first, first, second)]
    assert given[0].subject is given[1].subject
    assert given[2].subject is not given[0].subject
    assert loaded == ["planted", "second"]
    assert len(pool._threads) == 1  # both are of one model
    access = given[0].subject
    assert access is not None
    assert access.steers
    assert access.identity == {"model": "m"}
    await resources.close()
    assert pool._threads == {}


async def test_a_subject_that_only_reads_is_told_of_before_anything_is_paid_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    resources, _, _ = with_subject(bench, monkeypatch, tmp_path, writes=False)
    said = "scorers.grader: the scorer changes features, and those of subject 'planted' can only be read"
    with pytest.raises(ConfigError) as caught:
        await resources.check()
    assert str(caught.value).startswith(said)
    (scorer,), subject = bench.resolved.scorers.values(), bench.resolved.subjects["planted"]
    with pytest.raises(ConfigError):  # a run that goes on is not checked again as a whole
        await resources.for_scorer(scorer, subject, 0)


def test_a_kind_that_never_writes_is_refused_when_the_run_is_planned(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, _, loaded = with_subject(bench, monkeypatch, tmp_path, writes=True)
    check_run(bench.resolved)
    subject: Any = bench.resolved.subjects["second"]
    reader = replace(
        subject, registered=replace(subject.registered, spec=replace(subject.registered.spec, writes=False))
    )
    bench.change(subjects={**bench.resolved.subjects, "second": reader})
    with pytest.raises(ConfigError, match="those of subject 'second' can only be read"):
        check_run(bench.resolved)
    assert loaded == []
