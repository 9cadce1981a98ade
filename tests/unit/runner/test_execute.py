"""Whole runs on made records: everything but the model and the corpus is real."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.activations.builtin import CORPORA
from harness.activations.readers.config import JsonlCorpusConfig
from harness.config.resolved import ResolvedPlugin, ResolvedRun
from harness.config.schema import (
    BudgetConfig,
    CorpusTokens,
    ExamplesConfig,
    ExecutionConfig,
    FeaturesConfig,
    PathsConfig,
)
from harness.errors import LLMError
from harness.examples.record import SkippedFeature
from harness.explainers.protocol import Draft, ExplainerEstimate
from harness.outcome import Outcome, Usage
from harness.progress import SILENT
from harness.registry.catalogue import Registered, load_catalogue
from harness.registry.specs import ControlSpec, ExplainerSpec, ScorerSpec, SubjectSpec
from harness.results.manifest import read_manifest
from harness.runner.data import SubjectData
from harness.runner.execute import RunReport, execute
from harness.scoring.protocol import ExampleShape, Item, MetricSpec, Score, ScorerEstimate
from harness.testing import make_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.examples.record import ExplainRecord, ScoreRecord
    from harness.explainers.protocol import ExplainerResources, Explanation
    from harness.scoring.protocol import Resources

FEATURES = (0, 1, 2, 3)


@dataclass
class NoParameters:
    """A plugin without parameters."""


@dataclass
class Words:
    """An explainer that writes a phrase, or fails where it is told to."""

    failing: dict[int, Outcome | Exception] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    async def explain(self, record: ExplainRecord, resources: ExplainerResources) -> Draft:
        assert resources.llm is None
        self.asked.append(record.feature)
        trouble = self.failing.get(record.feature)
        if isinstance(trouble, Exception):
            raise trouble
        if trouble is not None:
            return Draft(None, trouble, error="as told")
        return Draft(f"phrase {record.feature}", usage=Usage(1, 10, 2, 0.5))

    def estimate(self, n_examples: int, window_tokens: int) -> ExplainerEstimate:
        return ExplainerEstimate(n_examples, window_tokens, 0)


@dataclass
class Grader:
    """A scorer whose value is the feature's number over ten, or that fails where it is told to."""

    failing: dict[int, Outcome | Exception] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    primary_metric = "grade"

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        assert resources.judge is None
        self.asked.append((explanation.set_name, record.feature))
        trouble = self.failing.get(record.feature)
        if isinstance(trouble, Exception):
            raise trouble
        items = tuple(
            Item(example.key, example.kind, example.decile, True, None, None, trouble or Outcome.OK)  # noqa: FBT003
            for example in record.examples.activating[:4]
        )
        return Score({"grade": record.feature / 10}, items, usage=Usage(4, 40, 4, 1.0))

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        return ScorerEstimate(shape.n_activating)


def plugin(name: str, spec: Any) -> ResolvedPlugin:
    return ResolvedPlugin(name, Registered(spec, "test", "1", "test"), NoParameters())


class Bench:
    """A run that can be started again and again."""

    def __init__(self, results: Path) -> None:
        self.words, self.grader = Words(), Grader()
        common: dict[str, Any] = {"summary": "s", "config": NoParameters}
        shuffled: Any = load_catalogue().get("control", "shuffled")
        self.resolved = ResolvedRun(
            name="bench",
            seed=0,
            subjects={
                "planted": plugin("planted", SubjectSpec(name="sae", factory=str, source_identity=str, **common))
            },
            corpus=ResolvedPlugin(
                "corpus", Registered(CORPORA[1], "test", "1", "t"), JsonlCorpusConfig("demo://corpus.jsonl.gz")
            ),
            corpus_tokens=CorpusTokens(),
            examples=ExamplesConfig(),
            features=FeaturesConfig(),
            explainer=plugin("words", ExplainerSpec(name="words", factory=lambda _: self.words, **common)),
            explainer_llm=None,
            set_name="words",
            judge=None,
            embedder=None,
            scorers={
                "grader": plugin(
                    "grader",
                    ScorerSpec(
                        name="grader",
                        factory=lambda _: self.grader,
                        metrics=(MetricSpec("grade", "g", chance=0.0),),
                        primary_metric="grade",
                        **common,
                    ),
                )
            },
            controls={"shuffled": ResolvedPlugin("shuffled", shuffled, shuffled.spec.resolve_config()())},
            paths=PathsConfig(results=str(results), cache=str(results / "cache")),
            execution=ExecutionConfig(),
            budget=BudgetConfig(),
        )
        assert isinstance(shuffled.spec, ControlSpec)

    def run(self) -> RunReport:
        self.words.asked.clear()
        self.grader.asked.clear()
        return execute(self.resolved, load_catalogue(), SILENT)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench(tmp_path)
    records = tuple(make_record(feature=feature, seed=feature) for feature in FEATURES)

    def prepare(*_: object) -> Mapping[str, SubjectData]:
        skipped = (SkippedFeature("planted", 9, "dead", "it never fires"),)
        facts = {"identity": {"model": {"path": "m"}}}
        return {"planted": SubjectData("planted", made.resolved.subjects["planted"], "a", "e", records, skipped, facts)}

    monkeypatch.setattr("harness.runner.execute.prepare", prepare)
    return made


