"""Faithfulness: does the subject write what the explanation names when the feature is turned up?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.api import (
    ExampleKind,
    FeatureSourceError,
    Intervention,
    InterventionMode,
    Item,
    Outcome,
    Score,
    ScorerEstimate,
    Usage,
    derive_seed,
    generator,
)
from harness_fade.clarity import clarity_evidence, clarity_items, estimate_clarity, fade_clarity
from harness_fade.config import FADE, SCALE
from harness_fade.effects import Effect, effect, largest_rise, share
from harness_fade.evidence import needed, rated_sample, root_seed
from harness_fade.rating import CLEAR, Rated, both, estimate_rated, estimate_ratings, rate
from harness_fade.responsiveness import fade_responsiveness
from harness_fade.separation import too_few

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.api import LLM, Example, ExampleShape, Explanation, Resources, ScoreRecord, SubjectAccess
    from harness_fade.config import FaithfulnessConfig

__all__ = ["ABLATED", "UNMODIFIED", "FaithfulnessScorer", "fade_faithfulness"]

UNMODIFIED, ABLATED = "unmodified", "factor_0"
CANNOT_STEER = "the feature source has no write direction, so the feature cannot be turned up"
NEVER_FIRES = "the feature's largest activation in the corpus is not above 0, so there is nothing to set it to"
NO_PROMPT = "the record has no silent window to begin from"
ONLY_COMPAT = "the paper's number depends on its gate, and is reported under compat: fade"
ALL_SHOW = "all continuations with the feature ablated show the concept already, so that none can be gained"
NO_ABLATED = "no ablated continuation was rated"
_SEEDS = 2**31
_METRICS = ("rise_over_unmodified", "rise_over_ablated", "fade_faithfulness")


@dataclass(frozen=True, slots=True)
class _Arm:
    """One way of continuing the prompts: what is done to the feature, and what came of it.

    Attributes:
        name: What is done.
        texts: The continuations, one for each prompt; empty where the model broke down.
        rated: Their ratings.
        why: Why there are none; empty if there are.
    """

    name: str
    texts: tuple[str, ...]
    rated: tuple[Rated, ...] = ()
    why: str = ""

    @property
    def shown(self) -> tuple[bool | None, ...]:
        """Return whether each continuation clearly shows the concept; None where it was not rated."""
        return tuple(None if one.rating is None else one.rating == CLEAR for one in self.rated)


@dataclass(frozen=True, slots=True)
class _Gate:
    """What the gate saw: why it is closed, if it is, its part of the breakdown, its evidence, cost, what was lost."""

    closed: str | None = None
    parts: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    items: tuple[Item, ...] = ()
    usage: Usage = field(default_factory=Usage)
    lost: float = 0.0


class FaithfulnessScorer:
    """The largest rise of the share of continuations rated 2, over the factors by which the feature is turned up.

    FADE, arXiv 2502.16994 (faithfulness). Ours is over the unmodified model and, beside it, over the ablated feature,
    each beyond what the largest of so many gives by luck; the paper's own number, ``fade_faithfulness``, is over the
    ablated feature as it is, and behind a gate.
    """

    def __init__(self, config: FaithfulnessConfig) -> None:
        self.config = config

    @property
    def primary_metric(self) -> str:
        """Return ``rise_over_unmodified``, or the paper's number under ``compat: fade``."""
        return "fade_faithfulness" if self.config.compat == FADE else "rise_over_unmodified"

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        """Return the faithfulness of ``explanation``.

        Raises:
            ConfigError: If there is no judge or no subject.
            LLMError: If the judge cannot be asked at all.
            SubjectError: If the subject cannot be run.
        """
        judge, subject = needed(resources, "faithfulness")
        prompts = self._prompts(record)
        missing = self._missing(record, subject, prompts)
        if missing is not None:
            return _undefined(missing)
        gate = None
        if self.config.compat == FADE:
            gate = await self._gate(record, explanation.text, judge, subject)
            if gate.closed is not None:
                return _undefined(gate.closed, gate)
        arms = await self._continued(record, prompts, subject)
        seed = root_seed(record, self.config)
        every = [text for arm in arms.values() for text in arm.texts]
        found = await rate(every, explanation.text, judge, self.config, derive_seed(seed, "continuations"))
        place = 0
        for name, arm in list(arms.items()):
            if not arm.why:
                arms[name] = replace(arm, rated=found.rated[place : place + len(arm.texts)])
                place += len(arm.texts)
        return self._scored(arms, prompts, gate or _Gate(), found.usage, seed)

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        """Return what one unit takes if no two continuations are the same and the gate, if there is one, is open."""
        prompts = min(shape.n_non_activating, self.config.n_prompts)
        n = prompts * (len(self.config.factors) + 1)
        found = estimate_ratings(n, self.config.new_tokens, shape.explanation_tokens, self.config, shape.counter)
        if self.config.compat != FADE:
            return found
        return both(found, both(estimate_clarity(shape, self.config), estimate_rated(shape, self.config)))

    def _prompts(self, record: ScoreRecord) -> tuple[Example, ...]:
        """Return the windows to go on from: silent ones, those drawn at random first."""
        rng = generator(root_seed(record, self.config), "prompts")
        silent = [example for example in record.examples.non_activating if example.token_ids]
        order = rng.permutation(len(silent)).tolist()
        drawn = sorted((silent[place] for place in order), key=lambda example: example.kind is not ExampleKind.RANDOM)
        return tuple(drawn[: self.config.n_prompts])

    def _missing(self, record: ScoreRecord, subject: SubjectAccess, prompts: Sequence[Example]) -> str | None:
        if not subject.steers:
            return CANNOT_STEER
        if record.statistics.max_activation <= 0 and self.config.intervention != SCALE:
            return NEVER_FIRES
        if not prompts:
            return NO_PROMPT
        least = 1 if self.config.compat == FADE else self.config.min_texts
        return None if len(prompts) >= least else too_few(len(prompts), "silent windows", least)

    async def _gate(self, record: ScoreRecord, explanation: str, judge: LLM, subject: SubjectAccess) -> _Gate:
        clear = await clarity_evidence(record, explanation, judge, subject, self.config)
        rated = await rated_sample(record, explanation, judge, self.config)
        seen = {"clarity": fade_clarity(clear), "responsiveness": fade_responsiveness(rated)}
        closed = None
        if any(value is None or value < self.config.gate for value in seen.values()):
            said = " and ".join(f"{name} {'undefined' if v is None else f'{v:.3g}'}" for name, v in seen.items())
            closed = f"gated out: {said}, and both must be at least {self.config.gate:g}"
        evidence = {"clarity": clarity_items(clear, rated=False), "responsiveness": rated.items()}
        items = tuple(replace(item, key=f"{name}:{item.key}") for name, own in evidence.items() for item in own)
        return _Gate(closed, {"gate": seen}, items, clear.usage + rated.usage, clear.written.lost)

    async def _continued(
        self, record: ScoreRecord, prompts: Sequence[Example], subject: SubjectAccess
    ) -> dict[str, _Arm]:
        """Return the continuations of all prompts by arm, unrated. A prompt has one seed in all arms, so they compare.

        A factor at which the model breaks down, its outputs being no numbers, is an arm without continuations.
        """
        root = root_seed(record, self.config)
        seeds = [derive_seed(root, "continuation", example.key) % _SEEDS for example in prompts]
        arms: dict[str, _Arm] = {}
        for name, intervention in self._arms(record).items():
            try:
                found = await subject.continued(
                    [example.token_ids for example in prompts],
                    intervention,
                    max_new_tokens=self.config.new_tokens,
                    temperature=self.config.sampling_temperature,
                    seeds=seeds,
                )
            except FeatureSourceError as error:
                if intervention is None:
                    raise
                nothing = Rated(None, Outcome.SKIPPED, error=str(error))
                arms[name] = _Arm(name, (), (nothing,) * len(prompts), str(error))
            else:
                arms[name] = _Arm(name, tuple(one.text for one in found))
        return arms

    def _arms(self, record: ScoreRecord) -> dict[str, Intervention | None]:
        scales = self.config.intervention == SCALE
        mode = InterventionMode.SCALE if scales else InterventionMode.SET
        unit = 1.0 if scales else record.statistics.max_activation
        arms: dict[str, Intervention | None] = {UNMODIFIED: None}
        for factor in self.config.factors:
            arms[f"factor_{factor:g}"] = Intervention((record.feature,), mode, factor * unit)
        return arms

    def _scored(
        self,
        arms: Mapping[str, _Arm],
        prompts: Sequence[Example],
        gate: _Gate,
        usage: Usage,
        seed: int,
    ) -> Score:
        turned = [arm for name, arm in arms.items() if name not in {UNMODIFIED, ABLATED}]
        over = {
            "rise_over_unmodified": self._effect(turned, arms[UNMODIFIED], seed),
            "rise_over_ablated": self._effect(turned, arms[ABLATED], seed),
        }
        metrics = {name: found.above_null for name, found in over.items()}
        reasons = {name: found.reason for name, found in over.items() if found.reason}
        paper, why = self._paper(arms)
        metrics["fade_faithfulness"] = paper
        if why is not None:
            reasons["fade_faithfulness"] = why
        shares = {
            name: {"share_rated_2": share(arm.shown), "n": float(sum(one is not None for one in arm.shown))}
            for name, arm in arms.items()
        }
        rises = {name: {"rise": found.rise, "rise_without_effect": found.null} for name, found in over.items()}
        items = tuple(_item(arm, place, example) for arm in arms.values() for place, example in enumerate(prompts))
        parts = {**gate.parts, **shares, **rises}
        return Score(metrics, (*gate.items, *items), gate.usage + usage, reasons, parts, gate.lost)

    def _effect(self, turned: Sequence[_Arm], baseline: _Arm, seed: int) -> Effect:
        """Return the effect over a baseline; arms with too few ratings do not count, and if all have, there is none."""
        least = self.config.min_texts
        enough = {arm.name: arm.shown for arm in turned if sum(one is not None for one in arm.shown) >= least}
        known = sum(one is not None for one in baseline.shown)
        if baseline.why:
            return Effect(reason=f"{baseline.name}: {baseline.why}")
        if known < least:
            return Effect(reason=f"{baseline.name}, {too_few(known, 'rated continuations', least)}")
        if enough:
            return effect(enough, baseline.shown, self.config.draws, seed)
        broken = [arm.why for arm in turned if arm.why]
        return Effect(reason=f"no factor has {least} rated continuations{f': {broken[0]}' if broken else ''}")

    def _paper(self, arms: Mapping[str, _Arm]) -> tuple[float | None, str | None]:
        if self.config.compat != FADE:
            return None, ONLY_COMPAT
        counted = {name: arm.shown for name, arm in arms.items() if name != UNMODIFIED}
        value = fade_faithfulness(counted)
        if value is not None:
            return value, None
        ablated = arms[ABLATED]
        return None, ALL_SHOW if share(ablated.shown) is not None else ablated.why or NO_ABLATED


def fade_faithfulness(shown: Mapping[str, Sequence[bool | None]]) -> float | None:
    """Return the paper's number: the largest rise over the ablated feature (``factor_0``); None where undefined.

    Args:
        shown: By arm, the ablated one included, whether each continuation was rated 2; None where it was not rated.
    """
    shares = {name: found for name, own in shown.items() if (found := share(own)) is not None}
    return largest_rise(list(shares.values()), shares[ABLATED]) if ABLATED in shares else None


def _undefined(reason: str, gate: _Gate | None = None) -> Score:
    seen = gate or _Gate()
    undefined = dict.fromkeys(_METRICS, reason)
    return Score(dict.fromkeys(_METRICS), seen.items, seen.usage, undefined, seen.parts, seen.lost)


def _item(arm: _Arm, place: int, example: Example) -> Item:
    rated = arm.rated[place]
    return Item(
        key=f"{example.key}:{arm.name}",
        kind=arm.name,
        decile=None,
        truth=None,
        prediction=arm.shown[place],
        value=None if rated.rating is None else float(rated.rating),
        outcome=rated.outcome,
        text=arm.texts[place] if arm.texts else None,
        reply=rated.reply,
        error=rated.error,
    )
