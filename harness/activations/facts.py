"""What the stored activations say of a feature, cheap and exact: how often, how strongly, on what and where it fires.

Everything here is counted over the whole corpus, both halves together. It serves to look at features and to choose
them; an explainer sees none of it, and a scorer less.

Of a feature that fires too often a store keeps only some contexts. How often it fires and its largest value are exact
even then; all else is of the uniform sample of contexts, which stands for the corpus.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from harness.activations.information import binary_entropy, positional_information
from harness.activations.located import Locator
from harness.activations.unigram import TokenCounter, explained_by_group

if TYPE_CHECKING:
    from harness.activations.located import Located, TokenGroups
    from harness.activations.protocol import ActivationReader, ContextSample, TokenReader
    from harness.activations.unigram import TokenCounts

__all__ = ["FLAGS", "NUMBERS", "FactReader", "FeatureFacts", "TokenCount"]

DENSE = 0.1
"""Fires on more than a tenth of all tokens."""
_ALWAYS = 0.9
_POSITIONAL = 0.5
_UNIGRAM = 0.9
_TOP_TOKENS = 10
_EDGES = np.arange(1, 10)


@dataclass(frozen=True, slots=True)
class TokenCount:
    """A token the feature fires on: its text, how often it does, and the mean activation there."""

    text: str
    count: int
    mean: float


@dataclass(frozen=True, slots=True)
class FeatureFacts:
    """Facts of one feature over a corpus.

    Attributes:
        feature: Its number.
        n_active: Tokens on which it fires.
        density: Their share of all tokens.
        max: Its largest value; None if it never fires, as are the following.
        mean: Its mean where it fires.
        deciles: The nine values between the tenths of its activations, ascending; empty below ten.
        positional_mi: Bits that a token's place in its context tells about whether the feature fires on it.
        positional_share: Those bits as a share of the entropy of firing, 0 to 1: 1 where the place decides it.
        token_share: Share of its activations that fall on its most frequent token: 1 for a feature of one token.
        previous_share: Share of its activations that follow its most frequent previous token; the beginning of a
            context counts as a token of its own.
        unigram_share: Share of its variance over the corpus that the token alone explains, 0 to 1: 1 where it looks
            its value up by the token; None below ten activations on tokens that are there twice. See ``unigram``.
        top_tokens: The tokens it fires on most often.
        previous_token: The most frequent token before its activations; None for the beginning of a context.
        sampled: Whether only a sample of contexts is kept. ``n_active``, ``density`` and ``max`` are exact all the
            same; the others are of the uniform contexts, and the tokens' counts are counts in those.
    """

    feature: int
    n_active: int
    density: float
    max: float | None = None
    mean: float | None = None
    deciles: tuple[float, ...] = ()
    positional_mi: float | None = None
    positional_share: float | None = None
    token_share: float | None = None
    previous_share: float | None = None
    unigram_share: float | None = None
    top_tokens: tuple[TokenCount, ...] = ()
    previous_token: str | None = None
    sampled: bool = False

    @property
    def dead(self) -> bool:
        """Return whether it never fires."""
        return self.n_active == 0

    @property
    def dense(self) -> bool:
        """Return whether it fires on more than a tenth of all tokens."""
        return self.density > DENSE

    @property
    def single_token(self) -> bool:
        """Return whether at least nine in ten activations fall on one token."""
        return (self.token_share or 0.0) >= _ALWAYS

    @property
    def prior_token(self) -> bool:
        """Return whether at least nine in ten activations follow one token, and they are not all on one token."""
        return (self.previous_share or 0.0) >= _ALWAYS and not self.single_token

    @property
    def positional(self) -> bool:
        """Return whether a token's place in its context tells at least half of what there is to know."""
        return (self.positional_share or 0.0) >= _POSITIONAL

    @property
    def unigram(self) -> bool:
        """Return whether the token alone explains at least nine tenths of its variance."""
        return (self.unigram_share or 0.0) >= _UNIGRAM

    @property
    def flags(self) -> tuple[str, ...]:
        """Return the names of what holds of it, in the order of ``FLAGS``."""
        return tuple(name for name in FLAGS if getattr(self, name))


FLAGS = ("dead", "dense", "single_token", "prior_token", "positional", "unigram", "sampled")
"""Yes/no facts, as ``features.where`` names them."""

NUMBERS = (
    "feature",
    "n_active",
    "density",
    "max",
    "mean",
    "positional_mi",
    "positional_share",
    "token_share",
    "previous_share",
    "unigram_share",
)
"""Facts that are numbers, as ``features.where`` names them."""


