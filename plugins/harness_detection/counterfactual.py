"""Detection with near-misses among the negatives, of which the subject shows that they do not activate the feature."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.api import (
    ConfigError,
    Question,
    ScorerEstimate,
    check_judge,
    classify,
    estimate_calls,
    estimate_counterfactuals,
    for_prompt,
    judge_of,
    judged_score,
    write_counterfactuals,
)
from harness_detection.prompt import FRAME_TOKENS, PROMPT, REWRITE, shown, window_question

if TYPE_CHECKING:
    from harness.api import LLM, ExampleShape, Explanation, Resources, Score, ScoreRecord
    from harness_detection.config import CounterfactualConfig

__all__ = ["CounterfactualScorer", "check"]

_NAME = "detection_counterfactual"


class CounterfactualScorer:
    """Detection over the windows of a record and, as further negatives, activating windows rewritten to be silent.

    What a window needs to activate the feature is what a near-miss lacks, so an explanation that names the topic of
    such windows and not that is told from one that does. Detection is that of Paulo et al. 2024 (arXiv 2410.13928,
    section 3.2); the near-misses are ours (``harness.scoring.counterfactuals``).
    """

    def __init__(self, config: CounterfactualConfig) -> None:
        self.config = config

    @property
    def primary_metric(self) -> str:
        """Return ``auroc``, or ``balanced_accuracy`` in ``list`` mode."""
        return self.config.primary_metric

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        """Return the score of ``explanation`` over all windows of the record and the near-misses that were kept.

        Raises:
            ConfigError: If there is no judge or no subject.
            LLMError: If the judge cannot be asked at all, or cannot grade its answers where they are to be graded.
            SubjectError: If the subject's hidden states are not finite.
        """
        config = self.config
        judge, subject = judge_of(resources, _NAME, config), resources.subject
        if subject is None:
            raise ConfigError(f"scorer '{_NAME}' needs the subject model", where="subject", hint="give one")
        examples = record.examples
        near = await write_counterfactuals(
            examples.activating, record.feature, REWRITE, config.rewriting, judge, subject
        )
        questions = [window_question(one, config.mode) for one in (*examples.activating, *examples.non_activating)]
        questions += [
            Question(text.key, "counterfactual", None, truth=False, shown=shown(text.text, config.mode), text=text.text)
            for text in near.texts
        ]
        described = for_prompt(explanation.text)
        classified = await classify(
            questions, described, PROMPT, config, judge, resources.seed, described=explanation.text
        )
        score = judged_score(classified, config, judge, {"counterfactuals": near.counts})
        why_none = {} if near.why_none is None else {"counterfactuals": near.why_none}
        return replace(
            score,
            items=(*score.items, *near.failures),
            usage=score.usage + near.usage,
            reasons={**score.reasons, **why_none},
            lost=near.lost,
        )

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        """Return what one unit is expected to take if every rewriting is kept."""
        config = self.config
        writing = estimate_counterfactuals(
            REWRITE, config.rewriting, shape.n_activating, shape.window_tokens, shape.counter
        )
        n = shape.n_activating + shape.n_non_activating + min(config.counterfactuals, shape.n_activating)
        tokens = shape.window_tokens + FRAME_TOKENS
        asking = estimate_calls(n, tokens, shape.explanation_tokens, PROMPT, config, shape.counter)
        return ScorerEstimate(
            writing.calls + asking.calls,
            writing.input_tokens + asking.input_tokens,
            writing.output_tokens + asking.output_tokens,
        )


def check(config: CounterfactualConfig, judge: LLM) -> None:
    """Check that the judge can answer as configured.

    Raises:
        LLMError: If it cannot grade its answers where they are to be graded.
    """
    check_judge(judge, _NAME, config)
