"""Clarity: do texts written after the explanation activate the feature more than natural ones?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.api import Item, Outcome, Score, ScorerEstimate, TaskKind, Usage, estimate_writing, write_texts
from harness_fade.config import FADE, words_of
from harness_fade.evidence import (
    NO_WEIGHTS,
    RatedSample,
    activations_of,
    natural_sample,
    needed,
    rated_sample,
    root_seed,
)
from harness_fade.numbers import Comparison
from harness_fade.prompt import WRITE
from harness_fade.rating import CLEAR, Rated, both, estimate_rated
from harness_fade.separation import absolute_gini, separation

if TYPE_CHECKING:
    from harness.api import LLM, ExampleShape, Explanation, Resources, ScoreRecord, SubjectAccess, Written
    from harness_fade.config import ClarityConfig

__all__ = ["ClarityEvidence", "ClarityScorer", "clarity_evidence", "clarity_items", "estimate_clarity", "fade_clarity"]

NOT_RATED = "natural texts are not rated under compat: fade, so that those with the concept cannot be told apart"
EMPTY = "no text was written, or there is no natural text"
_SIDES = ("written texts", "natural texts without the concept")


@dataclass(frozen=True, slots=True)
class ClarityEvidence:
    """Written texts with their activations, and natural ones; these are without ratings under ``compat: fade``."""

    written: Written
    activations: tuple[float, ...]
    natural: RatedSample

    @property
    def usage(self) -> Usage:
        """Return what all of it cost."""
        return self.written.usage + self.natural.usage


class ClarityScorer:
    """The signed Gini coefficient of written texts against natural ones that do not hold the concept.

    FADE, arXiv 2502.16994 (clarity). Ours takes natural texts that clearly hold the concept out of the negatives,
    weights the others to the corpus and keeps the sign; the paper's own number is ``fade_clarity``.
    """

    def __init__(self, config: ClarityConfig) -> None:
        self.config = config

    @property
    def primary_metric(self) -> str:
        """Return ``signed_gini``, or the paper's number under ``compat: fade``."""
        return "fade_clarity" if self.config.compat == FADE else "signed_gini"

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        """Return the clarity of ``explanation``.

        Raises:
            ConfigError: If there is no judge or no subject.
            LLMError: If the judge cannot be asked at all.
            SubjectError: If the subject's hidden states are not finite.
        """
        judge, subject = needed(resources, "clarity")
        found = await clarity_evidence(record, explanation.text, judge, subject, self.config)
        seed = root_seed(record, self.config)
        paper = fade_clarity(found)
        ours = separation(_comparison(found), self.config, seed, _SIDES)
        reason = ours.reason
        if self.config.compat == FADE:
            ours, reason = replace(ours, value=None, above_null=None, parts={}), NOT_RATED
        elif ours.value is not None and found.natural.corpus_weights() is None:
            ours, reason = replace(ours, value=None, above_null=None, parts={}), NO_WEIGHTS
        metrics = {"signed_gini": ours.value, "gini_above_null": ours.above_null, "fade_clarity": paper}
        reasons = dict.fromkeys((name for name, value in metrics.items() if value is None), reason or EMPTY)
        if paper is None:
            reasons["fade_clarity"] = EMPTY
        return Score(
            metrics=metrics,
            items=clarity_items(found, rated=self.config.compat != FADE),
            usage=found.usage,
            reasons=reasons,
            breakdown={
                **ours.parts,
                "written": found.written.counts,
                "natural": found.natural.counts() if self.config.compat != FADE else {"texts": _size(found)},
                "corpus": {"activating_windows": found.natural.corpus.activating},
            },
            lost=found.written.lost,
        )

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        """Return what one unit is expected to take."""
        written = estimate_clarity(shape, self.config)
        return written if self.config.compat == FADE else both(written, estimate_rated(shape, self.config))


async def clarity_evidence(
    record: ScoreRecord, explanation: str, judge: LLM, subject: SubjectAccess, config: ClarityConfig
) -> ClarityEvidence:
    """Return the texts written and the natural ones, each with the feature's activation when read alone."""
    seed = root_seed(record, config)
    if config.compat == FADE:
        texts, corpus = natural_sample(record, config, seed)
        natural = RatedSample(texts, tuple(Rated(None, Outcome.OK) for _ in texts), corpus, Usage())
    else:
        natural = await rated_sample(record, explanation, judge, config)
    widths = [len(text.example.tokens) for text in natural.texts]
    words = words_of(round(sum(widths) / len(widths))) if widths else words_of(0)
    written = await write_texts(TaskKind.WRITE, explanation, WRITE, config.writing(words), judge, seed)
    # Natural texts are read alone as written ones are: like is compared with like, from the first token on.
    alone = await activations_of([text.example.text for text in natural.texts], subject, record.feature)
    natural = replace(
        natural, texts=tuple(replace(text, value=value) for text, value in zip(natural.texts, alone, strict=True))
    )
    values = await activations_of([text.text for text in written.texts], subject, record.feature)
    return ClarityEvidence(written, tuple(values), natural)


def estimate_clarity(shape: ExampleShape, config: ClarityConfig) -> ScorerEstimate:
    """Return what the writing of one unit's texts is expected to take."""
    writing = config.writing(words_of(shape.window_tokens))
    return estimate_writing(WRITE, writing, shape.explanation_tokens, shape.counter)


def fade_clarity(found: ClarityEvidence) -> float | None:
    """Return the paper's number: written texts against all natural ones, without the sign; None if a side is empty."""
    return absolute_gini(Comparison(found.activations, [text.value for text in found.natural.texts]))


def _comparison(found: ClarityEvidence) -> Comparison:
    natural = found.natural
    places = [place for place in natural.answered if natural.ratings[place].rating != CLEAR]
    weights = natural.corpus_weights()
    return Comparison(
        positive=found.activations,
        negative=[natural.texts[place].value for place in places],
        negative_weights=None if weights is None else [weights[place] for place in places],
    )


def _size(found: ClarityEvidence) -> float:
    return float(len(found.natural.texts))


def clarity_items(found: ClarityEvidence, *, rated: bool) -> tuple[Item, ...]:
    """Return the evidence: written texts should activate, natural ones without the concept should not."""
    written = [
        Item(
            key=text.key,
            kind="written",
            decile=None,
            truth=True,
            prediction=value > 0,
            value=value,
            outcome=Outcome.OK,
            text=text.text,
        )
        for text, value in zip(found.written.texts, found.activations, strict=True)
    ]
    natural = []
    for item, one in zip(found.natural.items(), found.natural.ratings, strict=True):
        clear = one.rating == CLEAR
        known = item.outcome is Outcome.OK
        natural.append(replace(item, truth=False if known and not (rated and clear) else None))
    return (*written, *found.written.failures, *natural)
