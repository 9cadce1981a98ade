"""How strongly a feature must be raised for a fixed effect on the next token."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import Intervention, InterventionMode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import SubjectAccess

__all__ = ["Tuned", "raised", "tune"]

_MOST_DOUBLINGS = 24
_MOST_HALVINGS = 24
_MOST_BISECTIONS = 24


@dataclass(frozen=True, slots=True)
class Tuned:
    """What the search found.

    Attributes:
        strength: What is added to the feature's value; None if no strength has the effect.
        kl: Mean KL divergence it has, in nats; with no strength, the nearest one met.
        why: Why there is no strength.
    """

    strength: float | None
    kl: float
    why: str = ""


def raised(feature: int, strength: float) -> Intervention:
    """Return the intervention that adds ``strength`` to a feature."""
    return Intervention((feature,), InterventionMode.ADD, strength)


async def tune(
    subject: SubjectAccess,
    prompts: Sequence[tuple[int, ...]],
    feature: int,
    target: float,
    *,
    tolerance: float,
    unit: float,
) -> Tuned:
    """Return the strength at which the mean over prompts of KL(as it is, steered) of the next token is ``target``.

    Doubled or halved from ``unit`` until the target lies between two strengths, then bisected (by the geometric mean)
    until the divergence differs from it by at most the share ``tolerance``. The divergence need not grow all the way;
    what is found is one strength that has it.

    Args:
        subject: The subject.
        prompts: Token ids.
        feature: Which feature.
        target: Mean divergence, in nats.
        tolerance: Share of it.
        unit: Where the search begins, in the unit of the feature's values; above 0.
    """
    low: float | None = None
    high: float | None = None
    strength = unit
    nearest = math.inf
    left = {"up": _MOST_DOUBLINGS, "down": _MOST_HALVINGS, "between": _MOST_BISECTIONS}
    while True:
        values = await subject.divergences(prompts, raised(feature, strength))
        kl = math.fsum(values) / len(values)
        nearest = min(nearest, kl, key=lambda one: abs(one - target))
        if abs(kl - target) <= tolerance * target:
            return Tuned(strength, kl)
        if kl < target:
            low = strength
        else:
            high = strength
        direction = "up" if high is None else "down" if low is None else "between"
        if not left[direction]:
            return Tuned(None, nearest, _why(direction, target, nearest))
        left[direction] -= 1
        if low is None or high is None:
            strength *= 2 if high is None else 0.5
        else:
            strength = math.sqrt(low * high)


def _why(direction: str, target: float, nearest: float) -> str:
    if direction == "up":
        return f"no strength moves the next token by a mean KL divergence of {target:g} (at most {nearest:.3g})"
    return f"no strength moves the next token by a mean KL divergence near {target:g} (nearest: {nearest:.3g})"
