"""Purity: when the feature activates, does the text hold the concept?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api import Score, ScorerEstimate, judge_of
from harness_fade.config import FADE
from harness_fade.evidence import NO_WEIGHTS, RatedSample, rated_sample, root_seed
from harness_fade.numbers import (
    Comparison,
    average_precision,
    interval,
    precision_without_signal,
    signed_gini,
    unsigned_above_null,
)
from harness_fade.rating import estimate_rated
from harness_fade.responsiveness import SIDES, one_side, rated_comparison
from harness_fade.separation import NO_ROOM, missing

if TYPE_CHECKING:
    from harness.api import ExampleShape, Explanation, Resources, ScoreRecord
    from harness_fade.config import PurityConfig

__all__ = ["PurityScorer", "fade_purity"]


class PurityScorer:
    """The average precision of texts rated 2 against those rated 0, ranked by activation.

    FADE, arXiv 2502.16994 (purity). Average precision without any signal is near the prevalence of the concept, which
    the sample sets; so ours is what lies above that, the prevalence stands beside it, and ``average_precision_corpus``
    weights the texts to the corpus. The paper's own number, ``fade_purity``, turns the ranking round where that helps.
    """

    def __init__(self, config: PurityConfig) -> None:
        self.config = config

    @property
    def primary_metric(self) -> str:
        """Return ``precision_above_null``, or the paper's number under ``compat: fade``."""
        return "fade_purity" if self.config.compat == FADE else "precision_above_null"

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        """Return the purity of ``explanation``.

        Raises:
            ConfigError: If there is no judge.
            LLMError: If the judge cannot be asked at all.
        """
        judge = judge_of(resources, "purity")
        found = await rated_sample(record, explanation.text, judge, self.config)
        sample, corpus = rated_comparison(found), rated_comparison(found, weighted=True)
        metrics: dict[str, float | None] = dict.fromkeys(_OURS)
        parts: dict[str, dict[str, float | None]] = {}
        least = self.config.min_texts
        reasons = dict.fromkeys(_OURS, missing(sample, SIDES, least) or "")
        if not reasons["average_precision"]:
            seed, draws = root_seed(record, self.config), self.config.draws
            value, lucky = average_precision(sample), precision_without_signal(sample, draws, seed)
            low, high = interval(sample, precision=True, draws=draws, seed=seed)
            metrics |= {"average_precision": value, "precision_above_null": unsigned_above_null(value, lucky)}
            no_corpus = NO_WEIGHTS if found.corpus_weights() is None else missing(corpus, SIDES, least)
            if no_corpus is None:
                metrics["average_precision_corpus"] = average_precision(corpus)
            parts = {"average_precision": {"low": low, "high": high, "without_signal": float(lucky.mean())}}
            reasons = {"precision_above_null": NO_ROOM, "average_precision_corpus": no_corpus or ""}
        metrics["fade_purity"] = fade_purity(found)
        reasons["fade_purity"] = one_side(found)
        return Score(
            metrics=metrics,
            items=found.items(),
            usage=found.usage,
            reasons={name: reasons[name] for name, value in metrics.items() if value is None},
            breakdown={
                **parts,
                "natural": {**found.counts(), "prevalence": sample.prevalence},
                "corpus": {
                    "activating_windows": found.corpus.activating,
                    "covered": found.corpus.covered([text.example for text in found.texts]),
                    "prevalence": corpus.prevalence,
                },
            },
        )

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        """Return what one unit is expected to take."""
        return estimate_rated(shape, self.config)


_OURS = ("precision_above_null", "average_precision", "average_precision_corpus")


def fade_purity(found: RatedSample) -> float | None:
    """Return the paper's number; the ranking is turned round where texts rated 2 have the smaller activations."""
    comparison = rated_comparison(found)
    if not comparison.positive or not comparison.negative:
        return None
    if signed_gini(comparison) < 0:
        comparison = Comparison([-value for value in comparison.positive], [-value for value in comparison.negative])
    return average_precision(comparison)
