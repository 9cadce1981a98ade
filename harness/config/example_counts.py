"""Whether each scorer gets the windows that it cannot do without, as far as the configuration alone decides it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from harness.errors import ConfigError
from harness.examples.negative_sources import RANDOM, shares
from harness.scoring.protocol import ExampleNeeds

if TYPE_CHECKING:
    from harness.config.resolved import ResolvedRun
    from harness.config.schema import ExamplesConfig, NegativesConfig
    from harness.registry.specs import ScorerSpec

__all__ = ["check_example_counts"]

_SCORE = "examples.score_"
_RANDOM = f"examples.negatives.{RANDOM}"
_MOST = 1_000
"""Windows that a hint may ask for; where sources share them so that it takes more, the shares are what to change."""


def check_example_counts(run: ResolvedRun) -> None:
    """Check that no scorer is given fewer windows of every feature than it needs for any value at all.

    Raises:
        ConfigError: If one is.
    """
    for name, scorer in run.scorers.items():
        spec = cast("ScorerSpec", scorer.registered.spec)
        needs = spec.resolve_example_needs(scorer.config) or ExampleNeeds()
        short = _short(needs, run.examples)
        if short:
            wanted, given = (" and ".join(texts) for texts in zip(*short.values(), strict=True))
            raise ConfigError(
                f"scorer '{name}' has no value with fewer than {wanted} per feature, and the run gives it {given}",
                where=next(iter(short)),
                hint=_mend(needs, run.examples),
            )


def _short(needs: ExampleNeeds, examples: ExamplesConfig) -> dict[str, tuple[str, str]]:
    """Return what there is too little of, by the key that says how much: what is needed, and what there is."""
    activating, silent = examples.score_activating, examples.score_non_activating
    random = shares(examples.negatives, silent)[RANDOM]
    short: dict[str, tuple[str, str]] = {}
    if activating < needs.activating:
        short[f"{_SCORE}activating"] = (f"{needs.activating} activating windows", str(activating))
    if random < needs.random:
        key = f"{_SCORE}non_activating" if examples.negatives.random > 0 else _RANDOM
        short[key] = (f"{needs.random} silent windows drawn at random", str(random))
    elif silent < needs.non_activating:
        short[f"{_SCORE}non_activating"] = (f"{needs.non_activating} silent windows", str(silent))
    if not short and activating + silent < needs.together:
        short[f"{_SCORE}activating"] = (f"{needs.together} windows together", str(activating + silent))
    return short


def _mend(needs: ExampleNeeds, examples: ExamplesConfig) -> str:
    """Return the overrides with which there would be enough."""
    # Where it takes many together, half of them should be silent.
    activating = max(examples.score_activating, needs.activating)
    silent = max(examples.score_non_activating, needs.non_activating, needs.random)
    if activating + silent < needs.together:
        activating = silent = max(activating, silent, math.ceil(needs.together / 2))
    negatives = examples.negatives
    changed = []
    if needs.random:
        found = _count_for(needs.random, silent, negatives)
        if found is None:
            negatives = replace(negatives, random=max(1.0, sum(vars(negatives).values()) - negatives.random))
            found = _count_for(needs.random, silent, negatives) or _MOST
            changed.append(f"{_RANDOM}={negatives.random:g}")
        silent = found
    if activating > examples.score_activating:
        changed.append(f"{_SCORE}activating={activating}")
    if silent > examples.score_non_activating:
        changed.append(f"{_SCORE}non_activating={silent}")
    return " ".join(changed)


def _count_for(random: int, least: int, negatives: NegativesConfig) -> int | None:
    """Return the smallest number of silent windows, from ``least`` on, of which so many are drawn at random."""
    counts = range(least, max(least, _MOST) + 1) if negatives.random > 0 else ()
    return next((count for count in counts if shares(negatives, count)[RANDOM] >= random), None)