class FactReader:
    """Works facts out, feature by feature; what all features share is worked out once.

    Args:
        tokens: The corpus.
        activations: The store of the subject on it.
        locator: Locates its activations; given if somebody else looks at the same features, so that it is done once.
    """

    def __init__(self, tokens: TokenReader, activations: ActivationReader, locator: Locator | None = None) -> None:
        self._tokens = tokens
        self._activations = activations
        self._locator = locator or Locator(tokens)
        self._starts = self._locator.index.starts
        self._lengths = np.diff(self._starts)
        self._at_place = _tokens_at_places(self._lengths, int(self._lengths.max(initial=0)))
        self._texts: dict[int, str] = {}

    def facts(self, feature: int) -> FeatureFacts:
        """Return the facts of one feature.

        Raises:
            FeatureSourceError: If it is out of range; the message gives the range.
        """
        found = self._activations.feature(feature)
        fires = _firing(self._locator.of(found))
        n_tokens, sample = self._activations.n_tokens, found.sample
        if sample is not None:
            return self._of_sample(feature, fires, sample)
        if not fires.values.size:
            return FeatureFacts(feature, 0, 0.0)
        whole = FeatureFacts(feature, fires.values.size, fires.values.size / n_tokens, float(fires.values.max()))
        return self._with_details(whole, fires, self._at_place, n_tokens, self._counter.of_corpus)

    @cached_property
    def _counter(self) -> TokenCounter:
        return TokenCounter(self._tokens)  # reads the whole corpus, which only the first fact asked for must pay

    def _of_sample(self, feature: int, fires: _Firing, sample: ContextSample) -> FeatureFacts:
        uniform = np.zeros(self._lengths.size, dtype=np.bool_)
        uniform[sample.uniform] = True
        inside = fires.only(uniform[fires.contexts])
        whole = FeatureFacts(
            feature, sample.n_active, sample.n_active / self._activations.n_tokens, sample.max, sampled=True
        )
        if not inside.values.size:
            return whole
        at_place = _tokens_at_places(self._lengths[sample.uniform], self._at_place.size)
        counted = self._counter.of_sample(sample)
        return self._with_details(whole, inside, at_place, int(at_place.sum()), counted)

    def _with_details(
        self, whole: FeatureFacts, fires: _Firing, at_place: np.ndarray, n_tokens: int, counted: TokenCounts
    ) -> FeatureFacts:
        """Return the facts with what the given activations say, which are of a part of the corpus or of all of it.

        Args:
            whole: Number, density and largest value.
            fires: Where the feature fires, in the part.
            at_place: How many tokens of the part stand at each place of a context, int64 [P].
            n_tokens: How many tokens the part has.
            counted: How often each token is in the part.
        """
        positions, values = fires.positions, fires.values
        places = positions - self._starts[fires.contexts]
        information = positional_information(places, at_place)
        entropy = binary_entropy(positions.size / n_tokens)
        previous, previous_count = self._previous(positions, places)
        sums = fires.by_token.sums(values)
        top = self._top_tokens(fires.by_token, sums)
        return dataclasses.replace(
            whole,
            mean=float(values.mean(dtype=np.float64)),
            deciles=_edges(values),
            positional_mi=information,
            positional_share=min(1.0, information / entropy) if entropy > 0 else 0.0,
            token_share=max(entry.count for entry in top) / positions.size,
            previous_share=previous_count / positions.size,
            top_tokens=top,
            previous_token=previous,
            unigram_share=explained_by_group(fires.by_token, values, counted, sums=sums),
        )

    def _top_tokens(self, by_token: TokenGroups, sums: np.ndarray) -> tuple[TokenCount, ...]:
        ids, counts = by_token.ids, by_token.counts
        order = np.argsort(-counts, kind="stable")[:_TOP_TOKENS]
        return tuple(
            TokenCount(self._text(int(ids[place])), int(counts[place]), float(sums[place] / counts[place]))
            for place in order
        )

    def _previous(self, positions: np.ndarray, places: np.ndarray) -> tuple[str | None, int]:
        """Return the most frequent token before the activations (None: none), and how often it is there."""
        at_start = np.flatnonzero(places == 0)
        if at_start.size == positions.size:
            return None, at_start.size
        tokens = self._tokens.tokens[positions - 1]  # of those at a start some other context's, which are taken off
        counts = np.bincount(tokens)
        counts -= np.bincount(tokens[at_start], minlength=counts.size)
        token = int(np.argmax(counts))
        if at_start.size > counts[token]:
            return None, at_start.size
        return self._text(token), int(counts[token])

    def _text(self, token: int) -> str:
        if token not in self._texts:
            self._texts[token] = self._tokens.token_texts([token])[0]
        return self._texts[token]


@dataclass(frozen=True)
class _Firing:
    """The activations above 0 of a feature, or some of them: position, value, context and token of each."""

    positions: np.ndarray
    values: np.ndarray
    contexts: np.ndarray
    by_token: TokenGroups

    def only(self, kept: np.ndarray) -> _Firing:
        """Return those flagged by ``kept``, bool [n]."""
        if kept.all():
            return self
        return _Firing(self.positions[kept], self.values[kept], self.contexts[kept], self.by_token.only(kept))


def _firing(located: Located) -> _Firing:
    found = located.found
    whole = _Firing(found.positions, found.values, located.contexts, located.by_token)
    return whole.only(found.values > 0)


def _tokens_at_places(lengths: np.ndarray, places: int) -> np.ndarray:
    """Return how many tokens of contexts of the given lengths stand at each of so many places, int64 [places]."""
    return np.bincount(lengths, minlength=places + 1)[::-1].cumsum()[::-1][1:]


def _edges(values: np.ndarray) -> tuple[float, ...]:
    if values.size < _EDGES.size + 1:
        return ()
    ordered = np.sort(values)
    return tuple(float(ordered[edge]) for edge in -(-_EDGES * values.size // (_EDGES.size + 1)))
