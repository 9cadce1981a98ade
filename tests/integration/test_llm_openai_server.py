"""The client against a real OpenAI-compatible HTTP server on the loopback interface, through the real litellm."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from harness.config.schema import LLMConfig
from harness.errors import LLMError
from harness.llm.open import answers_path, open_llm
from harness.llm.protocol import CompletionRequest, Message, PromptLogprobsRequest
from harness.outcome import Outcome
from tests.support.openai_server import Answer, OpenAIServer, Received, chat_body

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

ERROR = {"error": {"message": "boom", "type": "t", "code": None}}


# Stated, so that nothing is asked before what a test asks.
STATED = {"structured": "json_schema", "choices": "none", "logprobs": True, "prompt_logprobs": True}


def config(url: str, **changes: Any) -> LLMConfig:
    fields = {"model": "openai/m", "api_base": url, "max_retries": 3, "timeout_s": 10.0}
    return LLMConfig(**{**fields, **STATED, **changes})


def ask(text: str = "q", **changes: Any) -> CompletionRequest:
    return CompletionRequest(**{"messages": (Message("user", text),), "max_tokens": 8, **changes})


def always(answer: Answer) -> Callable[[int, Received], Answer]:
    return lambda _number, _request: answer


async def test_what_is_sent_is_what_was_asked(tmp_path: Path) -> None:
    async with OpenAIServer() as server:
        llm = open_llm(config(server.url, choices="guided_choice", extra_body={"top_k": 5}), "judge", tmp_path)
        request = ask(temperature=0.5, top_p=0.9, stop=("\n",), seed=7, choices=("Yes", "No"), top_logprobs=3, repeat=2)
        await llm.complete(request)
        sent = server.completions[0].body
        await llm.close()
    assert sent == {
        "model": "m",
        "messages": [{"role": "user", "content": "q"}],
        "max_tokens": 8,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["\n"],
        "seed": 9,
        "logprobs": True,
        "top_logprobs": 3,
        "top_k": 5,
        "guided_choice": ["Yes", "No"],
    }


async def test_schema_goes_out_as_response_format(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"match": {"type": "boolean"}}}
    async with OpenAIServer() as server:
        llm = open_llm(config(server.url), "judge", tmp_path)
        await llm.complete(ask(response_schema=schema))
        sent = server.completions[0].body
        await llm.close()
    assert sent["response_format"]["json_schema"]["schema"] == schema
    assert sent["temperature"] == 0.0


async def test_answer_with_logprobs_usage_and_price(tmp_path: Path) -> None:
    top = [{"token": "Yes", "logprob": -0.1}, {"token": "No", "logprob": -2.5}]
    logprobs = {"content": [{"token": "Yes", "logprob": -0.1, "top_logprobs": top}]}
    usage = {"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 64}}
    plan = always(Answer(body=chat_body(logprobs=logprobs, usage=usage)))
    async with OpenAIServer(plan) as server:
        prices = {"input_usd_per_mtok": 10.0, "output_usd_per_mtok": 20.0}
        llm = open_llm(config(server.url, **prices), "judge", tmp_path)
        first = await llm.complete(ask(top_logprobs=2))
        second = await llm.complete(ask(top_logprobs=2))
        spending = llm.spending
        await llm.close()
    assert first.text == "Yes"
    assert first.logprobs is not None
    assert first.logprobs[0].alternatives == {"Yes": -0.1, "No": -2.5}
    assert first.usage.usd == pytest.approx(100 * 10e-6 + 20e-6)
    assert (first.cached, second.cached) == (False, True)
    assert (second.text, second.logprobs, second.usage) == (first.text, first.logprobs, first.usage)
    assert len(server.completions) == 1
    assert (spending.billed.calls, spending.from_cache.calls, spending.cached_input_tokens) == (1, 1, 64)


async def test_unknown_price_is_none(tmp_path: Path) -> None:
    async with OpenAIServer() as server:
        llm = open_llm(config(server.url), "judge", tmp_path)
        answer = await llm.complete(ask())
        await llm.close()
    assert answer.usage.usd is None
    assert answer.usage.input_tokens == 11


async def test_answers_outlive_the_process_and_need_no_endpoint(tmp_path: Path) -> None:
    async with OpenAIServer() as server:
        url = server.url
        llm = open_llm(config(url), "judge", tmp_path)
        await llm.complete(ask())
        await llm.close()
    again = open_llm(config(url), "explainer", tmp_path)
    answer = await again.complete(ask())
    await again.close()
    assert answer.cached
    assert answer.text == "Yes"


async def test_identical_questions_in_flight_are_asked_once(tmp_path: Path) -> None:
    async with OpenAIServer(always(Answer(body=chat_body(), delay_s=0.2))) as server:
        llm = open_llm(config(server.url), "judge", tmp_path)
        answers = await asyncio.gather(*(llm.complete(ask()) for _ in range(10)))
        await llm.close()
    assert len(server.completions) == 1
    assert sorted(answer.cached for answer in answers) == [False] + [True] * 9


async def test_concurrency_is_used_and_bounded(tmp_path: Path) -> None:
    async with OpenAIServer(always(Answer(body=chat_body(), delay_s=0.1))) as server:
        llm = open_llm(config(server.url, concurrency=5), "judge", tmp_path)
        await asyncio.gather(*(llm.complete(ask(str(number))) for number in range(20)))
        await llm.close()
    assert server.most_at_once == 5
    assert len(server.completions) == 20


OUTCOMES: dict[str, tuple[Answer, Outcome, str]] = {
    "content null": (Answer(body=chat_body(None)), Outcome.ERROR, "empty answer"),
    "content empty": (Answer(body=chat_body("")), Outcome.ERROR, "empty answer"),
    "no choices": (Answer(body={**chat_body(), "choices": []}), Outcome.ERROR, "no choices"),
    "tool call": (
        Answer(
            body=chat_body(
                None,
                message={"tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            )
        ),
        Outcome.ERROR,
        "tool call",
    ),
    "reasoning only": (Answer(body=chat_body(None, message={"reasoning_content": "hm"})), Outcome.ERROR, "reasoning"),
    "cut at the limit": (Answer(body=chat_body("It i", finish_reason="length")), Outcome.TRUNCATED, ""),
    "null at the limit": (Answer(body=chat_body(None, finish_reason="length")), Outcome.TRUNCATED, "before any"),
    "content filter": (Answer(body=chat_body("", finish_reason="content_filter")), Outcome.REFUSED, "content_filter"),
    "refusal": (Answer(body=chat_body(None, message={"refusal": "I won't"})), Outcome.REFUSED, "I won't"),
    "policy error": (
        Answer(400, {"error": {"message": "no", "code": "content_policy_violation"}}),
        Outcome.REFUSED,
        "no",
    ),
    "context": (
        Answer(400, {"error": {"message": "maximum context length is 10 tokens", "code": "context_length_exceeded"}}),
        Outcome.ERROR,
        "context",
    ),
    "bad request": (Answer(400, ERROR), Outcome.ERROR, "boom"),
    "html": (Answer(body=b"<html>hi</html>", content_type="text/html"), Outcome.ERROR, "<html>"),
    "html as json": (Answer(body=b"<html>hi</html>"), Outcome.ERROR, "malformed"),
    "half json": (Answer(body=b'{"choices": [{'), Outcome.ERROR, "malformed"),
    "nothing": (Answer(body=b""), Outcome.ERROR, "malformed"),
    "a list": (Answer(body=[1]), Outcome.ERROR, "malformed"),
    "content of wrong type": (Answer(body=chat_body(message={"content": True})), Outcome.ERROR, "malformed"),
    "usage of wrong type": (Answer(body=chat_body(usage="no")), Outcome.ERROR, "malformed"),
    "error in a 200": (Answer(body={"error": {"message": "too busy", "code": 503}}), Outcome.ERROR, "too busy"),
    "cut before the head": (Answer(body=chat_body(), cut=0), Outcome.ERROR, "dropped"),
    "cut body": (Answer(body=chat_body(), cut=20), Outcome.ERROR, "dropped"),
    "server error": (Answer(500, ERROR), Outcome.ERROR, "500"),
    "gateway page": (Answer(502, b"<html>bad</html>", content_type="text/html"), Outcome.ERROR, "502"),
    "overloaded": (Answer(529, ERROR), Outcome.ERROR, "529"),
    "rate limit": (Answer(429, ERROR), Outcome.ERROR, "429"),
    "control characters": (Answer(400, {"error": {"message": "\x1b[31mred\x07"}}), Outcome.ERROR, "\\x1b[31mred"),
}


@pytest.mark.parametrize("name", OUTCOMES)
async def test_every_fault_has_an_outcome_and_is_not_cached(name: str, tmp_path: Path) -> None:
    answer, outcome, said = OUTCOMES[name]
    async with OpenAIServer(always(answer)) as server:
        llm = open_llm(config(server.url, max_retries=0), "judge", tmp_path)
        first = await llm.complete(ask())
        asked = len(server.completions)
        server.plan = always(Answer(body=chat_body()))
        second = await llm.complete(ask())
        await llm.close()
    assert first.outcome is outcome
    assert said in (first.error or "")
    assert (first.error or "").isprintable()
    assert len(first.error or "") < 300
    assert asked == 1, "litellm retried behind our back"
    assert (second.outcome, second.cached) == (Outcome.OK, False)


@pytest.mark.parametrize("name", ["html", "half json", "cut before the head", "server error", "rate limit", "refusal"])
async def test_faults_mean_the_same_through_the_vllm_provider(name: str, tmp_path: Path) -> None:
    answer, outcome, _said = OUTCOMES[name]
    async with OpenAIServer(always(answer)) as server:
        llm = open_llm(config(server.url, model="hosted_vllm/m", max_retries=1), "judge", tmp_path)
        first = await llm.complete(ask())
        asked = len(server.completions)
        server.plan = always(Answer(body=chat_body()))
        second = await llm.complete(ask("other"))
        await llm.close()
    assert (first.outcome, second.outcome) == (outcome, Outcome.OK)
    assert asked == {"refusal": 1, "rate limit": 5}.get(name, 2)


async def test_one_token_answer_at_the_limit_is_whole(tmp_path: Path) -> None:
    async with OpenAIServer(always(Answer(body=chat_body("Yes", finish_reason="length")))) as server:
        llm = open_llm(config(server.url), "judge", tmp_path)
        one = await llm.complete(ask(max_tokens=1))
        chosen = await llm.complete(ask(choices=("Yes", "No")))
        await llm.close()
    assert (one.outcome, chosen.outcome) == (Outcome.OK, Outcome.OK)


@pytest.mark.parametrize(
    "fault",
    [
        Answer(503, ERROR, {"retry-after": "0"}),
        Answer(429, ERROR, {"retry-after": "0"}),
        Answer(body=chat_body(), cut=0),
        Answer(body=b"{"),
        Answer(body=chat_body(), delay_s=5.0),
    ],
    ids=["503", "429", "dropped", "malformed", "slow"],
)
async def test_transient_faults_are_survived_and_counted(fault: Answer, tmp_path: Path) -> None:
    def plan(number: int, _request: Received) -> Answer:
        return fault if number < 2 else Answer(body=chat_body())

    async with OpenAIServer(plan) as server:
        llm = open_llm(config(server.url, timeout_s=1.0), "judge", tmp_path)
        answer = await llm.complete(ask())
        spending = llm.spending
        await llm.close()
    assert answer.outcome is Outcome.OK
    assert spending.failed_attempts == 2
    assert spending.billed.calls == 1
    assert len(server.completions) == 3


async def test_retry_after_is_respected(tmp_path: Path) -> None:
    def plan(number: int, _request: Received) -> Answer:
        return Answer(429, ERROR, {"retry-after": "1"}) if number == 0 else Answer(body=chat_body())

    async with OpenAIServer(plan) as server:
        llm = open_llm(config(server.url), "judge", tmp_path)
        await llm.start()
        began = asyncio.get_running_loop().time()
        await llm.complete(ask())
        waited = asyncio.get_running_loop().time() - began
        await llm.close()
    assert waited >= 1.0


async def failure_at_start(llm_config: LLMConfig, cache: Path, role: str = "judge") -> LLMError:
    llm = open_llm(llm_config, role, cache)
    with pytest.raises(LLMError) as caught:
        await llm.start()
    await llm.close()
    assert "\n" not in str(caught.value)
    return caught.value


async def test_unreachable_endpoint_names_the_url_key(tmp_path: Path) -> None:
    async with OpenAIServer() as server:
        url = server.url
    error = await failure_at_start(config(url), tmp_path)
    assert error.where == "judge.api_base"
    assert url in str(error)
    assert "cannot be reached" in str(error)


async def test_wrong_key_is_named_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_TEST_KEY", "sk-hidden-123456789")
    async with OpenAIServer(key="right") as server:
        error = await failure_at_start(config(server.url, api_key_env="MY_TEST_KEY"), tmp_path)
        server.models = None
        unlisted = await failure_at_start(config(server.url, api_key_env="MY_TEST_KEY"), tmp_path)
    for each in (error, unlisted):
        assert each.where == "judge.api_key_env"
        assert "MY_TEST_KEY" in str(each)
        assert "sk-hidden" not in str(each)
    assert "sk-hidden" not in caplog.text


async def test_right_key_is_sent_and_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TEST_KEY", "sk-right-123456789")
    async with OpenAIServer(key="sk-right-123456789") as server:
        llm = open_llm(config(server.url, api_key_env="MY_TEST_KEY"), "judge", tmp_path)
        answer = await llm.complete(ask())
        await llm.close()
    assert answer.outcome is Outcome.OK
    assert b"sk-right" not in answers_path(tmp_path).read_bytes()
    assert "sk-right" not in repr(llm.identity)


async def test_another_services_key_is_not_sent_to_a_configured_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    async with OpenAIServer() as server:
        llm = open_llm(config(server.url), "judge", tmp_path)
        await llm.complete(ask())
        await llm.close()
    assert server.received
    assert all("sk-of-openai" not in str(request.headers) for request in server.received)


async def test_key_wanted_but_none_configured(tmp_path: Path) -> None:
    async with OpenAIServer(key="right") as server:
        error = await failure_at_start(config(server.url), tmp_path, role="explainer")
    assert "api_key_env=NAME" in (error.hint or "")
    assert (error.where or "").startswith("explainer")


async def test_missing_key_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_TEST_KEY", raising=False)
    hosted = LLMConfig(model="openai/gpt-4o-mini", api_key_env="MY_TEST_KEY")
    error = await failure_at_start(hosted, tmp_path)
    assert error.where == "judge.api_key_env"
    assert "MY_TEST_KEY is not set" in str(error)


@pytest.mark.parametrize("listed", [True, False])
async def test_unknown_model_names_near_ones(listed: bool, tmp_path: Path) -> None:
    missing = Answer(404, {"error": {"message": "The model `qwen3` does not exist", "code": "model_not_found"}})
    async with OpenAIServer(always(missing), models=("qwen2", "llama") if listed else None) as server:
        error = await failure_at_start(config(server.url, model="openai/qwen3"), tmp_path)
    assert error.where == "judge.model"
    assert "openai/qwen3" in str(error)
    assert ("openai/qwen2" in str(error)) is listed


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b"<html>welcome</html>", content_type="text/html"),
        Answer(404, b"<html>nothing here</html>", content_type="text/html"),
        Answer(404, {"detail": "Not Found"}),
    ],
    ids=["page", "page not found", "route not found"],
)
async def test_url_that_is_no_api(answer: Answer, tmp_path: Path) -> None:
    async with OpenAIServer(always(answer), models=None) as server:
        error = await failure_at_start(config(server.url), tmp_path)
    assert error.where == "judge.api_base"
    assert "/v1" in (error.hint or "")


async def test_port_that_speaks_no_http(tmp_path: Path) -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    error = await failure_at_start(config(url), tmp_path)
    server.close()
    await server.wait_closed()
    assert error.where == "judge.api_base"


async def test_server_without_a_list_is_asked_for_one_token(tmp_path: Path) -> None:
    async with OpenAIServer(models=None) as server:
        llm = open_llm(config(server.url), "judge", tmp_path)
        await llm.start()
        await llm.start()
        await llm.close()
    assert [request.body["max_tokens"] for request in server.completions] == [1]


async def test_unlisted_alias_that_answers_is_accepted(tmp_path: Path) -> None:
    async with OpenAIServer(models=("other",)) as server:
        llm = open_llm(config(server.url), "judge", tmp_path)
        await llm.start()
        await llm.close()
    assert len(server.completions) == 1


async def test_wrong_key_in_the_middle_of_a_run_ends_it(tmp_path: Path) -> None:
    async with OpenAIServer() as server:
        llm = open_llm(config(server.url), "judge", tmp_path)
        await llm.complete(ask("first"))
        server.key = "changed"
        with pytest.raises(LLMError, match="wants a key"):
            await llm.complete(ask("second"))
        await llm.close()


async def test_quota_is_not_retried(tmp_path: Path) -> None:
    spent = Answer(429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}})
    async with OpenAIServer(always(spent)) as server:
        llm = open_llm(config(server.url), "judge", tmp_path)
        with pytest.raises(LLMError, match="quota or credit"):
            await llm.complete(ask())
        await llm.close()
    assert len(server.completions) == 1


async def test_endpoint_that_disappears_ends_the_run_after_its_retries(tmp_path: Path) -> None:
    async with OpenAIServer() as server:
        llm = open_llm(config(server.url, max_retries=1), "judge", tmp_path)
        await llm.complete(ask("first"))
    with pytest.raises(LLMError, match="cannot be reached"):
        await llm.complete(ask("second"))
    # One and four that are the endpoint's own fault: that is what one retry stands for.
    assert llm.spending.failed_attempts == 5
    await llm.close()


def echoed(tokens: list[str], logprobs: list[float | None] | None) -> Answer:
    fields = {"tokens": tokens, "token_logprobs": logprobs, "top_logprobs": [None] + [{"x": -1.5}] * (len(tokens) - 1)}
    choice = {"index": 0, "text": "".join(tokens), "finish_reason": "length", "logprobs": fields if logprobs else None}
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    return Answer(
        body={"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    )


async def test_prompt_logprobs_by_echo(tmp_path: Path) -> None:
    plan = always(echoed(["The", " cat", " sat", " on"], [None, -1.0, -2.0, -0.5]))
    async with OpenAIServer(plan) as server:
        llm = open_llm(config(server.url, prompt_logprobs=True), "judge", tmp_path)
        first = await llm.prompt_logprobs(PromptLogprobsRequest("The cat sat", top_logprobs=1))
        second = await llm.prompt_logprobs(PromptLogprobsRequest("The cat sat", top_logprobs=1))
        sent = server.completions
        await llm.close()
    assert first.tokens is not None
    assert [(token.token, token.logprob) for token in first.tokens] == [("The", None), (" cat", -1.0), (" sat", -2.0)]
    assert first.tokens[1].alternatives == {"x": -1.5}
    assert (second.tokens, second.cached) == (first.tokens, True)
    assert [request.path for request in sent] == ["/v1/completions"]
    assert (sent[0].body["echo"], sent[0].body["logprobs"]) == (True, 1)


async def test_prompt_logprobs_that_do_not_come_end_the_run(tmp_path: Path) -> None:
    async with OpenAIServer(always(echoed(["The"], None))) as server:
        llm = open_llm(config(server.url, prompt_logprobs=True), "judge", tmp_path)
        with pytest.raises(LLMError, match="no log-probabilities of prompt tokens"):
            await llm.prompt_logprobs(PromptLogprobsRequest("The cat sat"))
        await llm.close()


async def test_a_cancelled_caller_does_not_take_the_answer_from_the_others(tmp_path: Path) -> None:
    async with OpenAIServer(always(Answer(body=chat_body(), delay_s=0.3))) as server:
        llm = open_llm(config(server.url), "judge", tmp_path)
        await llm.start()
        first = asyncio.create_task(llm.complete(ask()))
        second = asyncio.create_task(llm.complete(ask()))
        await asyncio.sleep(0.1)
        first.cancel()
        answer = await second
        await llm.close()
    assert answer.outcome is Outcome.OK
    assert len(server.completions) == 1
