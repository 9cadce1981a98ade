from __future__ import annotations

import pytest

from harness.llm.diagnosis import Place, diagnose
from harness.llm.failures import Failure, FailureKind

JUDGE = Place("judge", "openai/qwen3", "http://127.0.0.1:8000/v1", "JUDGE_KEY")
HOSTED = Place("explainer", "anthropic/claude", None, None)


@pytest.mark.parametrize("kind", FailureKind)
@pytest.mark.parametrize("place", [JUDGE, HOSTED])
def test_every_failure_is_one_line_with_a_key_and_a_hint(kind: FailureKind, place: Place) -> None:
    error = diagnose(Failure(kind, "what it said", 418), place)
    assert "\n" not in str(error)
    assert (error.where or "").startswith("judge." if place is JUDGE else "explainer.llm.")
    assert error.hint
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (FailureKind.UNREACHABLE, "judge.api_base"),
        (FailureKind.NOT_FOUND, "judge.api_base"),
        (FailureKind.MALFORMED, "judge.api_base"),
        (FailureKind.KEY, "judge.api_key_env"),
        (FailureKind.QUOTA, "judge.api_key_env"),
        (FailureKind.MODEL, "judge.model"),
    ],
)
def test_the_key_to_mend_is_named(kind: FailureKind, key: str) -> None:
    assert diagnose(Failure(kind, "x"), JUDGE).where == key


def test_models_are_suggested_by_likeness_else_listed() -> None:
    near = diagnose(Failure(FailureKind.MODEL, "x", 404, models=("qwen2", "llama")), JUDGE)
    assert near.hint == "did you mean openai/qwen2?"
    other = diagnose(Failure(FailureKind.MODEL, "x", 404, models=("phi", "llama")), JUDGE)
    assert other.hint == "one of: openai/phi, openai/llama"
