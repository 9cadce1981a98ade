"""The scorers of whole windows with a judge that knows the planted rule and reads no prompt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from harness_intruder.plugin import INTRUDER
from harness_saebench.plugin import SAEBENCH

from harness.api import ExampleSet, Resources, Score
from harness.config.schema import LLMConfig
from harness.llm.open import open_llm
from harness.testing import make_explanation, make_record

if TYPE_CHECKING:
    from pathlib import Path

    from harness.api import Example, ScorerSpec

SHIPS = "words about ships and sailing"


def without_other_rules(examples: tuple[Example, ...]) -> tuple[Example, ...]:
    """Return the windows without the filler words that fire another planted feature, which they might share."""
    other = {" people", " slowly"}
    return tuple(
        replace(one, tokens=tuple(" old" if token in other else token for token in one.tokens)) for one in examples
    )


MADE = make_record(word=" ship")
RECORD = replace(
    MADE,
    score=ExampleSet(without_other_rules(MADE.score.activating), without_other_rules(MADE.score.non_activating)),
)


async def score(spec: ScorerSpec, folder: Path, text: str) -> Score:
    judge = open_llm(LLMConfig(backend="oracle", model="oracle"), "judge", folder)
    scorer = spec.resolve_factory()(spec.resolve_config()())
    found: Score = await scorer.score(RECORD.for_scoring(), make_explanation(text), Resources(seed=1, judge=judge))
    return found


async def test_saebench_tells_the_true_explanation_from_one_that_says_nothing(tmp_path: Path) -> None:
    true, empty = await score(SAEBENCH, tmp_path, SHIPS), await score(SAEBENCH, tmp_path, "")
    assert true.metrics["accuracy"] == true.metrics["balanced_accuracy"] == 1.0
    assert empty.metrics["balanced_accuracy"] == pytest.approx(0.5, abs=0.4)  # 14 guesses
    assert (empty.metrics["accuracy"] or 0.0) < 1.0


async def test_every_intruder_is_found_whatever_the_explanation(tmp_path: Path) -> None:
    true, empty = await score(INTRUDER, tmp_path, SHIPS), await score(INTRUDER, tmp_path, "")
    assert true.metrics == empty.metrics == {"accuracy": 1.0, "accuracy_above_chance": 1.0}
