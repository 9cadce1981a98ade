"""Whether steered text is still language: an effect read from broken text is none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness_intervention.config import InterventionConfig

__all__ = ["Fluency", "fluency", "mean_logprob"]


@dataclass(frozen=True, slots=True)
class Fluency:
    """How steered text compares with the model's own.

    Attributes:
        drop: By how many nats a token it is less likely to the model as it is; None if nothing was written.
        repetition: Mean share of tokens in a continuation that were in it before.
        trouble: Why it is no language; empty if it is.
    """

    drop: float | None
    repetition: float
    trouble: str = ""


def fluency(
    clean: Sequence[Sequence[float]],
    steered: Sequence[Sequence[float]],
    written: Sequence[tuple[int, ...]],
    config: InterventionConfig,
) -> Fluency:
    """Return the fluency of steered continuations.

    Args:
        clean: Log-probability, by the model as it is, of each token of its own continuations.
        steered: The same of the steered ones.
        written: The tokens of these.
        config: What is still language.
    """
    repeated = [1 - len(set(ids)) / len(ids) for ids in written if ids]
    repetition = math.fsum(repeated) / len(repeated) if repeated else 0.0
    own, other = mean_logprob(clean), mean_logprob(steered)
    if own is None or other is None:
        return Fluency(None, repetition, "nothing was written")
    drop = own - other
    if drop > config.max_logprob_drop:
        limit = f"{config.max_logprob_drop:g} nats a token"
        return Fluency(drop, repetition, f"the steered text is {drop:.2f} nats a token less likely, above {limit}")
    if repetition > config.max_repetition:
        limit = f"above {config.max_repetition:g}"
        return Fluency(drop, repetition, f"the steered text repeats {repetition:.2f} of its tokens, {limit}")
    return Fluency(drop, repetition)


def mean_logprob(rows: Sequence[Sequence[float]]) -> float | None:
    """Return the mean over all tokens, None if there are none."""
    values = [value for row in rows for value in row]
    return math.fsum(values) / len(values) if values else None
