"""Parameters of the surprisal scorer."""

from __future__ import annotations

from dataclasses import dataclass

from harness.api import ConfigError

__all__ = ["SurprisalConfig"]


@dataclass(frozen=True)
class SurprisalConfig:
    """What the explanation is compared with.

    Attributes:
        neutral: A description that fits any window; a window's grade is what the explanation adds to it.

    Raises:
        ConfigError: If the neutral description says nothing at all.
    """

    neutral: str = "Various kinds of text"

    def __post_init__(self) -> None:
        """Refuse an empty description: leaving one out would also change the form of the prompt."""
        if not self.neutral.strip():
            raise ConfigError("must say something", where="neutral", hint="a description that fits any text")
