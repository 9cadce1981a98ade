"""Parameters of the intruder scorer."""

from __future__ import annotations

from dataclasses import dataclass

from harness.api import ConfigError, ExampleNeeds

__all__ = ["IntruderConfig", "example_needs"]

_MOST_SHOWN = 9  # answers are single digits


@dataclass(frozen=True)
class IntruderConfig:
    """How many questions of how many windows are asked.

    Attributes:
        activating: Activating windows in a question, beside the one intruder.
        questions: Most questions; there are no more than silent windows, as each is an intruder once.
        re_asks: How often an answer that cannot be read is asked for again.

    Raises:
        ConfigError: If a value is out of range.
    """

    activating: int = 4
    questions: int = 20
    re_asks: int = 1

    def __post_init__(self) -> None:
        """Refuse values no question can be asked with."""
        if not 2 <= self.activating < _MOST_SHOWN:  # noqa: PLR2004  -- of two windows either may be the odd one
            raise ConfigError(f"must be between 2 and {_MOST_SHOWN - 1}", where="activating")
        if self.questions < 1:
            raise ConfigError("must be at least 1", where="questions")
        if not 0 <= self.re_asks <= 3:  # noqa: PLR2004  -- bounded, as for every scorer
            raise ConfigError("must be between 0 and 3", where="re_asks")

    @property
    def shown(self) -> int:
        """Return how many windows a question shows."""
        return self.activating + 1

    @property
    def chance(self) -> float:
        """Return the accuracy of guessing."""
        return 1 / self.shown


def example_needs(config: IntruderConfig) -> ExampleNeeds:
    """Return what one question shows."""
    return ExampleNeeds(activating=config.activating, non_activating=1)
