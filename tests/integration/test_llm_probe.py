"""What an endpoint can do, found out over real sockets through the real litellm, and remembered."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.config.schema import LLMConfig
from harness.errors import LLMError
from harness.llm.endpoint_memory import endpoints_folder
from harness.llm.facts import EndpointFacts, StatedFacts
from harness.llm.open import open_backend, open_llm
from harness.llm.probe import learn_seeds
from harness.llm.protocol import CompletionRequest, Message
from harness.llm.wire import ChoiceMode, StructuredMode
from harness.materials import cache_root, resolve
from harness.outcome import Outcome
from tests.integration.test_llm_local_judge import SHA256, WEIGHTS, local
from tests.support.kept_server import kept_server
from tests.support.odd_endpoint import OddEndpoint
from tests.support.openai_server import Answer, OpenAIServer, chat_body

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

LIST = {"type": "array", "items": {"type": "integer", "enum": [0, 1]}, "minItems": 3, "maxItems": 3}
LLAMA_CPP = frozenset({"json_schema", "grammar", "logprobs"})
VLLM = frozenset({"json_schema", "structured_outputs", "logprobs", "echo"})


def config(url: str, **changes: Any) -> LLMConfig:
    fields = {"model": "openai/m", "api_base": url, "max_retries": 1, "timeout_s": 10.0}
    return LLMConfig(**{**fields, **changes})


async def learnt(llm_config: LLMConfig, cache: Path) -> EndpointFacts:
    backend = open_backend(llm_config, "judge", cache)
    await backend.start()
    facts = await backend.learn(StatedFacts())
    await backend.close()
    return facts


@pytest.mark.parametrize("refuses", [None, 400, 500])
@pytest.mark.parametrize("provider", ["openai", "hosted_vllm"])
async def test_each_kind_of_server_is_told_apart(provider: str, refuses: int | None, tmp_path: Path) -> None:
    served = {
        LLAMA_CPP: EndpointFacts(StructuredMode.JSON_SCHEMA, ChoiceMode.GRAMMAR, logprobs=True),
        VLLM: EndpointFacts(
            StructuredMode.JSON_SCHEMA, ChoiceMode.STRUCTURED_OUTPUTS, logprobs=True, prompt_logprobs=True
        ),
        frozenset({"json_object"}): EndpointFacts(StructuredMode.JSON_OBJECT),
        frozenset[str](): EndpointFacts(),
    }
    for can, facts in served.items():
        async with OpenAIServer(OddEndpoint(can, refuses)) as server:
            assert await learnt(config(server.url, model=f"{provider}/m"), tmp_path) == facts


async def test_it_is_asked_once_and_remembered_by_the_next_run(tmp_path: Path) -> None:
    endpoint = OddEndpoint(LLAMA_CPP)
    async with OpenAIServer(endpoint) as server:
        counts = []
        for role in ("judge", "explainer"):
            llm = open_llm(config(server.url), role, tmp_path)
            await llm.start()
            assert llm.capabilities.choices
            assert llm.capabilities.logprobs
            await llm.close()
            counts.append(len(endpoint.asked))
        other = open_llm(config(server.url, choices="none"), "judge", tmp_path)
        await other.start()
        assert not other.capabilities.choices
        await other.close()
    assert counts[0] == counts[1] <= 7
    assert len(endpoint.asked) > counts[1]
    stored = [json.loads(path.read_text()) for path in endpoints_folder(tmp_path).iterdir()]
    assert sorted(one["facts"]["choices"] for one in stored) == ["grammar", "none"]


async def test_what_is_remembered_decides_how_a_question_is_put_and_where_its_answer_is_kept(tmp_path: Path) -> None:
    request = CompletionRequest((Message("user", "q"),), max_tokens=8, response_schema=LIST)
    sent, answers = [], []
    endpoint = OddEndpoint(LLAMA_CPP)
    async with OpenAIServer(endpoint) as server:
        for changes in ({}, {"choices": "none"}, {"structured": "none", "choices": "none"}, {}):
            llm = open_llm(config(server.url, **changes), "judge", tmp_path)
            answers.append(await llm.complete(request))
            sent.append(endpoint.asked[-1])
            await llm.close()
    assert sent[0]["grammar"].startswith("root ::= ")
    assert sent[1]["response_format"]["json_schema"]["schema"]["properties"] == {"answer": LIST}
    assert not {"grammar", "response_format"} & set(sent[2])
    assert [answer.cached for answer in answers] == [False, False, False, True]


async def test_an_endpoint_that_is_down_is_an_error_and_nothing_is_remembered(tmp_path: Path) -> None:
    busy = Answer(503, {"error": {"message": "busy"}}, {"retry-after": "0"})
    async with OpenAIServer(lambda _number, _request: busy) as server:
        llm = open_llm(config(server.url), "judge", tmp_path)
        with pytest.raises(LLMError, match="busy"):
            await llm.start()
        await llm.close()
    assert not endpoints_folder(tmp_path).exists()


@pytest.mark.parametrize("mode", ["on", "auto", "off"])
async def test_prompt_cache_marks_reach_the_provider_and_change_no_text(mode: str, tmp_path: Path) -> None:
    body = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": "Yes"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 5},
    }
    stated = {"structured": "none", "choices": "none", "logprobs": False, "prompt_logprobs": False}
    messages = (Message("system", "rules"), Message("user", "shared own"))
    async with OpenAIServer(lambda _number, _request: Answer(body=body)) as server:
        url = server.url.removesuffix("/v1")
        changes = {"model": "anthropic/claude-sonnet-4-5", "prompt_cache": mode, **stated}
        llm = open_llm(config(url, **changes), "judge", tmp_path)
        answer = await llm.complete(CompletionRequest(messages, 8, shared_prefix=7))
        # How much is shared is no part of the question.
        again = await llm.complete(CompletionRequest(messages, 8))
        spending = llm.spending
        await llm.close()
    sent = server.completions[-1].body
    mark = {} if mode == "off" else {"cache_control": {"type": "ephemeral"}}
    assert sent["system"] == [{"type": "text", "text": "rules", **mark}]
    blocks = sent["messages"][0]["content"]
    assert "".join(block["text"] for block in blocks) == "shared own"
    assert blocks[0] == {"type": "text", "text": "shared own" if mode == "off" else "shared ", **mark}
    assert (answer.text, again.cached, spending.cached_input_tokens) == ("Yes", True, 5)


async def test_an_ordinary_server_gets_no_marks_unless_told(tmp_path: Path) -> None:
    messages = (Message("system", "rules"), Message("user", "shared own"))
    async with OpenAIServer(lambda _number, _request: Answer(body=chat_body())) as server:
        for mode in ("auto", "on"):
            stated = {"structured": "none", "choices": "none", "logprobs": False, "prompt_logprobs": False}
            llm = open_llm(config(server.url, prompt_cache=mode, **stated), "judge", tmp_path / mode)
            await llm.complete(CompletionRequest(messages, 8, shared_prefix=7))
            await llm.close()
    auto, on = (request.body["messages"] for request in server.completions)
    assert auto == [{"role": "system", "content": "rules"}, {"role": "user", "content": "shared own"}]
    assert str(on).count("ephemeral") == 2


@pytest.fixture(scope="module")
def kept() -> Iterator[None]:
    with kept_server(local(resolve(WEIGHTS, cache=cache_root(None), sha256=SHA256))):
        yield


@pytest.mark.real_judge
@pytest.mark.usefixtures("kept")
async def test_the_real_llama_cpp_shows_what_it_can_do(tmp_path: Path) -> None:
    weights = resolve(WEIGHTS, cache=cache_root(None), sha256=SHA256)
    served = open_backend(local(weights), "judge", tmp_path)
    await served.start()
    asking: Any = served._asking  # type: ignore[attr-defined]
    facts = await asking.learn(StatedFacts())
    # The very first answer to a prompt may differ: a prompt read whole is not rounded like one kept but for its end.
    await learn_seeds(served.complete)
    seeds = await learn_seeds(served.complete)
    await served.close()
    assert facts == EndpointFacts(
        StructuredMode.JSON_SCHEMA, ChoiceMode.GRAMMAR, logprobs=True, prompt_logprobs=False, context_tokens=1024
    )
    assert seeds is True


@pytest.mark.real_judge
@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("mode", ["grammar", "json_schema"])
async def test_the_real_llama_cpp_keeps_to_a_list_and_to_an_object(mode: str, tmp_path: Path) -> None:
    weights = resolve(WEIGHTS, cache=cache_root(None), sha256=SHA256)
    llm = open_llm(replace(local(weights), structured=mode), "judge", tmp_path)
    await llm.start()
    question = (Message("user", "Tell me a story."),)
    listed = await llm.complete(CompletionRequest(question, max_tokens=40, response_schema=LIST))
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "sure": {"type": "boolean"},
            "score": {"type": "number"},
            "kind": {"enum": ["a", None, 3]},
            "tags": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2},
        },
        "required": ["name", "sure", "score", "kind", "tags"],
        "additionalProperties": False,
    }
    asked = (Message("user", "Fill in the form for Anna, in a few words."),)
    filled = await llm.complete(CompletionRequest(asked, max_tokens=120, response_schema=schema))
    await llm.close()
    assert listed.outcome is Outcome.OK
    assert len(json.loads(listed.text or "")) == 3
    assert filled.outcome is Outcome.OK
    assert list(json.loads(filled.text or "")) == ["name", "sure", "score", "kind", "tags"]