def lines(report: RunReport, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (report.run_dir / f"{name}.jsonl").read_text().splitlines()]


def test_a_run_explains_and_scores_every_feature_in_every_set(bench: Bench) -> None:
    report = bench.run()
    assert (report.status, report.exit_code) == ("success", 0)
    assert [line["feature"] for line in lines(report, "explanations")] == [*FEATURES, *FEATURES]
    assert len(lines(report, "scores")) == 8
    assert len(lines(report, "items")) == 8 * 4
    assert {line["reason"] for line in lines(report, "features") if line["status"] == "skipped"} == {"dead"}
    manifest = read_manifest(report.run_dir / "manifest.json")
    assert (manifest.counts.total, manifest.counts.done) == (16, 16)
    assert manifest.usage["explainer"].answers.usd == 2.0
    assert manifest.usage["judge"].answers.input_tokens == 8 * 40


def test_a_finished_run_does_nothing_again_and_changes_no_byte(bench: Bench) -> None:
    report = bench.run()
    before = {path.name: path.read_bytes() for path in report.run_dir.glob("*s.jsonl") if path.name != "events.jsonl"}
    bench.run()
    assert bench.words.asked == []
    assert bench.grader.asked == []
    assert {name: (report.run_dir / name).read_bytes() for name in before} == before


def test_a_failed_unit_is_recorded_stops_no_other_and_is_the_only_one_done_again(bench: Bench) -> None:
    bench.grader.failing = {2: RuntimeError("out of order")}
    report = bench.run()
    assert (report.status, report.exit_code) == ("partial", 3)
    failed = [line for line in lines(report, "scores") if line["status"] == "error"]
    assert {line["feature"] for line in failed} == {2}
    assert all("RuntimeError: out of order" in line["error"] for line in failed)
    assert len([line for line in lines(report, "scores") if line["status"] == "scored"]) == 6
    bench.grader.failing = {}
    again = bench.run()
    assert again.status == "success"
    assert {feature for _, feature in bench.grader.asked} == {2}
    assert len(bench.grader.asked) == 2
    assert len(lines(again, "scores")) == 8


def test_a_unit_whose_questions_failed_is_no_score(bench: Bench) -> None:
    bench.grader.failing = {1: Outcome.ERROR}
    report = bench.run()
    (line, _) = [line for line in lines(report, "scores") if line["feature"] == 1]
    assert line["status"] == "error"
    assert line["coverage"] == {"error": 4}


def test_an_answer_that_could_not_be_read_is_scored_by_nothing_and_is_no_failure(bench: Bench) -> None:
    bench.words.failing = {3: Outcome.UNPARSED}
    report = bench.run()
    assert report.status == "success"
    assert {line["status"] for line in lines(report, "scores") if line["feature"] == 3} == {"no_explanation"}
    bench.words.failing = {}
    bench.run()
    assert bench.words.asked == []  # it is an answer, and is not asked for again


def test_an_explainer_that_raises_fails_its_feature_and_is_asked_again(bench: Bench) -> None:
    bench.words.failing = {0: ValueError("no idea")}
    assert bench.run().exit_code == 3
    bench.words.failing = {}
    assert bench.run().exit_code == 0
    assert bench.words.asked == [0]


def test_a_run_of_which_nothing_came_has_failed(bench: Bench) -> None:
    bench.words.failing = dict.fromkeys(FEATURES, Outcome.UNPARSED)
    report = bench.run()
    assert (report.status, report.exit_code) == ("failed", 1)


def test_an_endpoint_that_cannot_be_used_ends_the_run_and_what_was_done_stays(bench: Bench) -> None:
    bench.grader.failing = {3: LLMError("the key was refused")}
    with pytest.raises(LLMError, match="refused"):
        bench.run()
    (folder,) = (Path(bench.resolved.paths.results) / "runs").iterdir()
    manifest = read_manifest(folder / "manifest.json")
    assert (manifest.status, manifest.error) == ("failed", "the key was refused")
    done = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    assert done
    bench.grader.failing = {}
    bench.run()
    assert len(bench.grader.asked) == 8 - len(done)


def test_what_was_spent_adds_up_over_processes(bench: Bench) -> None:
    bench.grader.failing = {2: RuntimeError("x")}
    report = bench.run()
    before = read_manifest(report.run_dir / "manifest.json")
    bench.grader.failing = {}
    after = read_manifest(bench.run().run_dir / "manifest.json")
    assert after.started == before.started
    assert after.timings["score"] >= before.timings["score"]
    assert after.usage["judge"].answers.calls == 8 * 4
