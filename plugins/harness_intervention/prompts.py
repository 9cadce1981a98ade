"""What the subject goes on from: activating windows up to their first activating token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import Example, ExampleSet
    from harness_intervention.config import SteeringConfig

__all__ = ["Prompt", "draw_prompts"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt: the example it is of, and its token ids."""

    example: Example
    ids: tuple[int, ...]


def draw_prompts(examples: ExampleSet, config: SteeringConfig) -> tuple[Prompt, ...]:
    """Return the prompts of a record's score half.

    Activating windows come at equal distances in their order of strength, so that weak and strong ones are there alike.
    Each is cut behind its first activating token: steering begins where the feature would. Non-activating windows, if
    the configuration wants some, are taken whole, in their order.
    """
    chosen = [examples.activating[place] for place in _evenly(len(examples.activating), config.prompts)]
    silent = examples.non_activating[: config.non_activating]
    prompts = [Prompt(example, example.token_ids[: _first_active(example) + 1]) for example in chosen]
    prompts += [Prompt(example, example.token_ids) for example in silent]
    return tuple(prompt for prompt in prompts if prompt.ids)


def _first_active(example: Example) -> int:
    return next((place for place, value in enumerate(example.activations) if value > 0), len(example.token_ids))


def _evenly(n: int, most: int) -> Sequence[int]:
    if n <= most:
        return range(n)
    return [(2 * place + 1) * n // (2 * most) for place in range(most)]
