"""The fuzzing scorer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.api import (
    Question,
    ScorerEstimate,
    check_judge,
    classify,
    estimate_calls,
    for_prompt,
    judge_of,
    judged_score,
)
from harness_fuzzing.config import BLOG, MATCHED, PAPER
from harness_fuzzing.prompt import PROMPT, shown_alone, shown_in_list
from harness_fuzzing.published import draw

if TYPE_CHECKING:
    from harness.api import LLM, ExampleShape, Explanation, Resources, Score, ScoreRecord
    from harness_fuzzing.config import FuzzingConfig
    from harness_fuzzing.marking import Marked

__all__ = ["FuzzingScorer", "check"]

NOTHING_TO_ASK = {
    MATCHED: "no two activating windows could be paired as a right and a wrong marking",
    BLOG: "no activating window has silent tokens enough for a wrong marking",
    PAPER: "there is no activating window",
}
_MARK_TOKENS = 11  # "Excerpt:", delimiters, and the marked words repeated, in a typical window


class FuzzingScorer:
    """Asks of windows whether the tokens marked in them are the ones the explanation names.

    Some windows are marked where the feature fires, others elsewhere. Paulo et al. 2024 (arXiv 2410.13928, section
    3.2); how the wrong marks are drawn is ours (``harness_fuzzing.marking``) unless a published way is asked for
    (``harness_fuzzing.published``).
    """

    def __init__(self, config: FuzzingConfig) -> None:
        self.config = config

    @property
    def primary_metric(self) -> str:
        """Return ``auroc``, or ``balanced_accuracy`` in ``list`` mode."""
        return self.config.primary_metric

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        """Return the score of ``explanation`` over the record's windows, by default its activating ones.

        Raises:
            ConfigError: If there is no judge.
            LLMError: If the judge cannot be asked at all, or cannot grade its answers where they are to be graded.
        """
        judge = judge_of(resources, "fuzzing", self.config)
        markings = draw(self.config.variant, record.examples, self.config.threshold, resources.seed)
        questions = [self._question(marked) for marked in markings.marked]
        described = for_prompt(explanation.text)
        classified = await classify(
            questions, described, PROMPT, self.config, judge, resources.seed, described=explanation.text
        )
        left_out: dict[str, float | None] = {"no_wrong_marking": float(markings.left_out)}
        score = judged_score(classified, self.config, judge, {"left_out": left_out})
        if questions:
            return score
        return replace(score, reasons=dict.fromkeys(score.metrics, NOTHING_TO_ASK[self.config.variant]))

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        """Return what one unit is expected to take if every window can be marked."""
        n = {
            MATCHED: shape.n_activating // 2 * 2,
            BLOG: shape.n_activating,
            PAPER: shape.n_activating + shape.n_non_activating,
        }[self.config.variant]
        tokens = shape.window_tokens + _MARK_TOKENS
        return estimate_calls(n, tokens, shape.explanation_tokens, PROMPT, self.config, shape.counter)

    def _question(self, marked: Marked) -> Question:
        return Question(
            key=marked.example.key,
            kind=marked.kind,
            decile=marked.example.decile,
            truth=marked.right,
            shown=shown_alone(marked) if self.config.mode == "single" else shown_in_list(marked),
            text="".join(marked.tokens),
            tokens=marked.tokens,
            marked=marked.flags,
        )


def check(config: FuzzingConfig, judge: LLM) -> None:
    """Check that the judge can answer as configured.

    Raises:
        LLMError: If it cannot grade its answers where they are to be graded.
    """
    check_judge(judge, "fuzzing", config)
