"""The scorer seam: what a scorer declares, gets and returns."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from harness.llm.counting import APPROXIMATE, TokenCounter
from harness.outcome import Outcome, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from harness.examples.record import ScoreRecord
    from harness.explainers.protocol import Explanation
    from harness.llm.protocol import LLM
    from harness.subjects.access import SubjectAccess

__all__ = [
    "Embedder",
    "ExampleNeeds",
    "ExampleShape",
    "Item",
    "MetricSpec",
    "Need",
    "Resources",
    "Score",
    "Scorer",
    "ScorerEstimate",
]


class Need(StrEnum):
    """What a scorer cannot work without."""

    JUDGE = "judge"
    SUBJECT = "subject"
    WRITES = "writes"
    """A subject whose features can be changed, besides ``SUBJECT``: it writes to the model, and does not only read."""
    EMBEDDER = "embedder"


@dataclass(frozen=True)
class MetricSpec:
    """One number a scorer reports per feature.

    Attributes:
        name: Identifier, for instance ``auroc``.
        description: One line.
        low: Smallest possible value; None if there is none.
        high: Largest possible value; None if there is none.
        chance: Its expectation for an explanation that says nothing, or None if there is none.
        higher_is_better: Direction.
        published: Whether it is a paper's own number, reported beside the scorer's own ones on another scale; a
            profile never pairs the two forms.
    """

    name: str
    description: str
    low: float | None = 0.0
    high: float | None = 1.0
    chance: float | None = None
    higher_is_better: bool = True
    published: bool = False

    def allows(self, value: float) -> bool:
        """Return whether ``value`` is a number within the range."""
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return math.isfinite(value) and low <= value <= high


@dataclass(frozen=True)
class Item:
    """The evidence of one question: one example, what was true, what was answered.

    Attributes:
        key: Id of the item, unique within the unit (the example's key, plus a variant where there are several).
        kind: Kind of the example (``activating``, ``random``, ...), or the scorer's own (``marked_right``).
        decile: The example's decile, or None.
        truth: What a right answer would be, or None where there is none.
        prediction: What was answered, None unless ``outcome`` is OK.
        value: A graded answer (P(yes), cosine), None where there is none.
        outcome: What became of the question.
        text: What was shown, for the reader of the evidence.
        reply: The raw reply, where it is short or was not understood.
        error: What went wrong, if something did.
    """

    key: str
    kind: str
    decile: int | None
    truth: bool | None
    prediction: bool | None
    value: float | None
    outcome: Outcome
    text: str | None = None
    reply: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Score:
    """What one scorer says of one explanation.

    Attributes:
        metrics: Every declared metric; None where it is undefined.
        reasons: Why each undefined metric is undefined.
        breakdown: The same metrics by part, for instance ``{"decile_10": {"recall": 0.9}}``.
        items: The evidence.
        usage: What it cost.
        lost: Share of one side of the evidence that errors took away, of the side that lost most, where items do not
            show it: a failed call that should have written five texts is one item, beside hundreds of others.
    """

    metrics: Mapping[str, float | None]
    items: tuple[Item, ...]
    usage: Usage = field(default_factory=Usage)
    reasons: Mapping[str, str] = field(default_factory=dict)
    breakdown: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    lost: float = 0.0


@dataclass(frozen=True)
class ExampleNeeds:
    """The fewest windows of a feature with which a scorer can have a value; with fewer the run is refused when planned.

    More may be needed, as answers may be of no use: this is what no answer can make up for.

    Attributes:
        activating: Activating windows.
        non_activating: Windows that do not activate the feature, of whatever source.
        random: Those of them that are drawn at random.
        together: Activating and other windows together.
    """

    activating: int = 1
    non_activating: int = 0
    random: int = 0
    together: int = 0


@dataclass(frozen=True)
class ExampleShape:
    """How many examples of how many tokens a scorer will be given; for estimates before anything was computed.

    Tokens are the judge's, as ``counter`` counts them.
    """

    n_activating: int
    n_non_activating: int
    window_tokens: int
    explanation_tokens: int = 30
    counter: TokenCounter = APPROXIMATE


@dataclass(frozen=True)
class ScorerEstimate:
    """Judge calls and tokens one unit is expected to take."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return plain data that determines the vectors (model digest, pooling, instruction)."""

    async def embed(self, texts: tuple[str, ...]) -> np.ndarray:
        """Return float32 unit vectors [len(texts), d]; the same text gives the same vector whatever its company."""


@dataclass(frozen=True)
class Resources:
    """What a scorer may use.

    ``seed`` is derived for (subject, feature, scorer): the same for every explanation set, so that sets are compared
    on the same draws.
    """

    seed: int
    judge: LLM | None = None
    embedder: Embedder | None = None
    subject: SubjectAccess | None = None


class Scorer(Protocol):
    """Says how good an explanation is. One instance serves a whole run; it holds configuration, never state."""

    @property
    def primary_metric(self) -> str:
        """Return the name of the metric to rank by under this configuration."""

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        """Return the score of ``explanation`` on the score half of ``record``."""

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        """Return what one unit is expected to take, for a dry run."""
