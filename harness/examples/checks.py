"""Whether an examples configuration makes sense. Importing this loads no NumPy: configs are checked before work."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from harness.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from harness.config.schema import ExamplesConfig, NegativesConfig

__all__ = ["ALIGNMENTS", "STRATEGIES", "check_examples"]

ALIGNMENTS = ("peak", "tile")
STRATEGIES = ("importance", "mix", "quantiles", "random", "top")
_AT_LEAST = {
    "window_tokens": 1,
    "explain_activating": 1,
    "explain_non_activating": 0,
    "score_activating": 1,
    "score_non_activating": 0,
    "min_activating_windows": 2,
    "min_half_windows": 1,
}


def check_examples(config: ExamplesConfig) -> None:
    """Check the values of ``config``.

    Raises:
        ConfigError: If one is out of its range, or is no name that exists.
    """
    for name, least in _AT_LEAST.items():
        if getattr(config, name) < least:
            raise ConfigError(f"must be at least {least}, and is {getattr(config, name)}", where=f"examples.{name}")
    if not 0 < config.explain_share < 1:
        raise ConfigError(
            f"must be between 0 and 1, and is {config.explain_share:g}: both halves need documents",
            where="examples.explain_share",
        )
    _check_negatives(config.negatives)
    if not 0 <= config.mix_top <= 1:
        raise ConfigError(f"must be from 0 to 1, and is {config.mix_top:g}", where="examples.mix_top")
    if config.align not in ALIGNMENTS:
        raise UnknownNameError("alignment", config.align, ALIGNMENTS, where="examples.align")
    if config.align == "peak" and not 0 <= config.peak_offset < config.window_tokens:
        raise ConfigError(
            f"is {config.peak_offset}, outside the window of {config.window_tokens} tokens",
            where="examples.peak_offset",
        )
    for name in ("explain_strategy", "score_strategy"):
        if getattr(config, name) not in STRATEGIES:
            raise UnknownNameError("sampling strategy", getattr(config, name), STRATEGIES, where=f"examples.{name}")


def _check_negatives(config: NegativesConfig) -> None:
    weights: dict[str, float] = dataclasses.asdict(config)
    for source, weight in weights.items():
        if not (weight >= 0 and math.isfinite(weight)):
            raise ConfigError(f"a weight is 0 or more, not {weight:g}", where=f"examples.negatives.{source}")
    if not any(weights.values()):
        raise ConfigError(
            "every source has the weight 0", where="examples.negatives", hint="examples.negatives.random=1"
        )
