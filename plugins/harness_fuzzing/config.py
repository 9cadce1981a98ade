"""Parameters of the fuzzing scorer."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.api import LATER, ClassifierConfig, ConfigError, ExampleNeeds

__all__ = ["BLOG", "MATCHED", "PAPER", "VARIANTS", "FuzzingConfig", "example_needs"]

MATCHED, BLOG, PAPER = VARIANTS = ("matched", "blog", "paper")
"""The ways of drawing wrong marks, ours first."""


@dataclass(frozen=True)
class FuzzingConfig(ClassifierConfig):
    """How the judge is asked, which tokens count as active, and how wrong marks are drawn.

    Attributes:
        threshold: A right marking marks the tokens with at least this share of the window's largest activation.
        variant: ``matched`` (every wrong window takes over the pattern of a right one), ``blog`` (random silent tokens
            of activating windows, two wrong windows to five right ones) or ``paper`` (random tokens of silent windows).

    Raises:
        ConfigError: If a value is out of range.
    """

    threshold: float = 0.3
    variant: str = field(default=MATCHED, metadata=LATER)

    def __post_init__(self) -> None:
        """Refuse a threshold that marks nothing or is no share, and a variant that is not known."""
        super().__post_init__()
        if not 0 < self.threshold <= 1:
            raise ConfigError("must be above 0 and at most 1", where="threshold")
        if self.variant not in VARIANTS:
            raise ConfigError(f"variant '{self.variant}' is not known", where="variant", hint=" or ".join(VARIANTS))


def example_needs(config: FuzzingConfig) -> ExampleNeeds:
    """Return what a right and a wrong marking take: two activating windows, or a silent one besides."""
    return ExampleNeeds(non_activating=1) if config.variant == PAPER else ExampleNeeds(activating=2)
