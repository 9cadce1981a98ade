"""How well the feature separates texts that hold the concept from others: ours and the paper's form side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness_fade.numbers import interval, signed_above_null, signed_gini, size_without_signal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness_fade.config import NaturalConfig
    from harness_fade.numbers import Comparison

__all__ = ["NO_ROOM", "Separation", "absolute_gini", "missing", "separation", "too_few"]

NO_ROOM = "with so few texts luck alone often gives the largest value there is"


@dataclass(frozen=True, slots=True)
class Separation:
    """The signed Gini coefficient and what it is beyond luck; None with ``reason`` where they are undefined.

    ``parts`` goes into a score's breakdown: the value without any signal, and the interval.
    """

    value: float | None = None
    above_null: float | None = None
    reason: str | None = None
    parts: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)


def separation(comparison: Comparison, config: NaturalConfig, seed: int, names: tuple[str, str]) -> Separation:
    """Return the separation of the two sides; ``names`` says what they are, for the reason."""
    reason = missing(comparison, names, config.min_texts)
    if reason is not None:
        return Separation(reason=reason)
    value = signed_gini(comparison)
    null = size_without_signal(comparison, config.draws, seed)
    low, high = interval(comparison, precision=False, draws=config.draws, seed=seed)
    above = signed_above_null(value, null)
    return Separation(
        value=value,
        above_null=above,
        reason=NO_ROOM if above is None else None,
        parts={"signed_gini": {"low": low, "high": high, "size_without_signal": null}},
    )


def absolute_gini(comparison: Comparison) -> float | None:
    """Return FADE's number, the size of the Gini coefficient without its sign; None if a side is empty."""
    return abs(signed_gini(comparison)) if comparison.positive and comparison.negative else None


def missing(comparison: Comparison, names: tuple[str, str], least: int) -> str | None:
    """Return of which side there are too few texts, as a reason; None if of neither.

    A text without weight enters no number, so it does not count: beside four of them a fifth text would be the side.
    """
    for name, side, n in zip(names, (comparison.positive, comparison.negative), comparison.sizes(), strict=True):
        if n < least:
            return too_few(n, name if n == len(side) else f"{name} that stand for a part of the corpus", least)
    return None


def too_few(n: int, name: str, least: int) -> str:
    """Return the reason that there are too few texts of one side."""
    return f"{name}: {n}, and at least {least} are needed"
