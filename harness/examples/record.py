"""Feature records: the only thing an explainer or a scorer sees of the corpus."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.activations.facts import FeatureFacts

__all__ = [
    "Example",
    "ExampleKind",
    "ExampleSet",
    "ExplainRecord",
    "FeatureRecord",
    "FeatureStatistics",
    "Origin",
    "Sampling",
    "ScoreRecord",
    "SkippedFeature",
]


class ExampleKind(StrEnum):
    """Whether a window activates the feature, and where a window that does not came from."""

    ACTIVATING = "activating"
    RANDOM = "random"
    DECODER_NEIGHBOUR = "decoder_neighbour"
    ENCODER_NEIGHBOUR = "encoder_neighbour"
    COOCCURRING = "cooccurring"
    SIMILAR = "similar"


@dataclass(frozen=True)
class Origin:
    """Why a silent window was chosen: what it is near.

    Attributes:
        similarity: How near. By the kind of the example: cosine of two features' directions, Jaccard index of the
            tokens they fire on, or cosine of the window's embedding with that of an activating one.
        feature: The other feature, which fires in the window; None where it is the text that is near.
    """

    similarity: float
    feature: int | None = None


@dataclass(frozen=True)
class Example:
    """One token window with the feature's activations on it.

    Attributes:
        document: Index of the document in the tokenised corpus.
        start: Position of the first token in the tokenised corpus.
        tokens: The text of each token; joined they are the text of the window. A token that completes a character
            begun by earlier tokens carries the whole character and the earlier ones the empty string.
        token_ids: The subject tokenizer's ids.
        activations: The feature's value at each token, in the source's own units, 0 where it is silent.
        kind: Activating, or the origin of the non-activating window.
        decile: 1 (weakest) to 10 (strongest) among all activating windows of the feature; None if not activating.
        origin: What a non-activating window is near; None if it was drawn at random, or is activating.
    """

    document: int
    start: int
    tokens: tuple[str, ...]
    token_ids: tuple[int, ...]
    activations: tuple[float, ...]
    kind: ExampleKind
    decile: int | None = None
    origin: Origin | None = None

    @cached_property
    def text(self) -> str:
        """Return the text of the window."""
        return "".join(self.tokens)

    @property
    def activating(self) -> bool:
        """Return whether the feature fires in the window."""
        return self.kind is ExampleKind.ACTIVATING

    @property
    def max_activation(self) -> float:
        """Return the strongest activation in the window."""
        return max(self.activations, default=0.0)

    @property
    def key(self) -> str:
        """Return an id unique within a subject's corpus: ``document:start:length``."""
        return f"{self.document}:{self.start}:{len(self.token_ids)}"


@dataclass(frozen=True)
class ExampleSet:
    """The examples of one half. Activating ones are ordered strongest first, the others by source in drawing order."""

    activating: tuple[Example, ...]
    non_activating: tuple[Example, ...]

    @property
    def documents(self) -> frozenset[int]:
        """Return the documents the examples come from."""
        return frozenset(example.document for example in (*self.activating, *self.non_activating))


SAMPLED_CONTEXTS = (
    "All activations in a uniform sample of contexts and in those with the feature's largest values;"
    " deciles, drawn examples, silent windows and top tokens are of the uniform contexts."
)


@dataclass(frozen=True)
class Sampling:
    """How a record was made of a feature that fires too often for all of its activations to be kept.

    Attributes:
        rate: Expected share of the corpus's contexts that is in the uniform sample.
        uniform_contexts: Contexts in the uniform sample.
        strongest_contexts: Contexts kept because they hold the feature's largest values; some may be in both.
        scheme: What was kept, and what follows for the record, in a sentence.
    """

    rate: float
    uniform_contexts: int
    strongest_contexts: int
    scheme: str = SAMPLED_CONTEXTS


@dataclass(frozen=True)
class FeatureStatistics:
    """Facts of one feature over the whole corpus.

    Attributes:
        n_tokens: Corpus tokens looked at.
        n_active_tokens: Tokens on which the feature fires.
        n_activating_windows: Windows in which it fires at least once, both halves together; of a feature of which
            contexts are sampled, those in the contexts that are kept.
        max_activation: Its largest value anywhere.
        decile_edges: The nine window-maximum values between the deciles, ascending; empty if there are too few windows.
        top_logit_tokens: Tokens its write direction promotes most by the direct path, if it was asked for.
        top_tokens: Tokens on which it fires most, with the mean activation, from the explain half only.
        sampling: What part of the corpus is known of the feature; None for all of it. The numbers of tokens and the
            largest value are exact all the same.
        bottom_logit_tokens: Tokens its write direction suppresses most by the direct path, if they were asked for.
    """

    n_tokens: int
    n_active_tokens: int
    n_activating_windows: int
    max_activation: float
    decile_edges: tuple[float, ...] = ()
    top_logit_tokens: tuple[str, ...] = ()
    top_tokens: tuple[tuple[str, float], ...] = ()
    sampling: Sampling | None = None
    bottom_logit_tokens: tuple[str, ...] = ()

    @property
    def density(self) -> float:
        """Return the share of tokens on which the feature fires."""
        return self.n_active_tokens / self.n_tokens if self.n_tokens else 0.0


@dataclass(frozen=True)
class ExplainRecord:
    """What an explainer sees: statistics and the explain half."""

    subject: str
    feature: int
    statistics: FeatureStatistics
    examples: ExampleSet


@dataclass(frozen=True)
class ScoreRecord:
    """What a scorer sees: statistics (without tokens, which are an explainer's) and the score half."""

    subject: str
    feature: int
    statistics: FeatureStatistics
    examples: ExampleSet


@dataclass(frozen=True)
class FeatureRecord:
    """One feature's statistics and examples, split into halves that share no document.

    ``protocol`` is the fingerprint of everything that determined the examples (corpus, windows, split, seed). ``facts``
    are of both halves together: they are for the records of a run, and neither an explainer nor a scorer sees them.
    """

    subject: str
    feature: int
    statistics: FeatureStatistics
    explain: ExampleSet
    score: ExampleSet
    protocol: str
    facts: FeatureFacts | None = None

    def for_explaining(self) -> ExplainRecord:
        """Return the part an explainer may see."""
        return ExplainRecord(self.subject, self.feature, self.statistics, self.explain)

    def for_scoring(self) -> ScoreRecord:
        """Return the part a scorer may see."""
        kept: dict[str, Any] = {name: getattr(self.statistics, name) for name in self.statistics.__dataclass_fields__}
        # None of them may tell a scorer what an explainer was told.
        kept |= {"top_tokens": (), "top_logit_tokens": (), "bottom_logit_tokens": ()}
        return ScoreRecord(self.subject, self.feature, FeatureStatistics(**kept), self.score)


@dataclass(frozen=True)
class SkippedFeature:
    """A feature that was looked at and not used, and why (``dead``, ``too_few_windows``, ...)."""

    subject: str
    feature: int
    reason: str
    detail: str
