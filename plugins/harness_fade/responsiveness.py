"""Responsiveness: does the feature activate more on natural texts that hold the concept than on those that do not?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api import Score, ScorerEstimate, judge_of
from harness_fade.config import FADE
from harness_fade.evidence import RatedSample, rated_sample, root_seed
from harness_fade.numbers import Comparison, signed_gini
from harness_fade.rating import ABSENT, CLEAR, estimate_rated
from harness_fade.separation import absolute_gini, missing, separation

if TYPE_CHECKING:
    from harness.api import ExampleShape, Explanation, Resources, ScoreRecord
    from harness_fade.config import ResponsivenessConfig

__all__ = ["SIDES", "ResponsivenessScorer", "fade_responsiveness", "one_side", "rated_comparison"]

SIDES = ("texts rated 2", "texts rated 0")


class ResponsivenessScorer:
    """The signed Gini coefficient of natural texts rated 2 against those rated 0; those rated 1 are left out.

    FADE, arXiv 2502.16994 (responsiveness). Ours keeps the sign and says what luck would give; the paper's own number
    is ``fade_responsiveness``.
    """

    def __init__(self, config: ResponsivenessConfig) -> None:
        self.config = config

    @property
    def primary_metric(self) -> str:
        """Return ``signed_gini``, or the paper's number under ``compat: fade``."""
        return "fade_responsiveness" if self.config.compat == FADE else "signed_gini"

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        """Return the responsiveness of ``explanation``.

        Raises:
            ConfigError: If there is no judge.
            LLMError: If the judge cannot be asked at all.
        """
        judge = judge_of(resources, "responsiveness")
        found = await rated_sample(record, explanation.text, judge, self.config)
        ours = separation(rated_comparison(found), self.config, root_seed(record, self.config), SIDES)
        paper = fade_responsiveness(found)
        metrics = {"signed_gini": ours.value, "gini_above_null": ours.above_null, "fade_responsiveness": paper}
        reasons = {name: ours.reason or "" for name, value in metrics.items() if value is None}
        if paper is None:
            reasons["fade_responsiveness"] = one_side(found)
        weighted = rated_comparison(found, weighted=True)
        few = missing(weighted, SIDES, self.config.min_texts) is not None
        return Score(
            metrics=metrics,
            items=found.items(),
            usage=found.usage,
            reasons=reasons,
            breakdown={
                **ours.parts,
                "natural": found.counts(),
                "corpus": {
                    "activating_windows": found.corpus.activating,
                    "covered": found.corpus.covered([text.example for text in found.texts]),
                    "signed_gini": None if few else signed_gini(weighted),
                },
            },
        )

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        """Return what one unit is expected to take."""
        return estimate_rated(shape, self.config)


def rated_comparison(found: RatedSample, *, weighted: bool = False) -> Comparison:
    """Return the texts rated 2 against those rated 0; ``weighted``, by what they stand for in the corpus.

    Where that is unknown a weighted comparison has no sides.
    """
    if not weighted:
        return Comparison(found.values(CLEAR), found.values(ABSENT))
    weights = found.corpus_weights()
    if weights is None:
        return Comparison((), ())
    return Comparison(
        found.values(CLEAR),
        found.values(ABSENT),
        [weights[place] for place in found.places(CLEAR)],
        [weights[place] for place in found.places(ABSENT)],
    )


def fade_responsiveness(found: RatedSample) -> float | None:
    """Return the paper's number, without the sign; None if no text is rated 2 or none 0."""
    return absolute_gini(rated_comparison(found))


def one_side(found: RatedSample) -> str:
    """Return which of the two ratings no text has."""
    return "no natural text is rated 2" if not found.places(CLEAR) else "no natural text is rated 0"
