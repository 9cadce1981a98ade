from __future__ import annotations

import pytest

from harness.llm.diagnosis import Place
from harness.llm.failures import Failure, FailureKind
from harness.llm.too_long import said_too_long

SAID = "This model's maximum context length is 4096 tokens. However, your messages resulted in 9001 tokens."


def said(message: str, *, role: str = "judge", backend: str = "litellm", context_tokens: int | None = 4096) -> str:
    failure = Failure(FailureKind.CONTEXT, message, 400)
    place = Place(role, "openai/m", None, None)
    return said_too_long(failure, place, backend=backend, expected_tokens=5000, context_tokens=context_tokens)


def test_the_endpoints_own_numbers_are_kept() -> None:
    assert said(SAID).startswith(f"context (HTTP 400): {SAID}. Try: ".replace("..", "."))
    assert "5,000" not in said(SAID)


@pytest.mark.parametrize(("known", "limit"), [(4096, "4,096"), (None, "an unknown number")])
def test_where_it_gives_none_ours_are_said(known: int | None, limit: str) -> None:
    assert f"prompt and answer take about 5,000 tokens of {limit}. Try: " in said("too long", context_tokens=known)


@pytest.mark.parametrize("end", ["", ".", "..", "...", ". "])
@pytest.mark.parametrize("message", ["resulted in 9001 tokens", "too long"])
def test_no_full_stop_is_doubled(message: str, end: str) -> None:
    line = said(message + end)
    assert ".." not in line
    assert ".;" not in line
    assert line == said(message)


@pytest.mark.parametrize(
    ("role", "backend", "mend"),
    [
        ("judge", "litellm", "examples.score_activating, or a model with a longer context"),
        ("judge", "local", "examples.score_activating, or a larger judge.context_tokens"),
        ("explainer", "vllm", "examples.explain_activating, or a larger explainer.llm.context_tokens"),
    ],
)
def test_the_mend_names_the_keys(role: str, backend: str, mend: str) -> None:
    assert said(SAID, role=role, backend=backend).endswith(mend)
