"""Parameters of the four FADE scorers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.api import ConfigError, ExampleNeeds, UnknownNameError, Writing

__all__ = [
    "FADE",
    "ClarityConfig",
    "FaithfulnessConfig",
    "NaturalConfig",
    "PurityConfig",
    "ResponsivenessConfig",
    "clarity_needs",
    "faithfulness_needs",
    "rated_needs",
    "words_of",
]

FADE = "fade"
SET, SCALE = "set", "scale"
_MOST_RE_ASKS = 3
_WORDS_PER_TOKEN = 0.75


@dataclass(frozen=True)
class NaturalConfig:
    """What the four scorers share: the natural texts, and how the judge rates them.

    With equal values of these the scorers put the same questions, so a judge's answer cache pays for them once.

    Attributes:
        compat: ``fade`` ranks by the paper's own number and asks what it needs; None by ours.
        seed: Of what is drawn. It is not the run's: the four scorers shall share one sample.
        n_natural: Natural texts at most.
        top_share: Share of them that is taken from the strongest, where there are more than ``n_natural``.
        texts_per_call: Texts per rating call.
        re_asks: How often a reply that cannot be read is asked for again.
        sparse_threshold: A second sample is rated if fewer texts than this were rated as clearly showing the concept.
        sparse_retries: How many times, at most.
        min_texts: Least number of texts on each side of a comparison (ours; the paper's needs one).
        draws: Permutations behind null values, and resamples behind intervals.

    Raises:
        ConfigError: If a value is out of range.
    """

    compat: str | None = None
    seed: int = 0
    n_natural: int = 500
    top_share: float = 0.1
    texts_per_call: int = 15
    re_asks: int = 1
    sparse_threshold: int = 15
    sparse_retries: int = 1
    min_texts: int = 5
    draws: int = 500

    def __post_init__(self) -> None:
        """Refuse values nothing can be drawn or asked with."""
        if self.compat not in {None, FADE}:
            raise UnknownNameError("form to be compatible with", str(self.compat), [FADE], where="compat")
        for name, least in (("n_natural", 5), ("texts_per_call", 1), ("min_texts", 1), ("draws", 100)):
            if getattr(self, name) < least:
                raise ConfigError(f"must be at least {least}", where=name)
        for name in ("sparse_threshold", "sparse_retries"):
            if getattr(self, name) < 0:
                raise ConfigError("must not be negative", where=name)
        if not 0 <= self.top_share < 1:
            raise ConfigError("must be at least 0 and below 1", where="top_share")
        if not 0 <= self.re_asks <= _MOST_RE_ASKS:
            raise ConfigError(f"must be between 0 and {_MOST_RE_ASKS}", where="re_asks")


@dataclass(frozen=True)
class ClarityConfig(NaturalConfig):
    """Clarity also has texts written.

    Attributes:
        write_calls: Calls in which the judge writes.
        texts_per_write: Texts asked for in each.
        temperature: Of the judge when it writes.

    Raises:
        ConfigError: If a value is out of range.
    """

    write_calls: int = 15
    texts_per_write: int = 5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        super().__post_init__()
        for name in ("write_calls", "texts_per_write"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", where=name)
        self.writing(1)

    def writing(self, words: int) -> Writing:
        """Return how texts of about ``words`` words are asked for.

        Raises:
            ConfigError: If it cannot be asked so.
        """
        return Writing(self.write_calls, self.texts_per_write, words, self.temperature, self.re_asks)


@dataclass(frozen=True)
class ResponsivenessConfig(NaturalConfig):
    """Responsiveness has no parameters beyond those shared."""


@dataclass(frozen=True)
class PurityConfig(NaturalConfig):
    """Purity has no parameters beyond those shared."""


@dataclass(frozen=True)
class FaithfulnessConfig(ClarityConfig):
    """Faithfulness steers; what clarity and responsiveness need is used under ``compat: fade`` only.

    Attributes:
        factors: Strengths, as multiples of the feature's largest natural activation (``intervention: set``) or of its
            value (``scale``). 0, which is the ablated feature, is always among them.
        n_prompts: Prompts at most; every one is continued by the unmodified model and at every factor.
        new_tokens: Tokens written after a prompt, at most.
        intervention: ``set`` the feature to a value, or ``scale`` the one it has (the paper: latents, neurons).
        sampling_temperature: Of the subject when it writes; 0 is greedy.
        gate: Under ``compat: fade``, the least clarity and responsiveness at which there is a score.

    Raises:
        ConfigError: If a value is out of range.
    """

    factors: tuple[float, ...] = (-50.0, -10.0, -1.0, 0.0, 1.0, 10.0, 50.0)
    n_prompts: int = 50
    new_tokens: int = 30
    intervention: str = SET
    sampling_temperature: float = 1.0
    gate: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        super().__post_init__()
        if not all(math.isfinite(factor) for factor in self.factors) or set(self.factors) <= {0.0}:
            raise ConfigError("must be numbers, and one of them not 0", where="factors")
        object.__setattr__(self, "factors", tuple(sorted({0.0, *(float(factor) for factor in self.factors)})))
        for name in ("n_prompts", "new_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", where=name)
        if self.intervention not in {SET, SCALE}:
            raise UnknownNameError("intervention", self.intervention, [SET, SCALE], where="intervention")
        if not 0 <= self.sampling_temperature <= 2:  # noqa: PLR2004  -- beyond it a model writes noise
            raise ConfigError("must be between 0 and 2", where="sampling_temperature")
        if not 0 <= self.gate <= 1:
            raise ConfigError("must be between 0 and 1", where="gate")


def words_of(window_tokens: int) -> int:
    """Return about how many words a window has, so that written texts are as long as natural ones."""
    return max(5, round(window_tokens * _WORDS_PER_TOKEN))


def clarity_needs(config: ClarityConfig) -> ExampleNeeds:
    """Return what the natural side takes; silent windows drawn at random stand for most of the corpus."""
    return ExampleNeeds() if config.compat == FADE else ExampleNeeds(random=1, together=config.min_texts)


def rated_needs(config: NaturalConfig) -> ExampleNeeds:
    """Return what two ratings take, each of so many texts."""
    return ExampleNeeds(together=2 * (1 if config.compat == FADE else config.min_texts))


def faithfulness_needs(config: FaithfulnessConfig) -> ExampleNeeds:
    """Return what the fewest prompts take: they are silent windows."""
    return ExampleNeeds(non_activating=1 if config.compat == FADE else config.min_texts)
