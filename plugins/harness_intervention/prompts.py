"""What the subject goes on from: activating windows up to their first activating token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import Example, ExampleSet
    from harness_intervention.config import SteeringConfig

__all__ = ["Prompt", "draw_prompts"]


_FEWEST_TOKENS = 2
"""The first token of a text is never steered, and where the model has no BOS it is a prompt's own."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt: the example it is of, and its token ids."""

    example: Example
    ids: tuple[int, ...]


def draw_prompts(examples: ExampleSet, config: SteeringConfig) -> tuple[Prompt, ...]:
    """Return the prompts of a record's score half, each of at least two tokens.

    Activating windows come at equal distances in their order of strength, so that weak and strong ones are there alike.
    Each is cut behind its first activating token, that of a window's very beginning left aside: steering begins where
    the feature would. Non-activating windows, if the configuration wants some, are taken whole, in their order.
    """
    active = [Prompt(one, one.token_ids[: _first_active(one) + 1]) for one in examples.activating]
    active = [prompt for prompt in active if len(prompt.ids) >= _FEWEST_TOKENS]
    silent = [Prompt(one, one.token_ids) for one in examples.non_activating if len(one.token_ids) >= _FEWEST_TOKENS]
    return (*(active[place] for place in _evenly(len(active), config.prompts)), *silent[: config.non_activating])


def _first_active(example: Example) -> int:
    """Return the place of the first activating token from the second on, or -1."""
    later = range(_FEWEST_TOKENS - 1, len(example.activations))
    return next((place for place in later if example.activations[place] > 0), -1)


def _evenly(n: int, most: int) -> Sequence[int]:
    if n <= most:
        return range(n)
    return [(2 * place + 1) * n // (2 * most) for place in range(most)]
