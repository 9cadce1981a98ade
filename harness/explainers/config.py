"""Parameters of the built-in explainers and controls. Imports nothing heavy: they are checked before anything runs."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from harness.errors import ConfigError, UnknownNameError

__all__ = [
    "DefaultConfig",
    "EmptyConfig",
    "ImportedConfig",
    "PlantedTextConfig",
    "ShuffledConfig",
    "TopTokensConfig",
]

MAX_FEW_SHOTS = 3


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

    def __post_init__(self) -> None:
        _within("threshold", self.threshold, 0 <= self.threshold < 1, "at least 0 and less than 1")
        _within("few_shots", self.few_shots, 0 <= self.few_shots <= MAX_FEW_SHOTS, f"0 to {MAX_FEW_SHOTS}")
        _within("max_windows", self.max_windows, self.max_windows >= 1, "at least 1")
        _within("max_tokens", self.max_tokens, self.max_tokens is None or self.max_tokens >= 1, "at least 1, or null")
        _within("temperature", self.temperature, self.temperature >= 0, "at least 0")
        _within("repeat", self.repeat, self.repeat >= 0, "at least 0")


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


def _within(name: str, value: object, ok: bool, allowed: str) -> None:
    if not ok:
        raise ConfigError(f"{name} is {value}", hint=allowed)
