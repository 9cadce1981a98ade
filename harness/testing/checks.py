"""The conformance kit: what every scorer must do, as named checks a plugin's own tests can assert."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.examples.record import ExampleKind, ExampleSet
from harness.identity import canonical_json, fingerprint, plain
from harness.outcome import Outcome
from harness.registry.specs import API_VERSION
from harness.scoring.protocol import ExampleNeeds, ExampleShape, Need, Resources
from harness.testing.embedders import FakeEmbedder
from harness.testing.judges import FailingJudge, OracleJudge, last_message
from harness.testing.records import make_explanation, make_record
from harness.testing.subjects import FakeSubject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.examples.record import FeatureRecord
    from harness.explainers.protocol import Explanation
    from harness.llm.protocol import LLM, CompletionRequest, PromptLogprobsRequest
    from harness.registry.specs import ScorerSpec
    from harness.scoring.protocol import Embedder, Score, Scorer
    from harness.subjects.access import SubjectAccess

__all__ = ["Check", "check_scorer"]

_SEED = 20
_FAILURES = (Outcome.ERROR, Outcome.REFUSED, Outcome.TRUNCATED, Outcome.UNPARSED)


@dataclass(frozen=True, slots=True)
class Check:
    """One named check; ``detail`` says what was found where it did not pass."""

    name: str
    passed: bool
    detail: str = ""


def check_scorer(
    spec: ScorerSpec,
    *,
    config: Mapping[str, Any] | None = None,
    rule: Callable[[CompletionRequest], bool | Sequence[bool] | str] | None = None,
    record: FeatureRecord | None = None,
    explanation: Explanation | None = None,
    embedder: Embedder | None = None,
    subject: SubjectAccess | None = None,
    prompt_rule: Callable[[PromptLogprobsRequest], Sequence[Sequence[float]]] | None = None,
) -> tuple[Check, ...]:
    """Return the result of every check on the scorer that ``spec`` describes; to be called outside an event loop.

    Args:
        spec: What the plugin registers.
        config: Parameters other than the defaults.
        rule: How the fake judge answers; by default yes where the last message holds the planted word, which suits
            scorers that ask yes/no questions.
        record: A feature record; by default a planted one.
        explanation: An explanation of it; by default the true one.
        embedder: For scorers that need one; by default a fake.
        subject: For scorers that need one; by default a fake that fires on the planted word and writes it when steered.
        prompt_rule: What the fake judge reads off a prompt, for scorers that ask for its log-probabilities.
    """
    bench = _Bench(
        spec=spec,
        params=dict(config or {}),
        rule=rule or (lambda request: "harbour" in last_message(request)),
        record=record or make_record(),
        explanation=explanation or make_explanation("the word harbour"),
        embedder=embedder or FakeEmbedder(),
        subject=subject or FakeSubject(),
        prompt_rule=prompt_rule,
    )
    return tuple(_run(name, check, bench) for name, check in _CHECKS.items())


@dataclass(frozen=True)
class _Bench:
    """A scorer and all that is needed to run it."""

    spec: ScorerSpec
    params: Mapping[str, Any]
    rule: Callable[[CompletionRequest], bool | Sequence[bool] | str]
    record: FeatureRecord
    explanation: Explanation
    embedder: Embedder
    subject: SubjectAccess
    prompt_rule: Callable[[PromptLogprobsRequest], Sequence[Sequence[float]]] | None = None

    def judge(self, shuffle_completion: int | None = None) -> OracleJudge:
        """Return a fresh judge that answers by the rules."""
        return OracleJudge(self.rule, prompt_rule=self.prompt_rule, shuffle_completion=shuffle_completion)

    def scorer(self) -> Scorer:
        """Return a fresh scorer."""
        made: Scorer = self.spec.resolve_factory()(self.spec.resolve_config()(**self.params))
        return made

    def score(self, judge: LLM | None = None) -> Score:
        """Return the score of the bench's explanation by a fresh scorer."""
        needs = self.spec.needs
        resources = Resources(
            seed=_SEED,
            judge=(judge or self.judge()) if Need.JUDGE in needs else None,
            embedder=self.embedder if Need.EMBEDDER in needs else None,
            subject=self.subject if Need.SUBJECT in needs else None,
        )
        return asyncio.run(self.scorer().score(self.record.for_scoring(), self.explanation, resources))


def _run(name: str, check: Callable[[_Bench], Iterator[str]], bench: _Bench) -> Check:
    try:
        complaint = next(check(bench), None)
    except Exception as error:  # noqa: BLE001  -- whatever a scorer raises is the finding, and is reported as such
        complaint = f"{type(error).__name__}: {error}"
    return Check(name, complaint is None, complaint or "")


def _spec(bench: _Bench) -> Iterator[str]:
    spec = bench.spec
    names = [metric.name for metric in spec.metrics]
    if not names or len(set(names)) != len(names):
        yield "metrics must have distinct names, and there must be one"
    if spec.primary_metric not in names:
        yield f"primary metric '{spec.primary_metric}' is not declared"
    if bench.scorer().primary_metric not in names:
        yield f"the scorer ranks by '{bench.scorer().primary_metric}', which is not declared"
    for metric in spec.metrics:
        if metric.chance is not None and not metric.allows(metric.chance):
            yield f"chance of '{metric.name}' is outside its range"
    if spec.fidelity not in {None, "input", "output"}:
        yield f"fidelity is '{spec.fidelity}', not 'input', 'output' or None"
    if spec.api_version != API_VERSION:
        yield f"written for plugin interface {spec.api_version}, this is {API_VERSION}"


