"""From a judge's items to a score: the last step detection and fuzzing share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import ConfigError
from harness.scoring.classification import breakdown, classification_metrics
from harness.scoring.protocol import Score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.llm.protocol import LLM
    from harness.scoring.llm_classifier import Classified, ClassifierConfig
    from harness.scoring.protocol import Resources

__all__ = ["judge_of", "judged_score"]

NO_LOGPROBS = (
    "the judge reports no token log-probabilities; rank by balanced_accuracy (mode: list), or use a judge that does"
)
NO_GRADES_IN_LISTS = "a list of yes/no answers has no grades; use mode: single"


def judge_of(resources: Resources, scorer: str) -> LLM:
    """Return the judge.

    Raises:
        ConfigError: If the run has none.
    """
    if resources.judge is None:
        raise ConfigError(f"scorer '{scorer}' needs a judge", where="judge", hint="give one, as in judge=local")
    return resources.judge


def judged_score(
    classified: Classified,
    config: ClassifierConfig,
    judge: LLM,
    extra: Mapping[str, Mapping[str, float | None]] | None = None,
) -> Score:
    """Return the score of the classified items; ``extra`` joins the breakdown."""
    metrics = classification_metrics(classified.items)
    reasons = dict(metrics.reasons)
    if "auroc" in reasons and metrics.values["balanced_accuracy"] is not None:
        if config.mode == "list":
            reasons["auroc"] = NO_GRADES_IN_LISTS
        elif not judge.capabilities.logprobs:
            reasons["auroc"] = NO_LOGPROBS
    return Score(
        metrics=metrics.values,
        items=classified.items,
        usage=classified.usage,
        reasons=reasons,
        breakdown={**breakdown(classified.items, graded="mean_p_yes"), **(extra or {})},
    )
