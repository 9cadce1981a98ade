"""Parameters of the intervention and the output-token scorer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from harness.api import LATER, ConfigError, ExampleNeeds

__all__ = [
    "CLASSIFIER",
    "LIKELIHOOD",
    "AskingConfig",
    "InterventionConfig",
    "OutputTokensConfig",
    "SteeringConfig",
    "example_needs",
]

LIKELIHOOD, CLASSIFIER = "likelihood", "classifier"


@dataclass(frozen=True)
class AskingConfig:
    """How a judge is asked for a Yes or No.

    Attributes:
        top_logprobs: Alternatives asked for at the answer.
        re_asks: How often an answer that cannot be read is asked for again.

    Raises:
        ConfigError: If a value is out of range.
    """

    top_logprobs: int = 20
    re_asks: int = 1

    def __post_init__(self) -> None:
        """Refuse values no question can be asked with."""
        if not 2 <= self.top_logprobs <= 20:  # noqa: PLR2004  -- two answers to compare; 20 is what endpoints allow
            raise ConfigError("must be between 2 and 20", where="top_logprobs")
        if not 0 <= self.re_asks <= 3:  # noqa: PLR2004  -- bounded: an endpoint that never obeys must not cost without end
            raise ConfigError("must be between 0 and 3", where="re_asks")


@dataclass(frozen=True)
class SteeringConfig(AskingConfig):
    """How a feature is steered.

    Attributes:
        prompts: Activating windows gone on from, at most; each ends with its first activating token.
        non_activating: Whole non-activating windows gone on from besides.
        min_prompts: Fewest prompts for a score.
        kl_target: Mean KL divergence, in nats, of the next token (as it is, steered) that the strength is set to.
        kl_tolerance: By what share of it the divergence may differ.

    Raises:
        ConfigError: If a value is out of range.
    """

    prompts: int = 30
    non_activating: int = 0
    min_prompts: int = 5
    kl_target: float = 0.5
    kl_tolerance: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what cannot be steered by."""
        super().__post_init__()
        for name, least in {"prompts": 1, "non_activating": 0, "min_prompts": 2}.items():
            if getattr(self, name) < least:
                raise ConfigError(f"must be at least {least}", where=name)
        check_kl(self.kl_target, "kl_target")
        if not 0 < self.kl_tolerance < 1:
            raise ConfigError("must be between 0 and 1", where="kl_tolerance")


@dataclass(frozen=True)
class InterventionConfig(SteeringConfig):
    """How text is steered, and how its effect is read.

    Attributes:
        mode: ``likelihood`` (the surprisal of the explanation, from the judge's prompt log-probabilities) or
            ``classifier`` (sets of continuations, each answered by Yes or No).
        other_kl_targets: Further divergences at which the effect is reported, in the breakdown.
        new_tokens: Tokens written after each prompt, at most.
        temperature: Of the subject when it writes.
        baseline_directions: Other features, drawn by seed, that are steered to the same divergence.
        set_size: Continuations in a set, in ``classifier`` mode.
        max_logprob_drop: By how many nats a token the steered text may be less likely, to the model as it is, than its
            own text; above it the text is no language, and nothing is scored.
        max_repetition: Largest mean share of repeated tokens in a continuation.
        per_word: Whether ``likelihood`` mode ranks by nats per word of the explanation instead of by their sum.

    Raises:
        ConfigError: If a value is out of range.
    """

    mode: str = LIKELIHOOD
    other_kl_targets: list[float] = field(default_factory=lambda: [0.1, 1.0])
    new_tokens: int = 8
    temperature: float = 1.0
    baseline_directions: int = 1
    set_size: int = 3
    max_logprob_drop: float = 4.0
    max_repetition: float = 0.5
    per_word: bool = field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        """Refuse what cannot be written or asked."""
        super().__post_init__()
        if self.mode not in {LIKELIHOOD, CLASSIFIER}:
            raise ConfigError(f"mode '{self.mode}' is not known", where="mode", hint=f"{LIKELIHOOD} or {CLASSIFIER}")
        for target in self.other_kl_targets:
            check_kl(target, "other_kl_targets")
        for name, least in {"new_tokens": 1, "baseline_directions": 0, "set_size": 1}.items():
            if getattr(self, name) < least:
                raise ConfigError(f"must be at least {least}", where=name)
        if not 0 <= self.temperature <= 5:  # noqa: PLR2004  -- hotter is noise
            raise ConfigError("must be between 0 and 5", where="temperature")
        if not 0 <= self.max_repetition <= 1:
            raise ConfigError("must be between 0 and 1", where="max_repetition")
        if not self.max_logprob_drop > 0:
            raise ConfigError("must be above 0", where="max_logprob_drop")
        if self.per_word and self.mode != LIKELIHOOD:
            raise ConfigError("only nats can be counted per word", where="per_word", hint=f"mode={LIKELIHOOD}")

    @property
    def targets(self) -> tuple[float, ...]:
        """Return all divergences, the one that is scored first."""
        return tuple(dict.fromkeys((self.kl_target, *sorted(self.other_kl_targets))))

    @property
    def group_size(self) -> int:
        """Return how many continuations are shown at a time."""
        return 1 if self.mode == LIKELIHOOD else self.set_size

    @property
    def primary_metric(self) -> str:
        """Return ``surprisal_reduction`` (``reduction_per_word``), or ``win_rate`` in ``classifier`` mode."""
        if self.mode == CLASSIFIER:
            return "win_rate"
        return "reduction_per_word" if self.per_word else "surprisal_reduction"


@dataclass(frozen=True)
class OutputTokensConfig(SteeringConfig):
    """Which tokens are asked about, and how.

    Attributes:
        tokens: Promoted tokens taken from each of the two sources, at most.
        min_tokens: Fewest promoted tokens for a score.
        graded: Whether answers are graded by P(yes), and ranked by ``auroc``; else by ``balanced_accuracy``.

    Raises:
        ConfigError: If a value is out of range.
    """

    tokens: int = 10
    min_tokens: int = 3
    graded: bool = True

    def __post_init__(self) -> None:
        """Refuse numbers that leave nothing to ask."""
        super().__post_init__()
        for name in ("tokens", "min_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", where=name)

    @property
    def primary_metric(self) -> str:
        """Return ``auroc``, or ``balanced_accuracy`` where answers are not graded."""
        return "auroc" if self.graded else "balanced_accuracy"


def check_kl(target: float, where: str) -> None:
    """Refuse a divergence that no strength can have.

    Raises:
        ConfigError: If it is not above 0 and finite.
    """
    if not (target > 0 and math.isfinite(target)):
        raise ConfigError("a KL divergence must be above 0 and finite", where=where)


def example_needs(config: SteeringConfig) -> ExampleNeeds:
    """Return what the fewest prompts are made of."""
    return ExampleNeeds(activating=max(1, config.min_prompts - config.non_activating))
