"""Whatever can change an answer changes its key, and nothing else does."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.config.schema import LLMConfig
from harness.llm.keys import completion_key, effective_seed, prompt_key
from harness.llm.open import key_fields
from harness.llm.protocol import CompletionRequest, Message, PromptLogprobsRequest

DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
MESSAGES = st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant"]), st.text()), max_size=3).map(
    tuple
)
TEXTS = st.lists(st.text(), max_size=3).map(tuple)
REQUEST_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "messages": MESSAGES,
    "max_tokens": st.integers(1, 10_000),
    "temperature": st.floats(0, 2),
    "top_p": st.floats(0, 1),
    "stop": TEXTS,
    "seed": st.none() | st.integers(0, 2**31),
    "repeat": st.integers(0, 100),
    "response_schema": st.none() | st.dictionaries(st.text(), JSON, max_size=3),
    "choices": TEXTS,
    "top_logprobs": st.integers(0, 20),
}
ENDPOINT_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "model": st.text(min_size=1),
    "revision": st.none() | st.text(),
    "api_base": st.sampled_from(["http://a/v1", "http://b/v1", "https://a/v1", "http://a/v2"]),
    "seed": st.none() | st.integers(0, 2**31),
    "json_schema": st.booleans(),
    "choices": st.sampled_from(["none", "grammar", "guided_choice", "structured_outputs"]),
    "extra_body": st.dictionaries(st.text(), JSON, max_size=3),
}
HARMLESS_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "concurrency": st.integers(1, 500),
    "timeout_s": st.floats(0.1, 1e4),
    "max_retries": st.integers(0, 20),
    "logprobs": st.booleans(),
    "prompt_logprobs": st.booleans(),
    "api_key_env": st.none() | st.just("SOME_KEY"),
    "input_usd_per_mtok": st.none() | st.floats(0, 100),
    "output_usd_per_mtok": st.none() | st.floats(0, 100),
    "slots": st.integers(1, 8),
    "threads": st.none() | st.integers(1, 64),
    "context_tokens": st.integers(64, 100_000),
}
REQUESTS = st.fixed_dictionaries(REQUEST_FIELDS).map(lambda fields: CompletionRequest(**fields))
CONFIGS = st.fixed_dictionaries(ENDPOINT_FIELDS).map(lambda fields: LLMConfig(**fields))


def key(config: LLMConfig, request: CompletionRequest) -> str:
    return completion_key(key_fields(config), request, effective_seed(request, config.seed))


def test_every_field_is_sorted_into_one_kind() -> None:
    request = {field.name for field in dataclasses.fields(CompletionRequest)}
    config = {field.name for field in dataclasses.fields(LLMConfig)}
    assert set(REQUEST_FIELDS) == request
    assert set(ENDPOINT_FIELDS) | set(HARMLESS_FIELDS) | {"backend", "path", "sha256"} == config


@pytest.mark.parametrize("name", REQUEST_FIELDS)
@settings(max_examples=40)
@given(data=st.data(), config=CONFIGS, request_=REQUESTS)
def test_a_changed_request_field_changes_the_key(
    name: str, data: st.DataObject, config: LLMConfig, request_: CompletionRequest
) -> None:
    value = data.draw(REQUEST_FIELDS[name].filter(lambda value: value != getattr(request_, name)))
    changed = dataclasses.replace(request_, **{name: value})
    if name == "seed":
        # A request without a seed is sent with the config's.
        assume(effective_seed(changed, config.seed) != effective_seed(request_, config.seed))
    assert key(config, changed) != key(config, request_)


@pytest.mark.parametrize("name", ENDPOINT_FIELDS)
@settings(max_examples=40)
@given(data=st.data(), config=CONFIGS, request_=REQUESTS)
def test_a_changed_endpoint_field_changes_the_key(
    name: str, data: st.DataObject, config: LLMConfig, request_: CompletionRequest
) -> None:
    value = data.draw(ENDPOINT_FIELDS[name].filter(lambda value: value != getattr(config, name)))
    changed = dataclasses.replace(config, **{name: value})
    assert key(changed, request_) != key(config, request_)


@pytest.mark.parametrize("name", HARMLESS_FIELDS)
@settings(max_examples=40)
@given(data=st.data(), config=CONFIGS, request_=REQUESTS)
def test_what_cannot_change_an_answer_keeps_the_key(
    name: str, data: st.DataObject, config: LLMConfig, request_: CompletionRequest
) -> None:
    changed = dataclasses.replace(config, **{name: data.draw(HARMLESS_FIELDS[name])})
    assert key(changed, request_) == key(config, request_)


@given(first=DIGESTS, second=DIGESTS)
def test_local_weights_are_known_by_digest_not_by_place(first: str, second: str) -> None:
    def local(path: str, digest: str) -> LLMConfig:
        return LLMConfig(backend="local", model="judge", path=path, sha256=digest)

    request = CompletionRequest((Message("user", "q"),), max_tokens=1)
    assert key(local("wheel://a==1.0/a.gguf", first), request) == key(local("wheel://b==2.0/b.gguf", first), request)
    assert (
        key(local("wheel://a==1.0/a.gguf", first), request) == key(local("wheel://a==1.0/a.gguf", second), request)
    ) is (first == second)


@given(JSON)
def test_the_order_of_object_keys_does_not_matter(value: Any) -> None:
    one = LLMConfig(model="m", extra_body={"a": value, "b": 1})
    other = LLMConfig(model="m", extra_body={"b": 1, "a": value})
    request = CompletionRequest((Message("user", "q"),), max_tokens=1)
    assert key(one, request) == key(other, request)


def test_prompt_and_chat_keys_differ() -> None:
    fields = key_fields(LLMConfig(model="m"))
    keys = {prompt_key(fields, PromptLogprobsRequest("p", top)) for top in (0, 5)}
    keys |= {prompt_key(fields, PromptLogprobsRequest("q", 0))}
    keys |= {completion_key(fields, CompletionRequest((Message("user", "p"),), 1), None)}
    assert len(keys) == 4


@given(seed=st.none() | st.integers(0, 1000), default=st.none() | st.integers(0, 1000), repeat=st.integers(0, 9))
def test_repeats_get_their_own_seed(seed: int | None, default: int | None, repeat: int) -> None:
    request = CompletionRequest((), max_tokens=1, seed=seed, repeat=repeat)
    base = default if seed is None else seed
    assert effective_seed(request, default) == (None if base is None else base + repeat)
