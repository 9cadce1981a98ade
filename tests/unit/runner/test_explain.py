from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.config.resolved import ResolvedPlugin
from harness.explainers.builtin import EXPLAINERS
from harness.explainers.config import DefaultConfig
from harness.registry.catalogue import Registered
from harness.runner import explain
from harness.runner.explain import plan_explanations


def unit(*, logit_weights: bool, suppressed_tokens: bool = False) -> str:
    registered: Any = Registered(EXPLAINERS[0], "autointerp-harness", "1", "builtin")
    explainer = ResolvedPlugin(
        "default", registered, DefaultConfig(logit_weights=logit_weights, suppressed_tokens=suppressed_tokens)
    )
    resolved: Any = SimpleNamespace(explainer=explainer, explainer_llm=None, seed=0)
    subject: Any = SimpleNamespace(name="s", activations="a", examples="e", records=[SimpleNamespace(feature=3)])
    return plan_explanations(resolved, {"s": subject})[0].unit


@pytest.mark.parametrize("version", ["DIRECTIONS_VERSION", "TOLD_VERSION"])
def test_which_tokens_are_told_counts_where_they_are_shown(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    shown, hidden = unit(logit_weights=True), unit(logit_weights=False)
    monkeypatch.setattr(explain, version, 99)
    assert unit(logit_weights=True) != shown
    assert unit(logit_weights=False) == hidden


def test_what_is_suppressed_is_another_explanation() -> None:
    assert unit(logit_weights=True, suppressed_tokens=True) != unit(logit_weights=True)
