"""Explaining and scoring side by side: what waits for what, what ends a run, and records that know no order."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.config.schema import ExecutionConfig
from harness.errors import BudgetError, ConfigError, ExampleError, FeatureSourceError, LLMError
from harness.registry.catalogue import load_catalogue
from harness.results.manifest import read_manifest
from harness.seeding import generator
from tests.support.run_bench import FEATURES, Bench, Grader, Words, lines

if TYPE_CHECKING:
    from harness.examples.record import ExplainRecord, ScoreRecord
    from harness.explainers.protocol import Draft, ExplainerResources, Explanation
    from harness.scoring.protocol import Resources, Score

RECORDS = ("features", "explanations", "scores", "items")


@dataclass
class Slowly(Words):
    """Writes one explanation after the other, each after the first score it made ready, if there is to be one."""

    graded: asyncio.Event = field(default_factory=asyncio.Event)

    async def explain(self, record: ExplainRecord, resources: ExplainerResources) -> Draft:
        if self.asked:
            await asyncio.wait_for(self.graded.wait(), 5)
        return await Words.explain(self, record, resources)


@dataclass
class Telling(Grader):
    """Tells when it has graded something."""

    graded: asyncio.Event = field(default_factory=asyncio.Event)

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        self.graded.set()
        return await Grader.score(self, record, explanation, resources)


def test_a_feature_is_scored_while_others_are_explained(bench: Bench) -> None:
    graded = asyncio.Event()
    bench.words, bench.grader = Slowly(graded=graded), Telling(graded=graded)
    bench.change(execution=ExecutionConfig(unit_concurrency=1))
    assert bench.run().status == "success"


def test_without_overlap_scoring_begins_when_explaining_has_ended(bench: Bench) -> None:
    bench.change(execution=ExecutionConfig(overlap=False, unit_concurrency=1))
    bench.run()
    events = [json.loads(line) for line in (bench.folder / "events.jsonl").read_text().splitlines()]
    order = [(event["event"], event["stage"]) for event in events if event["event"] != "unit"][2:]
    assert order == [
        ("stage_started", "explain"),
        ("stage_ended", "explain"),
        ("stage_started", "score"),
        ("stage_ended", "score"),
    ]


def test_what_shares_a_prefix_is_scored_one_after_the_other(bench: Bench) -> None:
    bench.change(execution=ExecutionConfig(overlap=False, unit_concurrency=1))
    bench.run()
    sets = ("words", "shuffled(words)")
    assert bench.grader.asked == [(name, feature) for feature in FEATURES for name in sets]


def test_a_control_that_needs_no_explanation_does_not_wait_for_any(bench: Bench) -> None:
    registered: Any = load_catalogue().get("control", "empty")
    control = type(bench.resolved.explainer)("empty", registered, registered.spec.resolve_config()())
    bench.change(controls={"empty": control})
    graded = asyncio.Event()

    @dataclass
    class Late(Words):
        async def explain(self, record: ExplainRecord, resources: ExplainerResources) -> Draft:
            await asyncio.wait_for(graded.wait(), 5)
            return await Words.explain(self, record, resources)

    bench.words, bench.grader = Late(), Telling(graded=graded)
    assert bench.run().status == "success"
    assert bench.grader.asked[0][0] == "empty"


def test_every_finished_unit_has_an_event_and_both_stages_a_time(bench: Bench) -> None:
    report = bench.run()
    events = [json.loads(line) for line in (bench.folder / "events.jsonl").read_text().splitlines()]
    assert sum(event["event"] == "unit" and event["stage"] == "score" for event in events) == 8
    assert {"explain", "score"} <= set(read_manifest(report.run_dir / "manifest.json").timings)


@given(seed=st.integers(0, 1000), unit_concurrency=st.integers(1, 6), overlap=st.booleans())
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_records_are_the_same_bytes_in_whatever_order_units_finish(
    bench: Bench,
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    unit_concurrency: int,
    overlap: bool,
) -> None:
    written = []
    for dawdling in (False, True):
        execution = ExecutionConfig(unit_concurrency=unit_concurrency, overlap=overlap and dawdling)
        paths = type(bench.resolved.paths)(results=str(tmp_path_factory.mktemp("results")))
        bench.change(execution=execution, paths=paths)
        bench.grader = Dawdling(seed) if dawdling else Grader()
        folder = bench.run().run_dir
        written.append([(folder / f"{name}.jsonl").read_bytes() for name in RECORDS])
    assert written[0] == written[1]


class Dawdling(Grader):
    """Takes a drawn time for each unit."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        for _ in range(int(generator(self._seed, explanation.set_name, record.feature).integers(30))):
            await asyncio.sleep(0)
        return await super().score(record, explanation, resources)


@pytest.mark.parametrize("error", [LLMError("no"), ConfigError("no"), BudgetError("no")])
@pytest.mark.parametrize("stage", ["words", "grader"])
def test_what_would_meet_every_other_unit_ends_the_run(bench: Bench, error: Exception, stage: str) -> None:
    bench.change(execution=ExecutionConfig(unit_concurrency=1))
    getattr(bench, stage).failing = {1: error}
    with pytest.raises(type(error), match="no"):
        bench.run()
    assert bench.words.asked.count(3) == 0 or stage == "grader"
    manifest = read_manifest(bench.folder / "manifest.json")
    assert manifest.status == ("stopped" if isinstance(error, BudgetError) else "failed")
    assert manifest.error == "no"


@pytest.mark.parametrize("error", [FeatureSourceError("its direction"), ExampleError("its examples"), OSError("disk")])
def test_what_concerns_one_feature_fails_its_units_and_no_other(bench: Bench, error: Exception) -> None:
    bench.grader.failing = {1: error}
    report = bench.run()
    assert report.status == "partial"
    assert {line["feature"] for line in lines(report, "scores") if line["status"] == "error"} == {1}


def test_where_nothing_could_be_explained_the_first_thing_said_is_why(bench: Bench) -> None:
    bench.words.failing = {feature: ExampleError("the prompt has 9,000 tokens") for feature in FEATURES}
    report = bench.run()
    assert (report.status, report.exit_code) == ("failed", 1)
    said = "none of 4 features could be explained; planted/0: the prompt has 9,000 tokens"
    assert report.failures[0] == said
