"""Parameters of the built-in explainers and controls. Imports nothing heavy: they are checked before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from omegaconf import MISSING

from harness.errors import ConfigError, UnknownNameError
from harness.identity import LATER

__all__ = [
    "AskingConfig",
    "ContrastiveConfig",
    "DefaultConfig",
    "EmptyConfig",
    "ImportedConfig",
    "LogitTokensConfig",
    "MaxActivationLogitsConfig",
    "NgramConfig",
    "PlantedTextConfig",
    "RefinedConfig",
    "ShuffledConfig",
    "TokenActivationsConfig",
    "TopTokensConfig",
]

MAX_FEW_SHOTS = 3


class AskingConfig(Protocol):
    """What every explainer that asks a language model can be told of how it answers."""

    temperature: float
    repeat: int


@dataclass
class DefaultConfig:
    """How the ``default`` explainer asks.

    Attributes:
        threshold: A token is marked when its activation is above this share of its window's largest, in [0, 1).
        show_activations: Add the strength of the marked tokens, 0 to 10.
        chain_of_thought: Ask for written reasoning before the explanation.
        logit_weights: Add the tokens the feature promotes, where the subject knows them.
        few_shots: Worked examples shown first, 0 to 3.
        max_windows: Most activating windows shown; of more, evenly spaced ones from strongest to weakest.
        max_tokens: Most tokens of the reply; None means 80, or 320 with ``chain_of_thought``.
        temperature: 0 for the likeliest reply.
        repeat: Number of the repetition; another number asks a sampling model again.
        suppressed_tokens: With ``logit_weights``, list apart from them the tokens the feature makes less likely.
    """

    threshold: float = 0.3
    show_activations: bool = False
    chain_of_thought: bool = False
    logit_weights: bool = False
    few_shots: int = 3
    max_windows: int = 10
    max_tokens: int | None = None
    temperature: float = 0.0
    repeat: int = 0
    suppressed_tokens: bool = field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        _within("threshold", self.threshold, 0 <= self.threshold < 1, "at least 0 and less than 1")
        _within("few_shots", self.few_shots, 0 <= self.few_shots <= MAX_FEW_SHOTS, f"0 to {MAX_FEW_SHOTS}")
        _within("max_windows", self.max_windows, self.max_windows >= 1, "at least 1")
        _within("max_tokens", self.max_tokens, self.max_tokens is None or self.max_tokens >= 1, "at least 1, or null")
        _within("temperature", self.temperature, self.temperature >= 0, "at least 0")
        _within("repeat", self.repeat, self.repeat >= 0, "at least 0")
        _beside_promoted(self)


@dataclass
class RefinedConfig(DefaultConfig):
    """How the ``refined`` explainer writes (as ``default`` does), checks and rewrites.

    Attributes:
        rounds: Most times the explanation is written again after its failures were shown.
        validation_share: Share of the explain half's documents that checks the candidates and writes none, in (0, 1).
        max_validation: Most windows of either kind (activating, silent) that a candidate is checked on.
        max_failures: Most missed windows, and most false alarms, shown at a time.
    """

    rounds: int = 2
    validation_share: float = 0.4
    max_validation: int = 8
    max_failures: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        _within("rounds", self.rounds, self.rounds >= 0, "at least 0")
        _within("validation_share", self.validation_share, 0 < self.validation_share < 1, "more than 0, less than 1")
        _within("max_validation", self.max_validation, self.max_validation >= 1, "at least 1")
        _within("max_failures", self.max_failures, self.max_failures >= 1, "at least 1")


@dataclass
class ContrastiveConfig:
    """How the ``contrastive`` explainer asks.

    Attributes:
        threshold: A token is marked when its activation is above this share of its window's largest, in [0, 1).
        max_windows: Most activating windows shown; of more, evenly spaced ones from strongest to weakest.
        max_silent: Most silent windows shown, in the order they were drawn.
        max_tokens: Most tokens of the reply.
        temperature: 0 for the likeliest reply.
        repeat: Number of the repetition; another number asks a sampling model again.
    """

    threshold: float = 0.3
    max_windows: int = 10
    max_silent: int = 5
    max_tokens: int = 80
    temperature: float = 0.0
    repeat: int = 0

    def __post_init__(self) -> None:
        _within("threshold", self.threshold, 0 <= self.threshold < 1, "at least 0 and less than 1")
        _within("max_silent", self.max_silent, self.max_silent >= 1, "at least 1")
        _asking(self.max_windows, self.max_tokens, self.temperature, self.repeat)


@dataclass
class TokenActivationsConfig:
    """How the ``token_activations`` explainer asks.

    Attributes:
        few_shots: Worked examples shown first, 0 to 3.
        max_windows: Most activating windows shown; of more, evenly spaced ones from strongest to weakest.
        max_tokens: Most tokens of the reply.
        temperature: 0 for the likeliest reply.
        repeat: Number of the repetition; another number asks a sampling model again.
    """

    few_shots: int = 2
    max_windows: int = 5
    max_tokens: int = 60
    temperature: float = 0.0
    repeat: int = 0

    def __post_init__(self) -> None:
        _within("few_shots", self.few_shots, 0 <= self.few_shots <= MAX_FEW_SHOTS, f"0 to {MAX_FEW_SHOTS}")
        _asking(self.max_windows, self.max_tokens, self.temperature, self.repeat)


@dataclass
class MaxActivationLogitsConfig:
    """How the ``max_activation_logits`` explainer asks.

    Attributes:
        max_windows: Most activating windows shown, the strongest; windows of the same text count once.
        side_tokens: Most tokens shown on each side of the strongest one.
        logit_weights: Add the tokens the feature promotes, where the subject knows them.
        max_tokens: Most tokens of the reply.
        temperature: 0 for the likeliest reply.
        repeat: Number of the repetition; another number asks a sampling model again.
        suppressed_tokens: With ``logit_weights``, list apart from them the tokens the feature makes less likely.
    """

    max_windows: int = 10
    side_tokens: int = 24
    logit_weights: bool = True
    max_tokens: int = 40
    temperature: float = 0.0
    repeat: int = 0
    suppressed_tokens: bool = field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        _within("side_tokens", self.side_tokens, self.side_tokens >= 0, "at least 0")
        _beside_promoted(self)
        _asking(self.max_windows, self.max_tokens, self.temperature, self.repeat)


@dataclass
class LogitTokensConfig:
    """How the ``logit_tokens`` explainer asks.

    Attributes:
        logit_weights: Always true: the tokens a feature promotes (and suppresses) are all this explainer sees.
        max_tokens: Most tokens of the reply.
        temperature: 0 for the likeliest reply.
        repeat: Number of the repetition; another number asks a sampling model again.
        suppressed_tokens: With ``logit_weights``, list apart from them the tokens the feature makes less likely.
    """

    logit_weights: bool = True
    max_tokens: int = 60
    temperature: float = 0.0
    repeat: int = 0
    suppressed_tokens: bool = field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        _within("logit_weights", self.logit_weights, self.logit_weights, "true; this explainer sees nothing else")
        _asking(1, self.max_tokens, self.temperature, self.repeat)


@dataclass
class NgramConfig:
    """Which patterns ``ngram`` looks for.

    Attributes:
        max_n: Most tokens of a pattern.
        threshold: A pattern holds a token whose activation is above this share of its window's largest, in [0, 1).
        count: Most patterns named.
        min_gain: What a further pattern must add to the score.
    """

    max_n: int = 3
    threshold: float = 0.3
    count: int = 5
    min_gain: float = 0.02

    def __post_init__(self) -> None:
        _within("max_n", self.max_n, self.max_n >= 1, "at least 1")
        _within("threshold", self.threshold, 0 <= self.threshold < 1, "at least 0 and less than 1")
        _within("count", self.count, self.count >= 1, "at least 1")
        _within("min_gain", self.min_gain, 0 < self.min_gain <= 1, "more than 0, at most 1")


@dataclass
class ImportedConfig:
    """Which file of explanations, and how it is read.

    Attributes:
        path: A ``.jsonl``, ``.jsonl.gz``, ``.csv`` or ``.csv.gz`` file.
        feature_column: Where the feature's index stands.
        text_column: Where the explanation stands.
        subject_column: Where the subject's name stands, if it does; lines without one hold for every subject.
        author_column: Where the author stands, if it does.
        explanation_set: Which set to take from a file that holds several, as a run's own does.
        on_duplicate: ``error``, or keep the ``first`` or the ``last`` of several explanations of one feature.
        sha256: Digest the file must have, if given.
    """

    path: str = MISSING
    feature_column: str = "feature"
    text_column: str = "text"
    subject_column: str = "subject"
    author_column: str = "author"
    explanation_set: str | None = None
    on_duplicate: str = "error"
    sha256: str | None = None

    def __post_init__(self) -> None:
        if self.on_duplicate not in {"error", "first", "last"}:
            raise ConfigError(f"on_duplicate is '{self.on_duplicate}'", hint="one of: error, first, last")


@dataclass
class TopTokensConfig:
    """How many tokens ``top_tokens`` names."""

    count: int = 8

    def __post_init__(self) -> None:
        _within("count", self.count, self.count >= 1, "at least 1")


@dataclass
class ShuffledConfig:
    """The ``shuffled`` control has no parameters."""


@dataclass
class EmptyConfig:
    """The ``empty`` control has no parameters."""


@dataclass
class PlantedTextConfig:
    """Which planted features are explained.

    Attributes:
        catalogue: ``input``, those that read text, or ``output``, those that promote tokens.

    Raises:
        UnknownNameError: If there is no such catalogue.
    """

    catalogue: str = "input"

    def __post_init__(self) -> None:
        if self.catalogue not in {"input", "output"}:
            raise UnknownNameError("catalogue of planted features", self.catalogue, ("input", "output"))


def _asking(max_windows: int, max_tokens: int, temperature: float, repeat: int) -> None:
    _within("max_windows", max_windows, max_windows >= 1, "at least 1")
    _within("max_tokens", max_tokens, max_tokens >= 1, "at least 1")
    _within("temperature", temperature, temperature >= 0, "at least 0")
    _within("repeat", repeat, repeat >= 0, "at least 0")


def _beside_promoted(config: DefaultConfig | MaxActivationLogitsConfig) -> None:
    wanted = config.suppressed_tokens
    _within("suppressed_tokens", wanted, config.logit_weights or not wanted, "false, or set logit_weights=true as well")


def _within(name: str, value: object, ok: bool, allowed: str) -> None:
    if not ok:
        raise ConfigError(f"{name} is {value}", hint=allowed)
