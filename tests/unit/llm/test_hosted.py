from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.llm.facts import StatedFacts
from harness.llm.hosted import hosted_facts, wants_cache_marks
from harness.llm.litellm_backend import load_litellm
from harness.llm.wire import ChoiceMode, StructuredMode


def tables(*parameters: str, schema: bool = False, caching: bool = True) -> Any:
    return SimpleNamespace(
        get_supported_openai_params=lambda **_: list(parameters),
        supports_response_schema=lambda **_: schema,
        utils=SimpleNamespace(supports_prompt_caching=lambda **_: caching),
    )


def test_what_the_tables_deny_is_not_asked() -> None:
    facts = hosted_facts(tables("temperature"), "some/m", StatedFacts())
    assert facts == StatedFacts(StructuredMode.NONE, ChoiceMode.NONE, logprobs=False, prompt_logprobs=False)
    assert facts.complete


def test_what_the_tables_affirm_is_asked() -> None:
    library = tables("response_format", "logprobs", "top_logprobs")
    assert hosted_facts(library, "some/m", StatedFacts()) == StatedFacts(
        None, ChoiceMode.NONE, None, prompt_logprobs=False
    )
    assert hosted_facts(tables("logprobs", schema=True), "some/m", StatedFacts()) == StatedFacts(
        None, ChoiceMode.NONE, logprobs=False, prompt_logprobs=False
    )


def test_what_is_stated_is_kept() -> None:
    stated = StatedFacts(StructuredMode.GRAMMAR, ChoiceMode.GRAMMAR, logprobs=True, prompt_logprobs=True)
    assert hosted_facts(tables(), "some/m", stated) == stated


def test_tables_that_fail_know_nothing() -> None:
    def fail(**_: object) -> None:
        message = "unknown model"
        raise ValueError(message)

    library = SimpleNamespace(get_supported_openai_params=fail, supports_response_schema=fail)
    assert hosted_facts(library, "some/m", StatedFacts()).complete


@pytest.mark.parametrize(
    ("model", "marks"),
    [
        ("anthropic/claude-sonnet-4-5", True),
        ("bedrock/anthropic.claude-3-5-sonnet-20241022-v2:0", True),
        ("vertex_ai/claude-sonnet-4", True),
        ("openrouter/anthropic/claude-sonnet-4", True),
        ("openai/gpt-4o-mini", False),
        ("gemini/gemini-2.5-flash", False),
        ("vertex_ai/gemini-2.5-flash", False),
        ("hosted_vllm/claude-lookalike", False),
    ],
)
def test_marks_are_for_the_providers_of_claude(model: str, marks: bool) -> None:
    assert wants_cache_marks(tables(), model) is marks
    assert not wants_cache_marks(tables(caching=False), model)


def test_the_real_tables_are_understood() -> None:
    library = load_litellm()
    assert hosted_facts(library, "openai/gpt-4o-mini", StatedFacts()).structured is None
    assert hosted_facts(library, "openai/gpt-4o-mini", StatedFacts()).logprobs is None
    assert hosted_facts(library, "anthropic/claude-sonnet-4-5", StatedFacts()).logprobs is False
    assert hosted_facts(library, "nobody/knows", StatedFacts()).complete
    assert wants_cache_marks(library, "anthropic/claude-sonnet-4-5")
