"""What the stored activations say of a feature, cheap and exact: how often, how strongly, on what and where it fires.

Everything here is counted over the whole corpus, both halves together. It serves to look at features and to choose
them; an explainer sees none of it, and a scorer less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.activations.information import binary_entropy, positional_information
from harness.activations.unigram import UnigramReader

if TYPE_CHECKING:
    from harness.activations.protocol import ActivationReader, TokenReader

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
            its value up by the token; None where no token it fires on is in the corpus twice. See ``unigram``.
        top_tokens: The tokens it fires on most often.
        previous_token: The most frequent token before its activations; None for the beginning of a context.
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


FLAGS = ("dead", "dense", "single_token", "prior_token", "positional", "unigram")
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
    """

    def __init__(self, tokens: TokenReader, activations: ActivationReader) -> None:
        self._tokens = tokens
        self._activations = activations
        starts = np.asarray(tokens.context_starts)
        self._starts = starts
        lengths = np.diff(starts)
        # How many tokens of the corpus stand at each place of a context.
        self._at_place = np.bincount(lengths, minlength=int(lengths.max(initial=0)) + 1)[::-1].cumsum()[::-1][1:]
        self._texts: dict[int, str] = {}
        self._unigram = UnigramReader(tokens)

    def facts(self, feature: int) -> FeatureFacts:
        """Return the facts of one feature.

        Raises:
            FeatureSourceError: If it is out of range; the message gives the range.
        """
        found = self._activations.feature(feature)
        fires = found.values > 0
        positions, values = found.positions[fires], found.values[fires]
        n_tokens = self._activations.n_tokens
        if not positions.size:
            return FeatureFacts(feature, 0, 0.0)
        places = positions - self._starts[np.searchsorted(self._starts, positions, side="right") - 1]
        information = positional_information(places, self._at_place)
        entropy = binary_entropy(positions.size / n_tokens)
        previous, previous_count = self._previous(positions, places)
        top = self._top_tokens(positions, values)
        return FeatureFacts(
            feature=feature,
            n_active=int(positions.size),
            density=positions.size / n_tokens,
            max=float(values.max()),
            mean=float(values.mean(dtype=np.float64)),
            deciles=_edges(values),
            positional_mi=information,
            positional_share=min(1.0, information / entropy) if entropy > 0 else 0.0,
            token_share=max(entry.count for entry in top) / positions.size,
            previous_share=previous_count / positions.size,
            unigram_share=self._unigram.share(found),
            top_tokens=top,
            previous_token=previous,
        )

    def _top_tokens(self, positions: np.ndarray, values: np.ndarray) -> tuple[TokenCount, ...]:
        ids, inverse, counts = np.unique(self._tokens.tokens[positions], return_inverse=True, return_counts=True)
        sums = np.bincount(inverse, weights=values.astype(np.float64))
        order = np.lexsort((ids, -counts))[:_TOP_TOKENS]
        return tuple(
            TokenCount(self._text(int(ids[place])), int(counts[place]), float(sums[place] / counts[place]))
            for place in order
        )

    def _previous(self, positions: np.ndarray, places: np.ndarray) -> tuple[str | None, int]:
        """Return the most frequent token before the activations (None: none), and how often it is there."""
        inside = positions[places > 0]
        at_start = int(positions.size - inside.size)
        if not inside.size:
            return None, at_start
        ids, counts = np.unique(self._tokens.tokens[inside - 1], return_counts=True)
        place = int(np.argmax(counts))
        if at_start > counts[place]:
            return None, at_start
        return self._text(int(ids[place])), int(counts[place])

    def _text(self, token: int) -> str:
        if token not in self._texts:
            self._texts[token] = self._tokens.token_texts([token])[0]
        return self._texts[token]


def _edges(values: np.ndarray) -> tuple[float, ...]:
    if values.size < _EDGES.size + 1:
        return ()
    ordered = np.sort(values)
    return tuple(float(ordered[edge]) for edge in -(-_EDGES * values.size // (_EDGES.size + 1)))
