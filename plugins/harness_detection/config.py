"""Parameters of the detection scorers."""

from __future__ import annotations

from dataclasses import dataclass

from harness.api import ClassifierConfig, Rewriting

__all__ = ["CounterfactualConfig", "DetectionConfig"]


@dataclass(frozen=True)
class DetectionConfig(ClassifierConfig):
    """How the judge is asked; detection has no parameters beyond those."""


@dataclass(frozen=True)
class CounterfactualConfig(ClassifierConfig):
    """How the judge is asked, and how it rewrites activating windows into near-misses.

    Attributes:
        counterfactuals: Windows rewritten at most.
        windows_per_call: Windows shown together, and rewritten by one reply.
        min_likeness: Least likeness, from 0 to 1, of a rewriting to the window it is most like.

    Raises:
        ConfigError: If a value is out of range.
    """

    counterfactuals: int = 10
    windows_per_call: int = 5
    min_likeness: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        super().__post_init__()
        _ = self.rewriting

    @property
    def rewriting(self) -> Rewriting:
        """Return how windows are rewritten.

        Raises:
            ConfigError: If they cannot be.
        """
        return Rewriting(self.counterfactuals, self.windows_per_call, self.min_likeness, self.re_asks)
