"""A judge behind a content filter, which refuses nearly all texts of one sort."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from harness_detection.plugin import DETECTION
from harness_simulation.plugin import SIMULATION
from harness_surprisal.plugin import SURPRISAL

from harness.api import Completion, Outcome, PromptLogprobs, Resources, Usage
from harness.runner.garbage import unusable
from harness.testing import OracleJudge, make_explanation, make_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import CompletionRequest, PromptLogprobsRequest, ScorerSpec, Task

RECORD = make_record(n_activating=20, n_non_activating=20)
KEPT = {example.text for example in RECORD.score.activating[:3]}
WINDOWS = {example.text for example in RECORD.score.activating}


def answers(task: Task | None) -> list[list[float]]:
    assert task is not None
    return [[8.0 if "harbour" in token else 0.5 * (len(token) % 3) for token in tokens] for tokens in task.tokens]


class Filtered(OracleJudge):
    """Refuses 17 of the 20 activating windows."""

    def __init__(self) -> None:
        super().__init__(lambda request: "harbour" in request.messages[-1].content, prompt_rule=self.read)

    def read(self, request: PromptLogprobsRequest) -> Sequence[Sequence[float]]:
        return answers(request.task)

    def _answer(self, request: CompletionRequest) -> Completion:
        return Completion(None, Outcome.REFUSED, Usage(1)) if refused(request.task) else super()._answer(request)

    def _read(self, request: PromptLogprobsRequest) -> PromptLogprobs:
        return PromptLogprobs(None, Outcome.REFUSED, Usage(1)) if refused(request.task) else super()._read(request)


def refused(task: Task | None) -> bool:
    assert task is not None
    return task.texts[0] in WINDOWS - KEPT


@pytest.mark.parametrize("spec", [DETECTION, SURPRISAL, SIMULATION], ids=lambda spec: spec.name)
async def test_what_is_left_of_a_side_is_no_score(spec: ScorerSpec) -> None:
    scorer: Any = spec.resolve_factory()(spec.resolve_config()())
    found = await scorer.score(RECORD.for_scoring(), make_explanation("harbour"), Resources(seed=1, judge=Filtered()))
    one_sided = {"specificity"}
    assert {name for name, value in found.metrics.items() if value is not None} <= one_sided
    assert found.reasons[spec.primary_metric] == "17 of 20 positive items have no answer (17 refused)"
    assert set(found.reasons) >= set(found.metrics) - one_sided
    assert unusable(found, 0.1) is None  # a refusal is an answer, and is not asked for again
