from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.config.schema import ExecutionConfig, LLMConfig
from harness.runner.room import calls_per_unit, explain_room, judged_room, overlaps

if TYPE_CHECKING:
    from tests.support.run_bench import Bench

GGUF = LLMConfig(backend="local", model="m", path="/models/m.gguf")
OTHER = LLMConfig(backend="local", model="n", path="/models/n.gguf")
REMOTE = LLMConfig(model="openai/m", api_base="http://127.0.0.1:1/v1", concurrency=20)


@pytest.mark.parametrize(
    ("explainer", "judge", "expected"),
    [
        (None, GGUF, True),
        (GGUF, None, True),
        (GGUF, GGUF, False),
        (GGUF, OTHER, True),
        (REMOTE, REMOTE, True),
        (GGUF, REMOTE, True),
        (LLMConfig(backend="vllm", model="hub/m"), LLMConfig(backend="vllm", model="hub/m"), False),
        (LLMConfig(backend="vllm", model="hub/m"), LLMConfig(backend="transformers", model="hub/m"), True),
    ],
)
def test_scoring_waits_only_for_a_model_of_this_process_that_does_both(
    bench: Bench, explainer: Any, judge: Any, expected: bool
) -> None:
    bench.change(explainer_llm=explainer, judge=judge)
    assert overlaps(bench.resolved) is expected
    bench.change(execution=ExecutionConfig(overlap=not expected))
    assert overlaps(bench.resolved) is not expected


def test_as_many_explanations_as_the_explainer_may_be_asked_at_once(bench: Bench) -> None:
    assert explain_room(bench.resolved) == 2
    bench.change(explainer_llm=REMOTE)
    assert explain_room(bench.resolved) == 20
    bench.change(execution=ExecutionConfig(unit_concurrency=7))
    assert explain_room(bench.resolved) == 7


def test_questions_of_units_under_way_are_half_as_many_again_as_may_be_in_flight(bench: Bench) -> None:
    assert judged_room(REMOTE) == 30
    assert calls_per_unit(bench.resolved.scorers["grader"], bench.resolved.examples) == 20
