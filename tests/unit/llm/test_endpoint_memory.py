from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from harness.config.schema import LLMConfig
from harness.errors import LLMError
from harness.llm.endpoint_memory import EndpointMemory, endpoints_folder
from harness.llm.facts import EndpointFacts
from harness.llm.open import endpoint_memory
from harness.llm.wire import ChoiceMode, StructuredMode

if TYPE_CHECKING:
    from pathlib import Path

FACTS = EndpointFacts(StructuredMode.GRAMMAR, ChoiceMode.GRAMMAR, logprobs=True, seeds=None, context_tokens=4096)


def memory(cache: Path, **changes: Any) -> EndpointMemory:
    found = endpoint_memory(LLMConfig(**{"model": "openai/m", "api_base": "http://a/v1", **changes}), cache)
    assert found is not None
    return found


def test_facts_are_remembered(tmp_path: Path) -> None:
    assert memory(tmp_path).recall() is None
    memory(tmp_path).remember(FACTS)
    assert memory(tmp_path).recall() == FACTS
    memory(tmp_path).remember(EndpointFacts(seeds=True))
    assert memory(tmp_path).recall() == EndpointFacts(seeds=True)
    assert len(list(endpoints_folder(tmp_path).iterdir())) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "openai/n"},
        {"api_base": "http://b/v1"},
        {"revision": "abc"},
        {"extra_body": {"a": 1}},
        {"choices": "grammar"},
        {"logprobs": True},
    ],
)
def test_another_endpoint_or_statement_is_another_memory(changes: dict[str, Any], tmp_path: Path) -> None:
    memory(tmp_path).remember(FACTS)
    assert memory(tmp_path, **changes).recall() is None


@pytest.mark.parametrize("changes", [{"concurrency": 3}, {"seed": 4}, {"timeout_s": 1.0}, {"api_key_env": "K"}])
def test_what_says_nothing_of_the_endpoint_does_not_matter(changes: dict[str, Any], tmp_path: Path) -> None:
    memory(tmp_path).remember(FACTS)
    assert memory(tmp_path, **changes).recall() == FACTS


def broken(**changes: Any) -> str:
    stored = {
        "structured": "none", "choices": "none", "logprobs": True, "prompt_logprobs": True, "seeds": None,
        "context_tokens": None,
    }  # fmt: skip
    return json.dumps({"facts": {**stored, **changes}})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"facts": 3}',
        '{"facts": {}}',
        "[" * 100_000,
        broken(structured="magic"),
        broken(logprobs="yes"),
        broken(context_tokens="many"),
        broken(seeds=1),
        broken(more=1),
        "\xff\xfe",
    ],
)
def test_a_file_that_cannot_be_read_is_as_none(text: str, tmp_path: Path) -> None:
    memory(tmp_path).remember(FACTS)
    memory(tmp_path).path.write_bytes(text.encode("latin-1"))
    assert memory(tmp_path).recall() is None
    memory(tmp_path).remember(FACTS)
    assert memory(tmp_path).recall() == FACTS


def test_many_writers_leave_one_whole_file(tmp_path: Path) -> None:
    kinds = [EndpointFacts(context_tokens=number) for number in range(1, 40)]
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(memory(tmp_path).remember, kinds):
            assert memory(tmp_path).recall() in kinds
    assert len(list(endpoints_folder(tmp_path).iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "llm").write_text("a file")
    with pytest.raises(LLMError, match="cannot be written") as caught:
        memory(tmp_path).remember(FACTS)
    assert "paths.cache" in str(caught.value)


def test_models_of_this_process_are_not_remembered(tmp_path: Path) -> None:
    assert endpoint_memory(LLMConfig(backend="local", model="m", path="x.gguf"), tmp_path) is None


def test_no_key_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "hidden")
    with_key = memory(tmp_path, api_key_env="SOME_KEY")
    with_key.remember(FACTS)
    assert "hidden" not in with_key.path.read_text()
    assert "SOME_KEY" not in with_key.path.read_text()
