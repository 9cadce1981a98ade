from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.config.schema import LLMConfig
from harness.llm.facts import stated_facts
from harness.llm.modes import known_modes, recorded_modes
from harness.llm.open import llm_identity, open_backend

if TYPE_CHECKING:
    from pathlib import Path

FOUND: dict[str, Any] = {"choices": "grammar", "structured": "json_schema", "logprobs": True}


def test_an_endpoint_has_to_be_asked_unless_all_is_stated() -> None:
    assert known_modes(LLMConfig(model="openai/m")) is None
    for name in FOUND:
        stated = {key: value for key, value in FOUND.items() if key != name}
        assert known_modes(LLMConfig(model="openai/m", **stated)) is None
    assert known_modes(LLMConfig(model="openai/m", **FOUND)) == FOUND


@pytest.mark.parametrize(
    ("backend", "modes"),
    [
        ("local", FOUND),
        ("transformers", {"choices": "grammar", "structured": "none", "logprobs": True}),
        ("vllm", {"choices": "structured_outputs", "structured": "json_schema", "logprobs": True}),
    ],
)
def test_models_of_this_process_are_known_and_what_is_stated_counts(backend: str, modes: dict[str, Any]) -> None:
    assert known_modes(LLMConfig(backend=backend, model="m", path="m")) == modes
    stated = LLMConfig(backend=backend, model="m", path="m", choices="none", logprobs=False)
    assert known_modes(stated) == {**modes, "choices": "none", "logprobs": False}


async def test_what_is_known_is_what_the_backend_learns(tmp_path: Path) -> None:
    statements: tuple[dict[str, Any], ...] = ({}, {"choices": "none"}, {"structured": "none", "logprobs": False})
    for stated in statements:
        config = LLMConfig(backend="local", model="m", path="m.gguf", **stated)
        learnt = await open_backend(config, "judge", tmp_path).learn(stated_facts(config))
        assert known_modes(config) == learnt.modes


def test_stating_what_was_found_is_the_same_model_and_another_finding_is_another() -> None:
    asked = LLMConfig(model="openai/m", api_base="http://a/v1")
    stated = LLMConfig(model="openai/m", api_base="http://a/v1", **FOUND)
    assert llm_identity(asked, FOUND) == llm_identity(stated) == llm_identity(stated, FOUND)
    assert llm_identity(asked, {**FOUND, "choices": "none"}) != llm_identity(asked, FOUND)
    assert llm_identity(asked)["choices"] == "auto"


def test_modes_are_read_back_from_an_identity() -> None:
    config = LLMConfig(model="openai/m")
    assert recorded_modes(llm_identity(config, FOUND)) == FOUND


@pytest.mark.parametrize(
    "identity",
    [
        {},
        {"model": "m", "pooling": "mean"},
        {**FOUND, "choices": "auto"},
        {**FOUND, "logprobs": None},
        {**FOUND, "logprobs": "yes"},
        {**FOUND, "structured": 7},
        {**FOUND, "structured": ["json_schema"]},
    ],
)
def test_what_is_not_recorded_is_not_guessed(identity: dict[str, Any]) -> None:
    assert recorded_modes(identity) is None
