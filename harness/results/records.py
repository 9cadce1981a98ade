"""The records of a run, one frozen dataclass per kind of line. JSON Schemas are derived from these.

Every line carries ``schema_version``. Undefined is ``null``. Lines hold no clock readings: times are in the manifest
and in ``events.jsonl``, so the same run gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.outcome import Outcome

__all__ = [
    "OMITTED_IF_NONE",
    "SCHEMA_VERSION",
    "ExplanationLine",
    "FeatureLine",
    "IntervalLine",
    "ItemLine",
    "LeaderboardRow",
    "MarginLine",
    "OriginLine",
    "SamplingLine",
    "ScoreLine",
    "UsageLine",
]

SCHEMA_VERSION = 1

OMITTED_IF_NONE = {"omit": None}
"""Metadata of a field that came later: a line without it is written as it was before."""

_OUTCOME = {"enum": tuple(outcome.value for outcome in Outcome)}
_OF_EXPLANATION = {"enum": tuple(outcome.value for outcome in Outcome if outcome is not Outcome.SKIPPED)}


@dataclass(frozen=True, kw_only=True)
class UsageLine:
    """Tokens and money of the answers behind a line, whether from the endpoint or the cache."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = 0.0


@dataclass(frozen=True, kw_only=True)
class SamplingLine:
    """What part of the corpus is known of a feature that fires too often for all of its activations to be kept."""

    rate: float
    """Expected share of the contexts that is in the uniform sample."""
    uniform_contexts: int
    strongest_contexts: int
    """Contexts kept because they hold the feature's largest values; some may be in the uniform sample too."""
    scheme: str


@dataclass(frozen=True, kw_only=True)
class FeatureLine:
    """features.jsonl: every feature that was looked at, used or skipped."""

    subject: str
    feature: int
    status: str = field(metadata={"enum": ("used", "skipped")})
    """``used`` or ``skipped``"""
    reason: str | None = None
    detail: str | None = None
    density: float | None = None
    max_activation: float | None = None
    n_activating_windows: int | None = None
    top_tokens: list[str] = field(default_factory=list)
    n_active: int | None = None
    positional_mi: float | None = None
    positional_share: float | None = None
    token_share: float | None = None
    previous_share: float | None = None
    unigram_share: float | None = None
    flags: list[str] | None = None
    """Names of the yes/no facts that hold; None where they were not looked at."""
    examples_protocol: str | None = None
    sampling: SamplingLine | None = field(default=None, metadata=OMITTED_IF_NONE)
    negatives: dict[str, int] | None = field(default=None, metadata=OMITTED_IF_NONE)
    """Non-activating windows of the score half by source; absent where all are random."""
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True)
class ExplanationLine:
    """explanations.jsonl: one explanation of one feature in one explanation set, or why there is none."""

    unit: str
    """Fingerprint of all that determined it; the unit of resume."""
    subject: str
    feature: int
    explanation_set: str
    text: str | None
    outcome: str = field(metadata=_OF_EXPLANATION)
    explainer: str
    explainer_version: int
    model: dict[str, Any] | None = None
    prompt_sha256: str | None = None
    source_feature: int | None = None
    origin: str | None = None
    reply: str | None = None
    error: str | None = None
    characters_read: int | None = field(default=None, metadata=OMITTED_IF_NONE)
    """How many characters of ``text``, from its beginning, scorers read, where it is too long for all of it."""
    usage: UsageLine = field(default_factory=UsageLine)
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True)
class ScoreLine:
    """scores.jsonl: one line per feature x explanation x scorer.

    ``status`` is ``scored``, ``error`` (with ``error``) or ``no_explanation`` (there was no text to score).
    ``coverage`` counts the items by outcome.
    """

    unit: str
    protocol: str
    subject: str
    feature: int
    explanation_set: str
    control: str | None
    """Name of the control this set is, or None for a real set."""
    explanation_digest: str | None
    scorer: str
    scorer_plugin: str
    scorer_version: int
    primary_metric: str
    status: str = field(metadata={"enum": ("scored", "error", "no_explanation")})
    metrics: dict[str, float | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    breakdown: dict[str, dict[str, float | None]] = field(default_factory=dict)
    coverage: dict[str, int] = field(default_factory=dict)
    usage: UsageLine = field(default_factory=UsageLine)
    error: str | None = None
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True)
class OriginLine:
    """What a non-activating window is near, where it was not drawn at random."""

    similarity: float
    feature: int | None = field(default=None, metadata=OMITTED_IF_NONE)
    """The other feature, which fires in the window; absent where it is the text that is near."""


