"""A whole run on made records: everything but the model and the corpus is real."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from harness.examples.record import SkippedFeature
from harness.explainers.protocol import Draft, ExplainerEstimate
from harness.outcome import Outcome, Usage
from harness.progress import SILENT
from harness.registry.catalogue import Registered, load_catalogue
from harness.registry.specs import ControlSpec, ExplainerSpec, ScorerSpec, SubjectSpec
from harness.runner.data import SubjectData
from harness.runner.execute import RunReport, execute
from harness.scoring.protocol import ExampleShape, Item, MetricSpec, Score, ScorerEstimate
from harness.testing import make_record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.examples.record import ExplainRecord, ScoreRecord
    from harness.explainers.protocol import ExplainerResources, Explanation
    from harness.scoring.protocol import Resources

__all__ = ["FEATURES", "Bench", "Grader", "Words", "grading", "lines"]

FEATURES = (0, 1, 2, 3)


@dataclass
class NoParameters:
    """A plugin without parameters."""


@dataclass
class Words:
    """An explainer that writes a phrase, or what it is told to, or fails where it is told to."""

    failing: dict[int, Outcome | Exception] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    async def explain(self, record: ExplainRecord, resources: ExplainerResources) -> Draft:
        assert resources.llm is None
        self.asked.append(record.feature)
        trouble = self.failing.get(record.feature)
        if isinstance(trouble, Exception):
            raise trouble
        if trouble is not None:
            return Draft(None, trouble, error="as told")
        return Draft(self.texts.get(record.feature, f"phrase {record.feature}"), usage=Usage(1, 10, 2, 0.5))

    def estimate(self, n_examples: int, window_tokens: int) -> ExplainerEstimate:
        return ExplainerEstimate(n_examples, window_tokens, 0)


@dataclass
class Grader:
    """A scorer whose value is the feature's number over ten, or that fails, or has none, where it is told to."""

    failing: dict[int, Outcome | Exception] = field(default_factory=dict)
    failing_items: dict[int, Outcome] = field(default_factory=dict)
    undefined: dict[int, str] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    primary_metric = "grade"

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        assert resources.judge is None
        self.asked.append((explanation.set_name, record.feature))
        trouble = self.failing.get(record.feature)
        if isinstance(trouble, Exception):
            raise trouble
        outcomes = [trouble or Outcome.OK] * 4
        outcomes[0] = self.failing_items.get(record.feature, outcomes[0])
        items = tuple(
            Item(example.key, example.kind, example.decile, True, None, None, outcome)  # noqa: FBT003
            for example, outcome in zip(record.examples.activating, outcomes, strict=False)
        )
        if (why := self.undefined.get(record.feature)) is not None:
            return Score({"grade": None}, items, usage=Usage(4, 40, 4, 1.0), reasons={"grade": why})
        return Score({"grade": record.feature / 10}, items, usage=Usage(4, 40, 4, 1.0))

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        return ScorerEstimate(shape.n_activating)


def plugin(name: str, spec: Any) -> ResolvedPlugin:
    return ResolvedPlugin(name, Registered(spec, "test", "1", "test"), NoParameters())


def grading(name: str, grader: Callable[[], Grader]) -> ResolvedPlugin:
    """Return what ``grader`` returns when the run begins as a scorer of it."""
    metrics = (MetricSpec("grade", "g", chance=0.0),)
    spec = ScorerSpec(
        name=name, summary="s", factory=lambda _: grader(), config=NoParameters, metrics=metrics, primary_metric="grade"
    )
    return plugin(name, spec)


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
            scorers={"grader": grading("grader", lambda: self.grader)},
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

    def change(self, **changes: Any) -> None:
        """Change fields of the configuration."""
        self.resolved = replace(self.resolved, **changes)

    @property
    def folder(self) -> Path:
        """Return the one run's folder."""
        (folder,) = (Path(self.resolved.paths.results) / "runs").iterdir()
        return folder

    def prepare(self, *_: object) -> Mapping[str, SubjectData]:
        """Stand in for the stages that need a model: the records of one planted subject."""
        records = tuple(make_record(feature=feature, seed=feature) for feature in FEATURES)
        skipped = (SkippedFeature("planted", 9, "dead", "it never fires"),)
        facts = {"identity": {"model": {"path": "m"}}}
        subject = self.resolved.subjects["planted"]
        return {"planted": SubjectData("planted", subject, "a", "e", records, skipped, facts)}


def lines(report: RunReport, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (report.run_dir / f"{name}.jsonl").read_text().splitlines()]
