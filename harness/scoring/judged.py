"""What scorers need and begin with, and from a judge's items to a score: the last step detection and fuzzing share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import ConfigError, LLMError
from harness.scoring.classification import breakdown, classification_metrics
from harness.scoring.protocol import Score
from harness.scoring.reliability import reliability

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.llm.protocol import LLM
    from harness.scoring.llm_classifier import Classified, ClassifierConfig
    from harness.scoring.protocol import Embedder, Resources

__all__ = ["check_judge", "embedder_of", "judge_of", "judged_score"]

NO_LOGPROBS = (
    "the judge reports no token log-probabilities; rank by balanced_accuracy (mode: list), or use a judge that does"
)
NO_GRADES_IN_LISTS = "a list of yes/no answers has no grades; use mode: single"


def judge_of(resources: Resources, scorer: str, config: ClassifierConfig | None = None) -> LLM:
    """Return the judge, which must be able to answer as ``config`` asks.

    Raises:
        ConfigError: If the run has none.
        LLMError: If answers are to be graded (``mode: single``) and the judge has no token log-probabilities: before
            anything is asked, and ending the run, as no question could be answered with a grade.
    """
    if resources.judge is None:
        raise ConfigError(f"scorer '{scorer}' needs a judge", where="judge", hint="give one, as in judge=local")
    if config is not None:
        check_judge(resources.judge, scorer, config)
    return resources.judge


def embedder_of(resources: Resources, scorer: str) -> Embedder:
    """Return the embedder.

    Raises:
        ConfigError: If the run has none.
    """
    if resources.embedder is None:
        raise ConfigError(f"scorer '{scorer}' needs an embedder", where="embedder", hint="give one in the config")
    return resources.embedder


def check_judge(judge: LLM, scorer: str, config: ClassifierConfig) -> None:
    """Check that ``judge``, which was started, can answer as ``config`` asks.

    Raises:
        LLMError: If answers are to be graded (``mode: single``) and it has no token log-probabilities: no question
            could be answered with a grade, so the run ends before anything is asked.
    """
    if config.mode == "single" and not judge.capabilities.logprobs:
        what = "mode 'single' grades answers by token log-probabilities, and this judge reports none"
        hint = f"'scorers=[{scorer}_list]' (or mode=list), or judge.logprobs=true if it can"
        raise LLMError(what, where=f"scorers.{scorer}.mode", hint=hint)


def judged_score(
    classified: Classified,
    config: ClassifierConfig,
    judge: LLM,
    extra: Mapping[str, Mapping[str, float | None]] | None = None,
) -> Score:
    """Return the score of the classified items; ``extra`` joins the breakdown.

    The breakdown says under ``calibration`` how far P(yes) can be trusted; why not, if it is unknown, is a reason.
    """
    metrics = classification_metrics(classified.items)
    reasons = dict(metrics.reasons)
    calibration, why_none = reliability(classified.items)
    if why_none is not None:
        reasons["calibration"] = NO_GRADES_IN_LISTS if config.mode == "list" else why_none
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
        breakdown={
            **breakdown(classified.items, graded="mean_p_yes"),
            "calibration": calibration,
            **(extra or {}),
        },
    )
