"""The kit must pass what is right and name what is wrong: each broken scorer here fails exactly its own check."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.api import (
    CompletionRequest,
    ExampleNeeds,
    Item,
    Message,
    MetricSpec,
    Need,
    Outcome,
    Score,
    ScorerEstimate,
    ScorerSpec,
    Usage,
    gather_in_order,
    parse_choice,
)
from harness.testing import check_scorer

if TYPE_CHECKING:
    from harness.api import Example, ExampleShape, Explanation, Resources, ScoreRecord

COUNTER = itertools.count()


@dataclass(frozen=True)
class Config:
    word: str = "harbour"


class Good:
    """Share of windows the judge answers yes to."""

    primary_metric = "share"

    def __init__(self, config: Config) -> None:
        self.config = config

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        examples = record.examples.activating
        asked = await gather_in_order(self.ask(example, explanation, resources) for example in examples)
        items, usages = zip(*asked, strict=True)
        known = [item.prediction for item in items if item.outcome is Outcome.OK]
        share = sum(known) / len(known) if known else None
        return Score({"share": share}, items, sum(usages, Usage()), {} if known else {"share": "no answers"})

    async def ask(self, example: Example, explanation: Explanation, resources: Resources) -> tuple[Item, Usage]:
        request = CompletionRequest((Message("user", explanation.text + example.text),), 1, choices=("Yes", "No"))
        answer = await resources.judge.complete(request)  # type: ignore[union-attr]
        outcome, word = answer.outcome, parse_choice(answer.text or "", ("Yes", "No"))
        if outcome is Outcome.OK and word is None:
            outcome = Outcome.UNPARSED
        said = word == "Yes" if outcome is Outcome.OK else None
        return self.item(example, said, outcome), answer.usage

    def item(self, example: Example, said: bool | None, outcome: Outcome) -> Item:
        return Item(example.key, "activating", example.decile, truth=True, prediction=said, value=None, outcome=outcome)

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        return ScorerEstimate(shape.n_activating, 100, shape.n_activating)


class CountsFailures(Good):
    def item(self, example: Example, said: bool | None, outcome: Outcome) -> Item:
        return super().item(example, bool(said), outcome)


class HidesFailures(Good):
    def item(self, example: Example, said: bool | None, outcome: Outcome) -> Item:  # noqa: ARG002  -- that is its fault
        return super().item(example, bool(said), Outcome.OK)


class Random(Good):
    def item(self, example: Example, said: bool | None, outcome: Outcome) -> Item:
        return replace(super().item(example, said, outcome), text=str(next(COUNTER)))


class NoEvidence(Good):
    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        return replace(await super().score(record, explanation, resources), items=())


class OutOfRange(Good):
    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        return replace(await super().score(record, explanation, resources), metrics={"share": float("nan")})


class ForgetsAMetric(Good):
    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        return replace(await super().score(record, explanation, resources), metrics={})


class Underestimates(Good):
    def estimate(self, shape: ExampleShape) -> ScorerEstimate:  # noqa: ARG002  -- that is its fault
        return ScorerEstimate(1, 1, 1)


class DependsOnOrder(Good):
    """Reads its own shared state: the answer of the question that came before."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.before = ""

    async def ask(self, example: Example, explanation: Explanation, resources: Resources) -> tuple[Item, Usage]:
        item, usage = await super().ask(example, explanation, resources)
        item = replace(item, reply=self.before)
        self.before = item.key
        return item, usage


def spec_of(scorer: Any, **changes: Any) -> ScorerSpec:
    spec = ScorerSpec(
        name="share",
        summary="share of yes",
        factory=scorer,
        config=Config,
        metrics=(MetricSpec("share", "share of yes"),),
        primary_metric="share",
        needs=frozenset({Need.JUDGE}),
    )
    return replace(spec, **changes)


def failed(spec: ScorerSpec) -> set[str]:
    checks = check_scorer(spec)
    assert all(check.detail for check in checks if not check.passed)
    return {check.name for check in checks if not check.passed}


def test_a_good_scorer_passes_every_check() -> None:
    assert failed(spec_of(Good)) == set()


@pytest.mark.parametrize(
    ("scorer", "check"),
    [
        (CountsFailures, "failures are not counted"),
        (HidesFailures, "failures are not counted"),
        (Random, "determinism"),
        (NoEvidence, "evidence"),
        (OutOfRange, "complete metrics"),
        (ForgetsAMetric, "complete metrics"),
        (Underestimates, "estimate"),
        (DependsOnOrder, "order invariance"),
    ],
)
def test_a_broken_scorer_is_named(scorer: Any, check: str) -> None:
    assert check in failed(spec_of(scorer))


def test_a_wrong_spec_is_named() -> None:
    assert "spec" in failed(spec_of(Good, primary_metric="other"))
    assert "spec" in failed(spec_of(Good, api_version=99))
    assert "spec" in failed(spec_of(Good, metrics=(MetricSpec("share", "share of yes", chance=2.0),)))
    assert "spec" in failed(spec_of(Good, metrics=(MetricSpec("share", "share of yes", low=None, chance=2.0),)))


def test_a_need_that_is_none_is_named() -> None:
    """One activating window is enough for the share."""
    for needs in (ExampleNeeds(activating=2), ExampleNeeds(non_activating=1), ExampleNeeds(random=1, together=3)):
        assert failed(spec_of(Good, example_needs=lambda _, needs=needs: needs)) == {"example needs"}


def test_a_metric_need_not_have_bounds() -> None:
    free = MetricSpec("nats", "n", low=None, high=None)
    assert free.allows(-1e9)
    assert free.allows(1e9)
    assert not free.allows(float("inf"))
    assert not MetricSpec("nats", "n", high=None).allows(-0.1)
    share = MetricSpec("share", "share of yes", low=None, high=None, chance=2.0)
    assert failed(spec_of(Good, metrics=(share,))) == set()


def test_a_scorer_that_raises_fails_with_what_it_raised() -> None:
    class Raises(Good):
        def item(self, *_: Any) -> Item:
            raise ZeroDivisionError("by nothing")

    checks = {check.name: check for check in check_scorer(spec_of(Raises))}
    assert checks["determinism"].detail == "ZeroDivisionError: by nothing"
