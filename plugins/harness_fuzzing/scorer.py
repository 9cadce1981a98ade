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
from harness_fuzzing.marking import Marked, draw_markings
from harness_fuzzing.prompt import PROMPT, shown_alone, shown_in_list

if TYPE_CHECKING:
    from harness.api import LLM, ExampleShape, Explanation, Resources, Score, ScoreRecord
    from harness_fuzzing.config import FuzzingConfig

__all__ = ["FuzzingScorer", "check"]

NOTHING_TO_ASK = "no two activating windows could be paired as a right and a wrong marking"
_MARK_TOKENS = 11  # "Excerpt:", delimiters, and the marked words repeated, in a typical window


class FuzzingScorer:
    """Asks of activating windows whether the tokens marked in them are the ones the explanation names.

    Half the windows are marked where the feature fires, half elsewhere. Paulo et al. 2024 (arXiv 2410.13928, section
    3.2); how the wrong marks are drawn is ours (``harness_fuzzing.marking``).
    """

    def __init__(self, config: FuzzingConfig) -> None:
        self.config = config

    @property
    def primary_metric(self) -> str:
        """Return ``auroc``, or ``balanced_accuracy`` in ``list`` mode."""
        return self.config.primary_metric

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        """Return the score of ``explanation`` over the record's activating windows.

        Raises:
            ConfigError: If there is no judge.
            LLMError: If the judge cannot be asked at all, or cannot grade its answers where they are to be graded.
        """
        judge = judge_of(resources, "fuzzing", self.config)
        markings = draw_markings(record.examples.activating, self.config.threshold, resources.seed)
        questions = [self._question(marked) for marked in markings.marked]
        described = for_prompt(explanation.text)
        classified = await classify(
            questions, described, PROMPT, self.config, judge, resources.seed, described=explanation.text
        )
        left_out: dict[str, float | None] = {"no_wrong_marking": float(markings.left_out)}
        score = judged_score(classified, self.config, judge, {"left_out": left_out})
        return score if questions else replace(score, reasons=dict.fromkeys(score.metrics, NOTHING_TO_ASK))

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        """Return what one unit is expected to take if every window can be marked."""
        n = shape.n_activating // 2 * 2
        tokens = shape.window_tokens + _MARK_TOKENS
        return estimate_calls(n, tokens, shape.explanation_tokens, PROMPT, self.config, shape.counter)

    def _question(self, marked: Marked) -> Question:
        example = marked.example
        tokens = example.tokens[marked.start : marked.stop]
        marks = set(marked.marks)
        return Question(
            key=example.key,
            kind="marked_right" if marked.right else "marked_wrong",
            decile=example.decile,
            truth=marked.right,
            shown=shown_alone(marked) if self.config.mode == "single" else shown_in_list(marked),
            text="".join(tokens),
            tokens=tokens,
            marked=tuple(place in marks for place in range(marked.start, marked.stop)),
        )


def check(config: FuzzingConfig, judge: LLM) -> None:
    """Check that the judge can answer as configured.

    Raises:
        LLMError: If it cannot grade its answers where they are to be graded.
    """
    check_judge(judge, "fuzzing", config)
