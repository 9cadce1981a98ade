"""Parameters of the fuzzing scorer."""

from __future__ import annotations

from dataclasses import dataclass

from harness.api import ClassifierConfig, ConfigError

__all__ = ["FuzzingConfig"]


@dataclass(frozen=True)
class FuzzingConfig(ClassifierConfig):
    """How the judge is asked, and which tokens count as active.

    Attributes:
        threshold: A right marking marks the tokens with at least this share of the window's largest activation.

    Raises:
        ConfigError: If a value is out of range.
    """

    threshold: float = 0.3

    def __post_init__(self) -> None:
        """Refuse a threshold that marks nothing or is no share."""
        super().__post_init__()
        if not 0 < self.threshold <= 1:
            raise ConfigError("must be above 0 and at most 1", where="threshold")