@dataclass(frozen=True, kw_only=True)
class ItemLine:
    """items.jsonl: the evidence, one line per question asked."""

    unit: str
    subject: str
    feature: int
    explanation_set: str
    scorer: str
    key: str
    kind: str
    decile: int | None
    truth: bool | None
    prediction: bool | None
    value: float | None
    outcome: str = field(metadata=_OUTCOME)
    text: str | None = None
    reply: str | None = None
    error: str | None = None
    origin: OriginLine | None = field(default=None, metadata=OMITTED_IF_NONE)
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True)
class IntervalLine:
    """A confidence interval and how it was made. ``low``/``high`` are null where undefined."""

    level: float
    low: float | None
    high: float | None
    method: str


@dataclass(frozen=True, kw_only=True)
class MarginLine:
    """A paired difference, this set minus the named control, over the features both have."""

    control: str
    n: int
    mean: float | None
    se: float | None
    interval: IntervalLine


@dataclass(frozen=True, kw_only=True)
class LeaderboardRow:
    """leaderboard.jsonl: one row per (protocol, subject, explanation set, scorer, judge).

    ``subject`` is ``*`` for the row over all subjects of a protocol. ``protocol_fields`` is what ``protocol`` is the
    fingerprint of. ``coverage`` counts features by status and items by outcome.
    """

    protocol: str
    protocol_fields: dict[str, Any]
    subject: str
    explanation_set: str
    control: str | None
    explainer_model: str | None
    scorer: str
    scorer_version: int
    judge: str | None
    metric: str
    chance: float | None
    higher_is_better: bool
    n: int
    mean: float | None
    se: float | None
    interval: IntervalLine
    median: float | None
    secondary: dict[str, float | None] = field(default_factory=dict)
    margins: list[MarginLine] = field(default_factory=list)
    features_coverage: dict[str, int] = field(default_factory=dict)
    items_coverage: dict[str, int] = field(default_factory=dict)
    tokens_per_feature: float | None = None
    """What scoring took per scored feature: the judge's bill."""
    usd_per_feature: float | None = None
    """Likewise in dollars; None where a price is unknown."""
    explainer_tokens_per_feature: float | None = None
    """What writing the explanations took per feature: the explainer's bill."""
    explainer_usd_per_feature: float | None = None
    distinguishes_controls: bool | None = None
    """Whether every margin's interval lies above 0 (below, where lower is better); None where there is no control."""
    tied_with: list[str] = field(default_factory=list)
    """Explanation sets of the same protocol and subject that cannot be told apart from this one: the interval of their
    paired difference contains 0, or there are too few shared features for one. Here and in ``beaten_by`` a value that
    ``counted_as_chance`` counts is the chance level."""
    beaten_by: list[str] | None = field(default=None, metadata=OMITTED_IF_NONE)
    """Those whose paired difference to this one lies on the better side of 0; absent in rows of before it was kept."""
    counted_as_chance: int | None = field(default=None, metadata=OMITTED_IF_NONE)
    """Features that were scored without a value where another set has one: chance in comparisons; absent for none."""
    ranked_by: float | None = field(default=None, metadata=OMITTED_IF_NONE)
    """The mean with those at chance; absent where there are none."""
    run_ids: list[str] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION
