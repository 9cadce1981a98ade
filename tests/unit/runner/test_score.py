"""One unit: what it took is on its line, also where it came to nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import FeatureSourceError
from harness.explainers.protocol import ExplainerResources
from harness.llm.protocol import Completion, CompletionRequest, Message, PromptLogprobsRequest
from harness.outcome import Outcome, Usage
from harness.results.records import UsageLine
from harness.runner import explain
from harness.runner.score import ScoreUnit, Scoring
from harness.scoring.protocol import Resources
from harness.testing import ScriptedJudge, make_explanation, make_record
from tests.support.run_bench import Grader, Words, plugin

if TYPE_CHECKING:
    from harness.examples.record import ExplainRecord, ScoreRecord
    from harness.explainers.protocol import Draft, Explanation
    from harness.llm.protocol import LLM
    from harness.scoring.protocol import Score

QUESTION = CompletionRequest((Message("user", "write"),), 8)
ANSWER = Completion("a text", Outcome.OK, Usage(1, 100, 20, 0.25))


async def _ask(model: LLM | None) -> None:
    assert model is not None
    await model.complete(QUESTION)
    await model.complete(QUESTION)
    await model.prompt_logprobs(PromptLogprobsRequest("read"))
    assert (model.role, model.identity["model"]) == ("judge", "ScriptedJudge")


@dataclass
class Dropping(Grader):
    """Pays for two texts before the feature turns out to be unusable."""

    trouble: Exception | None = None

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        assert (record.feature, explanation.text) == (0, "months")
        await _ask(resources.judge)
        assert self.trouble is not None
        raise self.trouble


@dataclass
class Giving(Words):
    """Pays for two texts before it fails."""

    async def explain(self, record: ExplainRecord, resources: ExplainerResources) -> Draft:
        assert record.feature == 0
        await _ask(resources.llm)
        raise RuntimeError


@pytest.mark.parametrize("trouble", [FeatureSourceError("no such direction"), RuntimeError("a defect")])
def test_a_unit_that_fails_has_what_it_took_on_its_line(trouble: Exception) -> None:
    judge = ScriptedJudge([ANSWER])

    async def given(*_: object) -> Resources:
        return Resources(seed=0, judge=judge)

    registered = plugin("grader", SimpleNamespace(name="grader", version=1, resolve_factory=lambda: scorer))

    def scorer(_: object) -> Dropping:
        return Dropping(trouble=trouble)

    record, explanation = make_record(), make_explanation("months")
    line: Any = SimpleNamespace(explanation_set="given")
    resolved: Any = SimpleNamespace(seed=0, execution=SimpleNamespace(max_failed_share=0.1))
    subjects: Any = {record.subject: SimpleNamespace(plugin=None)}
    resources: Any = SimpleNamespace(for_scorer=given)
    unit = ScoreUnit("u", "p", registered, line, explanation, None, record)
    written, items = asyncio.run(Scoring(resolved, subjects, resources).score(unit))
    assert (written.status, items) == ("error", [])
    assert written.usage == UsageLine(calls=2, input_tokens=200, output_tokens=40, usd=0.5)


def test_an_explanation_that_fails_has_what_it_took_on_its_draft() -> None:
    resources = ExplainerResources(seed=0, llm=ScriptedJudge([ANSWER]))
    explainer: Any = Giving()
    draft = asyncio.run(explain._draft(explainer, make_record(), resources))
    assert (draft.outcome, draft.usage) == (Outcome.ERROR, Usage(2, 200, 40, 0.5))
