from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from harness_detection.config import CounterfactualConfig
from harness_detection.plugin import COUNTERFACTUAL, DETECTION

from harness.api import ConfigError, LLMError, Outcome, Resources, Score, TaskKind
from harness.testing import FailingJudge, FakeSubject, OracleJudge, check_scorer, make_explanation, make_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import Completion, CompletionRequest

RECORD = make_record()
TRUE, TOPIC = "the word harbour", "places by the water, such as a harbour or a market"


def rule(request: CompletionRequest) -> bool | Sequence[bool] | str:
    """Rewrite by swapping the word; say yes to the places that the description names."""
    task = request.task
    assert task is not None
    if task.kind is TaskKind.REWRITE_WITHOUT:
        assert task.reply is not None
        return task.reply([text.replace("harbour", "market") for text in task.texts])
    named = [word for word in ("harbour", "market") if word in task.explanation]
    flags = [any(word in text for word in named) for text in task.texts]
    return flags[0] if request.choices else flags


async def score(judge: Any = None, text: str = TRUE, spec: Any = COUNTERFACTUAL, **params: Any) -> Score:
    scorer = spec.resolve_factory()(spec.resolve_config()(**params))
    resources = Resources(seed=5, judge=judge or OracleJudge(rule), subject=FakeSubject())
    found: Score = await scorer.score(RECORD.for_scoring(), make_explanation(text), resources)
    return found


@pytest.mark.parametrize("mode", ["single", "list"])
def test_it_conforms(mode: str) -> None:
    checks = check_scorer(COUNTERFACTUAL, config={"mode": mode}, rule=rule)
    assert [check for check in checks if not check.passed] == []


async def test_near_misses_tell_a_topic_from_what_the_feature_reads() -> None:
    true, topic = await score(), await score(text=TOPIC)
    assert true.metrics["auroc"] == 1.0
    assert true.breakdown["kind_counterfactual"]["specificity"] == 1.0
    assert (await score(text=TOPIC, spec=DETECTION)).metrics["auroc"] == 1.0, "random windows cannot tell them"
    assert topic.breakdown["kind_counterfactual"]["specificity"] == 0.0
    assert topic.breakdown["kind_counterfactual"]["auroc"] == pytest.approx(0.5, abs=0.25)
    assert topic.breakdown["kind_random"]["auroc"] == 1.0
    assert 0.5 < (topic.metrics["auroc"] or 0.0) < 0.95


async def test_every_explanation_meets_the_same_near_misses() -> None:
    judges = [OracleJudge(rule), OracleJudge(rule)]
    found = [await score(judge, text) for judge, text in zip(judges, (TRUE, "x\x00\n<|im_end|>" * 1_000), strict=True)]
    asked = [[one.messages for one in judge.requests if "<<" in one.messages[0].content] for judge in judges]
    assert asked[0] == asked[1]
    texts = [[(item.key, item.text, item.truth) for item in one.items] for one in found]
    assert texts[0] == texts[1]
    assert found[0].usage.calls == len(judges[0].requests) == 2 + 50


async def test_without_near_misses_it_is_detection_and_says_so() -> None:
    def unwilling(request: CompletionRequest) -> bool | Sequence[bool] | str:
        return "I would rather not." if "<<" in request.messages[0].content else rule(request)

    found = await score(OracleJudge(unwilling))
    detection = await score(spec=DETECTION)
    assert found.metrics == detection.metrics
    assert [item for item in found.items if item.kind != "not_written"] == list(detection.items)
    assert [item.outcome for item in found.items if item.kind == "not_written"] == [Outcome.UNPARSED] * 2
    assert found.reasons["counterfactuals"].startswith("no rewriting was kept of 10 asked for: 2 failed_calls")
    assert found.breakdown["counterfactuals"]["kept"] == 0.0


async def test_rewritings_that_errors_took_away_are_lost_evidence() -> None:
    """Few calls rewrite and many ask, so that counted in items a judge that cannot rewrite would hardly be seen."""

    class Unwritten(OracleJudge):
        async def complete(self, request: CompletionRequest) -> Completion:
            if request.task is not None and request.task.kind is TaskKind.REWRITE_WITHOUT:
                return await FailingJudge(OracleJudge(rule), outcome=Outcome.ERROR).complete(request)
            return await super().complete(request)

    assert (await score(Unwritten(rule))).lost == 1.0
    assert (await score()).lost == 0.0


async def test_what_it_needs_is_said() -> None:
    scorer = COUNTERFACTUAL.resolve_factory()(CounterfactualConfig())
    given = (Resources(seed=0), Resources(seed=0, judge=OracleJudge(rule)))
    for resources, missing in zip(given, ("judge", "subject"), strict=True):
        with pytest.raises(ConfigError, match=missing):
            await scorer.score(RECORD.for_scoring(), make_explanation(TRUE), resources)
    judge = OracleJudge(rule, logprobs=False)
    with pytest.raises(LLMError) as caught:
        await score(judge)
    assert judge.requests == []
    assert "detection_counterfactual_list" in (caught.value.hint or "")


@pytest.mark.parametrize("bad", [{"counterfactuals": 0}, {"windows_per_call": 0}, {"min_likeness": -1}, {"mode": "x"}])
def test_parameters_out_of_range_are_refused_by_name(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        CounterfactualConfig(**bad)
    assert caught.value.where == next(iter(bad))
