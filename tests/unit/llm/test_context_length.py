from __future__ import annotations

from typing import Any

import pytest

from harness.llm.context_length import context_in_listing, context_in_props, context_in_table

LISTINGS: dict[str, tuple[Any, tuple[int | None, bool]]] = {
    "vllm": ({"data": [{"id": "m", "max_model_len": 8192}]}, (8192, False)),
    "llama.cpp": ({"data": [{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx_train": 32768}}]}, (32768, True)),
    "gateway": ({"data": [{"id": "x", "context_length": 1}, {"id": "m", "context_length": 131072}]}, (131072, False)),
    "another name, one model": ({"data": [{"id": "file.gguf", "max_model_len": 5}]}, (5, False)),
    "another name, two models": ({"data": [{"id": "a", "max_model_len": 5}, {"id": "b"}]}, (None, False)),
    "nothing said": ({"data": [{"id": "m"}]}, (None, False)),
    "nonsense": ({"data": [{"id": "m", "max_model_len": "8k", "meta": 3}, 7]}, (None, False)),
    "negative": ({"data": [{"id": "m", "max_model_len": -1, "context_length": True}]}, (None, False)),
    "no list": ({"data": {}}, (None, False)),
    "none": (None, (None, False)),
}


@pytest.mark.parametrize("name", LISTINGS)
def test_listings(name: str) -> None:
    listing, expected = LISTINGS[name]
    assert context_in_listing(listing, "m") == expected


def test_props() -> None:
    assert context_in_props({"default_generation_settings": {"n_ctx": 1024}}) == 1024
    assert context_in_props({"default_generation_settings": []}) is None
    assert context_in_props([]) is None


def test_table() -> None:
    table = {"gpt": {"max_input_tokens": 10}, "a/b": {"max_input_tokens": 20}, "c": {}}
    assert context_in_table(table, "openai/gpt") == 10
    assert context_in_table(table, "a/b") == 20
    assert context_in_table(table, "x/c") is None
    assert context_in_table(table, "x/unknown") is None
