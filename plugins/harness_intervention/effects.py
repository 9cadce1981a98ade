"""What the subject writes as it is, with the feature raised, and with other features raised as much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import FeatureSourceError, derive_seed, generator
from harness_intervention.fluency import fluency
from harness_intervention.strength import raised, tune

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import SubjectAccess
    from harness_intervention.config import InterventionConfig
    from harness_intervention.fluency import Fluency
    from harness_intervention.prompts import Prompt

__all__ = ["Effects", "Written", "write"]

_TRIES_PER_BASELINE = 4
_SEEDS = 2**63


@dataclass(frozen=True, slots=True)
class Written:
    """Continuations with one feature raised to one divergence.

    Attributes:
        feature: The feature.
        target: The divergence aimed at.
        kl: The one it has, or the nearest one met.
        strength: What was added; None if nothing has the divergence.
        texts: What was written, one for each prompt; empty if there is no strength.
        fluent: How fluent it is; None if nothing was written.
        why: Why nothing may be read from it; empty if something may.
    """

    feature: int
    target: float
    kl: float
    strength: float | None
    texts: tuple[str, ...] = ()
    fluent: Fluency | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Effects:
    """All that was written: by the subject as it is, at every divergence (the scored one first), and by baselines."""

    clean: tuple[str, ...]
    steered: tuple[Written, ...]
    baselines: tuple[Written, ...]


async def write(
    subject: SubjectAccess,
    prompts: Sequence[Prompt],
    feature: int,
    config: InterventionConfig,
    *,
    seed: int,
    unit: float,
) -> Effects:
    """Return what is written after the prompts; of the other divergences, only if the one that is scored can be read.

    Every prompt has one seed, whatever is steered: clean, steered and baseline texts are drawn with the same numbers,
    so that they differ by the steering and not by the draw.

    Args:
        subject: The subject.
        prompts: What is gone on from.
        feature: The feature that is explained.
        config: How.
        seed: Of the draws.
        unit: Where the search for a strength begins, in the unit of the feature's values.
    """
    writer = _Writer(subject, prompts, config, seed)
    await writer.begin()
    main, *others = config.targets
    steered = [await writer.steered(feature, main, unit)]
    if steered[0].why:
        return Effects(writer.clean, tuple(steered), ())
    steered += [await writer.steered(feature, target, unit) for target in others]
    start = steered[0].strength or unit
    baselines: list[Written] = []
    for other in _others(subject.n_features, feature, config.baseline_directions, seed):
        if len(baselines) == config.baseline_directions:
            break
        found = await writer.steered(other, config.kl_target, start)
        if not found.why:  # a direction that cannot be compared at this divergence is no baseline
            baselines.append(found)
    return Effects(writer.clean, tuple(steered), tuple(baselines))


class _Writer:
    """Writes after one set of prompts."""

    def __init__(
        self, subject: SubjectAccess, prompts: Sequence[Prompt], config: InterventionConfig, seed: int
    ) -> None:
        self._subject = subject
        self._ids = tuple(prompt.ids for prompt in prompts)
        self._config = config
        self._seeds = tuple(derive_seed(seed, "continuation", place) % _SEEDS for place in range(len(prompts)))
        self.clean: tuple[str, ...] = ()
        self._own: tuple[tuple[float, ...], ...] = ()

    async def begin(self) -> None:
        """Let the subject write as it is."""
        written = await self._subject.continued(
            self._ids,
            None,
            max_new_tokens=self._config.new_tokens,
            temperature=self._config.temperature,
            seeds=self._seeds,
        )
        self.clean = tuple(one.text for one in written)
        self._own = await self._subject.continuation_logprobs(self._ids, tuple(one.token_ids for one in written))

    async def steered(self, feature: int, target: float, unit: float) -> Written:
        """Return what is written with ``feature`` raised to the divergence ``target``."""
        config = self._config
        tuned = await tune(self._subject, self._ids, feature, target, tolerance=config.kl_tolerance, unit=unit)
        if tuned.strength is None:
            return Written(feature, target, tuned.kl, None, why=tuned.why)
        try:
            written = await self._subject.continued(
                self._ids,
                raised(feature, tuned.strength),
                max_new_tokens=config.new_tokens,
                temperature=config.temperature,
                seeds=self._seeds,
            )
        except FeatureSourceError as error:  # further on than the next token, which the strength was tuned by
            return Written(feature, target, tuned.kl, tuned.strength, why=str(error))
        ids = tuple(one.token_ids for one in written)
        logprobs = await self._subject.continuation_logprobs(self._ids, ids)
        fluent = fluency(self._own, logprobs, ids, config)
        texts = tuple(one.text for one in written)
        return Written(feature, target, tuned.kl, tuned.strength, texts, fluent, fluent.trouble)


def _others(n_features: int, feature: int, wanted: int, seed: int) -> list[int]:
    """Return other features in the order in which they are tried as baselines."""
    most = min(n_features - 1, wanted * _TRIES_PER_BASELINE)
    if most < 1:
        return []
    drawn = generator(seed, "baseline directions").choice(n_features - 1, size=most, replace=False).tolist()
    return [other + (other >= feature) for other in drawn]