def _config_round_trip(bench: _Bench) -> Iterator[str]:
    kind = bench.spec.resolve_config()
    if not dataclasses.is_dataclass(kind):
        yield "the config is not a dataclass"
    config: Any = kind(**bench.params)
    if kind(**plain(config)) != config:
        yield "a config made from its own plain data differs from it"


def _complete_metrics(bench: _Bench) -> Iterator[str]:
    score = bench.score()
    yield from _metric_complaints(bench, score)
    if score.metrics[bench.scorer().primary_metric] is None:
        yield "the primary metric is undefined on a record that has everything"
    canonical_json(score)  # the evidence must have a JSON form, without NaN


def _metric_complaints(bench: _Bench, score: Score) -> Iterator[str]:
    declared = {metric.name: metric for metric in bench.spec.metrics}
    if set(score.metrics) != set(declared):
        yield f"declared {sorted(declared)}, reported {sorted(score.metrics)}"
    for name, value in score.metrics.items():
        if value is None:
            if not score.reasons.get(name):
                yield f"'{name}' is undefined without a reason"
        elif name in declared and not declared[name].allows(value):
            yield f"'{name}' is {value}, outside its declared range"


def _evidence(bench: _Bench) -> Iterator[str]:
    keys = [item.key for item in bench.score().items]
    if not keys:
        yield "a score without items is a number without evidence"
    if len(set(keys)) != len(keys):
        yield "item keys are not unique"


def _determinism(bench: _Bench) -> Iterator[str]:
    if fingerprint(bench.score()) != fingerprint(bench.score()):
        yield "two runs with the same seed differ"


def _order_invariance(bench: _Bench) -> Iterator[str]:
    scores = [bench.score(bench.judge(order)) for order in (1, 2, 3)]
    if len({fingerprint(score) for score in [bench.score(), *scores]}) != 1:
        yield "the score depends on the order in which the judge answers"


def _failures_not_counted(bench: _Bench) -> Iterator[str]:
    if Need.JUDGE not in bench.spec.needs:
        return
    for outcome in _FAILURES:
        for share in (0.5, 1.0):
            judge = FailingJudge(bench.judge(), outcome=outcome, share=share)
            score = bench.score(judge)
            yield from _metric_complaints(bench, score)
            failed = [item for item in score.items if item.outcome is not Outcome.OK]
            # Half the answers of a scorer that asks one question may be none; all of them never are.
            if not failed and (judge.failures or share == 1.0):
                yield f"answers that end as {outcome} are not reported"
            if any(item.prediction is not None or item.value is not None for item in failed):
                yield f"an item that ended as {outcome} has a prediction or a value"
            if share == 1.0 and any(value is not None for value in score.metrics.values()):
                yield f"a metric has a value though every answer ended as {outcome}"


def _example_needs(bench: _Bench) -> Iterator[str]:
    """A scorer that has a value with fewer windows than it declares to need would have runs refused for nothing."""
    needs = bench.spec.resolve_example_needs(bench.spec.resolve_config()(**bench.params)) or ExampleNeeds()
    active, others = bench.record.score.activating, bench.record.score.non_activating
    random = [one for one in others if one.kind is ExampleKind.RANDOM]
    hard = [one for one in others if one.kind is not ExampleKind.RANDOM]
    fewer = {}
    if needs.activating > 1:
        fewer["activating"] = (*active[: needs.activating - 1], *others)
    if needs.non_activating > 0:
        fewer["non_activating"] = (*active, *others[: needs.non_activating - 1])
    if needs.random > 0:
        fewer["random"] = (*active, *random[: needs.random - 1], *hard)
    if needs.together > 1:
        fewer["together"] = (*active, *others)[: needs.together - 1]
    for name, left in fewer.items():
        sides = [tuple(one for one in left if one.activating is activating) for activating in (True, False)]
        score = replace(bench, record=replace(bench.record, score=ExampleSet(*sides))).score()
        if score.metrics[bench.scorer().primary_metric] is not None:
            yield f"it has a value with fewer windows than example_needs declares ({name})"


def _estimate(bench: _Bench) -> Iterator[str]:
    examples = bench.record.score
    window = len(examples.activating[0].tokens)
    expected = bench.scorer().estimate(ExampleShape(len(examples.activating), len(examples.non_activating), window))
    calls = bench.score().usage.calls
    if not calls / 2 <= expected.calls <= max(2 * calls, calls + 2):
        yield f"estimated {expected.calls} judge calls, made {calls}"
    if min(expected.input_tokens, expected.output_tokens) < 0:
        yield "an estimate is negative"


_CHECKS: Mapping[str, Callable[[_Bench], Iterator[str]]] = {
    "spec": _spec,
    "config round trip": _config_round_trip,
    "complete metrics": _complete_metrics,
    "evidence": _evidence,
    "example needs": _example_needs,
    "determinism": _determinism,
    "order invariance": _order_invariance,
    "failures are not counted": _failures_not_counted,
    "estimate": _estimate,
}
