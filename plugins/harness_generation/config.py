"""Parameters of the generation scorer."""

from __future__ import annotations

from dataclasses import dataclass

from harness.api import ConfigError, Writing

__all__ = ["GenerationConfig"]

_WORDS_PER_TOKEN = 0.75
_FEWEST_WORDS = 5


@dataclass(frozen=True)
class GenerationConfig:
    """How many texts are written, and how.

    Attributes:
        calls: Calls for texts that should activate the feature.
        near_miss_calls: Calls for texts that should not, though they resemble the others.
        texts_per_call: Texts asked for in each.
        temperature: Of the judge when it writes.
        re_asks: How often a reply that cannot be read is asked for again.
        min_mode_windows: Least number of activating windows that make a mode.

    Raises:
        ConfigError: If a value is out of range.
    """

    calls: int = 4
    near_miss_calls: int = 4
    texts_per_call: int = 5
    temperature: float = 1.0
    re_asks: int = 1
    min_mode_windows: int = 2

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        for name in ("calls", "near_miss_calls", "min_mode_windows"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", where=name)
        self.writing(self.calls, 1)

    def writing(self, calls: int, window_tokens: int) -> Writing:
        """Return how texts about as long as a window of the record are asked for.

        Raises:
            ConfigError: If it cannot be asked so.
        """
        words = max(_FEWEST_WORDS, round(window_tokens * _WORDS_PER_TOKEN))
        return Writing(calls, self.texts_per_call, words, self.temperature, self.re_asks)
