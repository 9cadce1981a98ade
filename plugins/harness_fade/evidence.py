"""Natural texts of a record, their activations and the ratings of them: what three of the scorers begin with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import ConfigError, Item, Outcome, Usage, derive_seed, judge_of
from harness_fade.rating import ABSENT, CLEAR, rate
from harness_fade.sample import Corpus, at_largest_magnitude, corpus_of, draw_sample, windows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import LLM, Example, Resources, ScoreRecord, SubjectAccess
    from harness_fade.config import NaturalConfig
    from harness_fade.rating import Rated

__all__ = [
    "NO_WEIGHTS",
    "Natural",
    "RatedSample",
    "activations_of",
    "natural_sample",
    "needed",
    "rated_sample",
    "root_seed",
]

NO_WEIGHTS = "the rated texts cannot stand for the corpus: none is a silent window drawn at random, or none activates"


@dataclass(frozen=True, slots=True)
class Natural:
    """A natural text and the feature's activation on it."""

    example: Example
    value: float


@dataclass(frozen=True, slots=True)
class RatedSample:
    """Natural texts with their ratings.

    Attributes:
        texts: The texts.
        ratings: The rating of each.
        corpus: What is known of the corpus they are from.
        usage: What the ratings cost.
    """

    texts: tuple[Natural, ...]
    ratings: tuple[Rated, ...]
    corpus: Corpus
    usage: Usage

    def values(self, rating: int) -> list[float]:
        """Return the activations of the texts with a rating."""
        return [self.texts[place].value for place in self.places(rating)]

    def places(self, rating: int) -> list[int]:
        """Return the places of the texts with a rating."""
        return [place for place, rated in enumerate(self.ratings) if rated.rating == rating]

    @property
    def answered(self) -> list[int]:
        """Return the places of the texts that have a rating."""
        return [place for place, rated in enumerate(self.ratings) if rated.rating is not None]

    def corpus_weights(self) -> dict[int, float] | None:
        """Return the share of the corpus that each rated text stands for, by place; None if that is unknown."""
        places = self.answered
        weights = self.corpus.weights([self.texts[place].example for place in places])
        return None if weights is None else dict(zip(places, weights, strict=True))

    def counts(self) -> dict[str, float | None]:
        """Return how many texts have which rating, for a score's breakdown."""
        found = {f"rated_{rating}": float(len(self.places(rating))) for rating in (0, 1, 2)}
        failed = float(len(self.texts) - len(self.answered))
        return {"texts": float(len(self.texts)), **found, "not_rated": failed}

    def items(self) -> tuple[Item, ...]:
        """Return the evidence: the judge says what is true, and the feature answers."""
        return tuple(map(_item, self.texts, self.ratings))


def root_seed(record: ScoreRecord, config: NaturalConfig) -> int:
    """Return the seed of all draws for a feature; the same in all four scorers, so that they share their sample."""
    return derive_seed(config.seed, "fade", record.subject, record.feature)


def needed(resources: Resources, scorer: str) -> tuple[LLM, SubjectAccess]:
    """Return the judge and the subject.

    Raises:
        ConfigError: If one is missing.
    """
    judge = judge_of(resources, scorer)
    if resources.subject is None:
        raise ConfigError(f"scorer '{scorer}' needs the subject model", where="subject", hint="give one in the config")
    return judge, resources.subject


async def activations_of(texts: Sequence[str], subject: SubjectAccess, feature: int) -> list[float]:
    """Return the activation of each text, read alone: the value farthest from 0 over its tokens, its sign kept."""
    found = await subject.activations(texts, feature) if texts else ()
    return [at_largest_magnitude(one.values) for one in found]


def natural_sample(record: ScoreRecord, config: NaturalConfig, seed: int) -> tuple[tuple[Natural, ...], Corpus]:
    """Return the natural texts looked at, with the activations the record has, and the corpus they stand for."""
    corpus = corpus_of(record)
    texts = _all(record)
    return _drawn(texts, config, corpus, seed), corpus


async def rated_sample(record: ScoreRecord, explanation: str, judge: LLM, config: NaturalConfig) -> RatedSample:
    """Return natural texts with ratings; more are drawn and rated while too few clearly show the concept.

    Args:
        record: The feature.
        explanation: What is rated against, as it was given.
        judge: Who rates.
        config: How many, and when there are too few.
    """
    seed = root_seed(record, config)
    chosen, corpus = natural_sample(record, config, seed)
    found = await rate([one.example.text for one in chosen], explanation, judge, config, seed)
    rated, usage = list(found.rated), found.usage
    for retry in range(config.sparse_retries):
        seen = {one.example.key for one in chosen}
        left = [one for one in _all(record) if one.example.key not in seen]
        if not left or sum(one.rating == CLEAR for one in rated) >= config.sparse_threshold:
            break
        again = derive_seed(seed, "sparse", retry)
        more = _drawn(left, config, corpus, again)
        found = await rate([one.example.text for one in more], explanation, judge, config, again)
        chosen, rated, usage = (*chosen, *more), [*rated, *found.rated], usage + found.usage
    return RatedSample(chosen, tuple(rated), corpus, usage)


def _all(record: ScoreRecord) -> tuple[Natural, ...]:
    return tuple(Natural(example, at_largest_magnitude(example.activations)) for example in windows_of(record))


def _drawn(texts: Sequence[Natural], config: NaturalConfig, corpus: Corpus, seed: int) -> tuple[Natural, ...]:
    windows, values = [one.example for one in texts], [one.value for one in texts]
    places = draw_sample(windows, values, config.n_natural, config.top_share, corpus, seed)
    return tuple(texts[place] for place in places)


def _item(text: Natural, rated: Rated) -> Item:
    known = rated.outcome is Outcome.OK
    return Item(
        key=text.example.key,
        kind=str(text.example.kind),
        decile=text.example.decile,
        # A text that shows the concept in part is on neither side.
        truth={CLEAR: True, ABSENT: False}.get(rated.rating) if rated.rating is not None else None,
        prediction=text.value > 0 if known else None,
        value=text.value if known else None,
        outcome=rated.outcome,
        text=text.example.text,
        reply=rated.reply,
        error=rated.error,
    )
