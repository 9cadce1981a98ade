"""The detection scorer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api import (
    ScorerEstimate,
    check_judge,
    classify,
    estimate_calls,
    for_prompt,
    judge_of,
    judged_score,
)
from harness_detection.prompt import FRAME_TOKENS, PROMPT, window_question

if TYPE_CHECKING:
    from harness.api import LLM, ExampleShape, Explanation, Resources, Score, ScoreRecord
    from harness_detection.config import DetectionConfig

__all__ = ["DetectionScorer", "check"]


class DetectionScorer:
    """Asks of every window, activating or not, whether it holds what the explanation names.

    Paulo et al. 2024 (arXiv 2410.13928, section 3.2).
    """

    def __init__(self, config: DetectionConfig) -> None:
        self.config = config

    @property
    def primary_metric(self) -> str:
        """Return ``auroc``, or ``balanced_accuracy`` in ``list`` mode."""
        return self.config.primary_metric

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        """Return the score of ``explanation`` over all windows of the record.

        Raises:
            ConfigError: If there is no judge.
            LLMError: If the judge cannot be asked at all, or cannot grade its answers where they are to be graded.
        """
        judge = judge_of(resources, "detection", self.config)
        examples = (*record.examples.activating, *record.examples.non_activating)
        questions = [window_question(example, self.config.mode) for example in examples]
        described = for_prompt(explanation.text)
        classified = await classify(
            questions, described, PROMPT, self.config, judge, resources.seed, described=explanation.text
        )
        return judged_score(classified, self.config, judge)

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        """Return what one unit is expected to take."""
        n = shape.n_activating + shape.n_non_activating
        tokens = shape.window_tokens + FRAME_TOKENS
        return estimate_calls(n, tokens, shape.explanation_tokens, PROMPT, self.config, shape.counter)


def check(config: DetectionConfig, judge: LLM) -> None:
    """Check that the judge can answer as configured.

    Raises:
        LLMError: If it cannot grade its answers where they are to be graded.
    """
    check_judge(judge, "detection", config)
