from __future__ import annotations

from typing import Any

import pytest

from harness.runner.identity import explain_unit_id, score_unit_id

EXPLAIN: dict[str, Any] = {
    "subject": "s",
    "activations": "a",
    "feature": 1,
    "examples": "e",
    "explainer": {"plugin": "default", "version": 1, "params": {"temperature": 0.0}, "llm": {"model": "m"}},
    "seed": 0,
}
SCORE: dict[str, Any] = {
    "subject": "s",
    "activations": "a",
    "feature": 1,
    "examples": "e",
    "set_name": "default",
    "explanation": "digest",
    "protocol": "p",
}


def test_the_same_unit_has_the_same_identity() -> None:
    assert explain_unit_id(**EXPLAIN) == explain_unit_id(**EXPLAIN)
    assert score_unit_id(**SCORE) == score_unit_id(**SCORE)


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "t"},
        {"activations": "b"},
        {"feature": 2},
        {"examples": "f"},
        {"seed": 1},
        {"explainer": EXPLAIN["explainer"] | {"version": 2}},
        {"explainer": EXPLAIN["explainer"] | {"params": {"temperature": 0.5}}},
        {"explainer": EXPLAIN["explainer"] | {"llm": {"model": "n"}}},
    ],
)
def test_whatever_can_change_an_explanation_changes_its_identity(change: dict[str, Any]) -> None:
    assert explain_unit_id(**{**EXPLAIN, **change}) != explain_unit_id(**EXPLAIN)


@pytest.mark.parametrize("key", list(SCORE))
def test_whatever_can_change_a_score_changes_its_identity(key: str) -> None:
    assert score_unit_id(**{**SCORE, key: 2 if key == "feature" else "other"}) != score_unit_id(**SCORE)
