"""The intervention scorer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.api import (
    ConfigError,
    Item,
    LLMError,
    Outcome,
    Score,
    ScorerEstimate,
    Task,
    TaskKind,
    Usage,
    gather_in_order,
    judge_of,
)
from harness_intervention.asking import log_likelihood, yes_no
from harness_intervention.config import CLASSIFIER, LIKELIHOOD
from harness_intervention.effects import write
from harness_intervention.prompt import description_words, likelihood_prompt, set_messages
from harness_intervention.prompts import draw_prompts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import LLM, ExampleShape, Explanation, Resources, ScoreRecord, SubjectAccess
    from harness_intervention.asking import Verdict
    from harness_intervention.config import InterventionConfig
    from harness_intervention.effects import Effects, Written
    from harness_intervention.prompts import Prompt

__all__ = ["InterventionScorer", "check", "subject_of"]

METRICS = ("surprisal_reduction", "reduction_per_word", "win_rate", "baseline_margin")
CLEAN, STEERED, BASELINE = "clean", "steered", "baseline"
NO_PAIR = "no pair of a steered and a clean continuation was answered"
NO_BASELINE = "there is no other direction that could be compared at this divergence"
NO_SURPRISAL = "a judge's Yes or No is no surprisal; use mode: likelihood"
_TIE = 0.5


@dataclass(frozen=True)
class _Asked:
    """The judge's verdicts on one set of continuations, group by group, with the evidence."""

    verdicts: tuple[Verdict, ...] = ()
    items: tuple[Item, ...] = ()


@dataclass(frozen=True)
class _Compared:
    """Steered against clean groups of which both were answered.

    Attributes:
        differences: Grade of the steered one less that of the clean one.
    """

    differences: tuple[float, ...] = field(default=())

    @property
    def mean(self) -> float | None:
        """Return the mean difference."""
        return math.fsum(self.differences) / len(self.differences) if self.differences else None

    @property
    def sem(self) -> float | None:
        """Return the standard error of the mean."""
        n, mean = len(self.differences), self.mean
        if mean is None or n < 2:  # noqa: PLR2004  -- one value has no spread
            return None
        return math.sqrt(math.fsum((one - mean) ** 2 for one in self.differences) / (n - 1) / n)

    @property
    def win_rate(self) -> float | None:
        """Return the share of pairs in which the steered one has the larger grade, ties one half."""
        wins = [_TIE if one == 0 else float(one > 0) for one in self.differences]
        return math.fsum(wins) / len(wins) if wins else None


class InterventionScorer:
    """Raises the feature while the subject writes, and asks how much better the explanation then fits.

    Paulo et al. 2024 (arXiv 2410.13928), intervention scoring: S is the mean over prompts of surprisal(z | clean
    continuation) - surprisal(z | steered continuation) under a judge, at a strength that moves the next token by a
    fixed mean KL divergence. S is a sum over the explanation, so that one that says as much in more words gains more;
    ``reduction_per_word`` is S over its number of words.
    """

    def __init__(self, config: InterventionConfig) -> None:
        self.config = config

    @property
    def primary_metric(self) -> str:
        """Return ``surprisal_reduction`` (``reduction_per_word``), or ``win_rate`` in ``classifier`` mode."""
        return self.config.primary_metric

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        """Return the score of ``explanation``.

        Raises:
            ConfigError: If there is no judge, or no subject that can be steered.
            LLMError: If the judge has no prompt log-probabilities where they are needed.
        """
        judge = judge_of(resources, "intervention")
        check(self.config, judge)
        subject = subject_of(resources, "intervention")
        prompts = draw_prompts(record.examples, self.config)
        if len(prompts) < self.config.min_prompts:
            return _undefined(f"{len(prompts)} prompts, of at least {self.config.min_prompts}")
        unit = record.statistics.max_activation or 1.0
        effects = await write(subject, prompts, record.feature, self.config, seed=resources.seed, unit=unit)
        if effects.steered[0].why:
            # Without it there is no number, whatever the other divergences show.
            return _undefined(effects.steered[0].why, _parts(effects))
        return await self._judged(effects, prompts, explanation.text, judge)

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        """Return what one unit is expected to take if every divergence can be had."""
        config = self.config
        prompts = min(config.prompts, shape.n_activating) + min(config.non_activating, shape.n_non_activating)
        if prompts < config.min_prompts:
            return ScorerEstimate()
        groups = math.ceil(prompts / config.group_size)
        calls = groups * (1 + len(config.targets) + config.baseline_directions)
        if config.mode == LIKELIHOOD:
            frame, answer = shape.counter.text(likelihood_prompt("", "")), 0
        else:
            frame, answer = shape.counter.chat(set_messages([""] * config.set_size, "")), 1
        tokens = frame + config.group_size * config.new_tokens + shape.explanation_tokens
        return ScorerEstimate(calls, calls * tokens, calls * answer)

    async def _judged(self, effects: Effects, prompts: Sequence[Prompt], explanation: str, judge: LLM) -> Score:
        sides: list[tuple[str, str, Sequence[str], bool | None]] = [(CLEAN, CLEAN, effects.clean, False)]
        sides += [(f"kl_{one.target:g}", STEERED, one.texts, True) for one in effects.steered if not one.why]
        sides += [(f"feature_{one.feature}", BASELINE, one.texts, None) for one in effects.baselines]
        asked = await gather_in_order(
            self._asked(name, kind, texts, truth, prompts, explanation, judge) for name, kind, texts, truth in sides
        )
        by_name = {name: one for (name, *_), one in zip(sides, asked, strict=True)}
        clean = by_name[CLEAN]
        compared = {name: _compare(one, clean) for name, one in by_name.items() if name != CLEAN}
        items = tuple(item for one in asked for item in one.items)
        items += tuple(_unreadable(one) for one in effects.steered if one.why)
        usage = sum((verdict.usage for one in asked for verdict in one.verdicts), Usage())
        metrics, reasons = self._metrics(effects, compared, len(description_words(explanation)))
        return Score(metrics, items, usage, reasons, _parts(effects, compared))

    async def _asked(
        self,
        name: str,
        kind: str,
        texts: Sequence[str],
        truth: bool | None,
        prompts: Sequence[Prompt],
        explanation: str,
        judge: LLM,
    ) -> _Asked:
        size = self.config.group_size
        starts = range(0, len(texts), size)
        groups = [tuple(texts[start : start + size]) for start in starts]
        verdicts = await gather_in_order(self._ask(group, explanation, judge) for group in groups)
        items = [
            Item(
                key=f"{name}:{prompts[start].example.key}" if size == 1 else f"{name}:{start // size}",
                kind=kind,
                decile=prompts[start].example.decile if size == 1 else None,
                truth=truth,
                prediction=verdict.prediction,
                value=verdict.value,
                outcome=verdict.outcome,
                text=" | ".join(group),
                reply=verdict.reply,
                error=verdict.error,
            )
            for start, group, verdict in zip(starts, groups, verdicts, strict=True)
        ]
        return _Asked(tuple(verdicts), tuple(items))

    async def _ask(self, texts: tuple[str, ...], explanation: str, judge: LLM) -> Verdict:
        if self.config.mode == LIKELIHOOD:
            return await log_likelihood(judge, texts[0], explanation)
        task = Task(TaskKind.CONTAINS, explanation, texts=("\n".join(texts),))
        return await yes_no(judge, set_messages(texts, explanation), task, self.config)

    def _metrics(
        self, effects: Effects, compared: dict[str, _Compared], words: int
    ) -> tuple[dict[str, float | None], dict[str, str]]:
        own = compared[f"kl_{effects.steered[0].target:g}"]
        others = _Compared(
            tuple(one for base in effects.baselines for one in compared[f"feature_{base.feature}"].differences)
        )
        metrics: dict[str, float | None] = {
            "surprisal_reduction": own.mean,
            # Nothing gains exactly nothing, whatever it is divided by.
            "reduction_per_word": None if own.mean is None else own.mean / max(1, words),
            "win_rate": own.win_rate,
            "baseline_margin": None if own.mean is None or others.mean is None else own.mean - others.mean,
        }
        reasons = {
            name: NO_BASELINE if name == "baseline_margin" and own.mean is not None else NO_PAIR
            for name, value in metrics.items()
            if value is None
        }
        if self.config.mode == CLASSIFIER:
            for name in ("surprisal_reduction", "reduction_per_word", "baseline_margin"):
                metrics[name] = None
                reasons[name] = NO_SURPRISAL
        return metrics, reasons


def check(config: InterventionConfig, judge: LLM) -> None:
    """Check that the judge can answer as configured.

    Raises:
        LLMError: If it has no prompt log-probabilities where they are needed.
    """
    if config.mode == LIKELIHOOD and not judge.capabilities.prompt_logprobs:
        raise LLMError(
            "mode 'likelihood' reads log-probabilities of prompts, and this judge reports none",
            where="scorers.intervention.mode",
            hint="'scorers=[intervention_classifier]' (or mode=classifier), or a judge that reports them (vllm)",
        )


def subject_of(resources: Resources, scorer: str) -> SubjectAccess:
    """Return the subject, which must be one that can be steered.

    Raises:
        ConfigError: If there is none, or its features can only be read.
    """
    if resources.subject is None:
        raise ConfigError(f"scorer '{scorer}' needs the subject", where="subject")
    if not resources.subject.steers:
        raise ConfigError(
            "the scorer changes features, and those of this subject can only be read", where=f"scorers.{scorer}"
        )
    return resources.subject


def _compare(steered: _Asked, clean: _Asked) -> _Compared:
    pairs = zip(steered.verdicts, clean.verdicts, strict=True)
    grades = [(one.grade, other.grade) for one, other in pairs if Outcome.OK is one.outcome is other.outcome]
    return _Compared(tuple(one - other for one, other in grades if one is not None and other is not None))


def _unreadable(written: Written) -> Item:
    """Return the item of a divergence at which nothing was asked, with the reason."""
    return Item(
        key=f"kl_{written.target:g}",
        kind="not_asked",
        decile=None,
        truth=True,
        prediction=None,
        value=None,
        outcome=Outcome.SKIPPED,
        text=" | ".join(written.texts) or None,
        error=written.why,
    )


def _undefined(why: str, parts: dict[str, dict[str, float | None]] | None = None) -> Score:
    return Score(dict.fromkeys(METRICS), (), reasons=dict.fromkeys(METRICS, why), breakdown=parts or {})


def _parts(effects: Effects, compared: dict[str, _Compared] | None = None) -> dict[str, dict[str, float | None]]:
    """Return what is known at every divergence, and of every baseline at the one that is scored."""
    found = compared or {}
    parts = {f"kl_{one.target:g}": _part(one, found.get(f"kl_{one.target:g}")) for one in effects.steered}
    for place, one in enumerate(effects.baselines):
        parts[f"baseline_{place}"] = {"feature": float(one.feature), **_part(one, found.get(f"feature_{one.feature}"))}
    return parts


def _part(written: Written, compared: _Compared | None) -> dict[str, float | None]:
    known = compared or _Compared()
    return {
        "n": float(len(known.differences)),
        "difference": known.mean,
        "sem": known.sem,
        "win_rate": known.win_rate,
        "kl": written.kl if math.isfinite(written.kl) else None,
        "strength": written.strength,
        "logprob_drop": None if written.fluent is None else written.fluent.drop,
        "repetition": None if written.fluent is None else written.fluent.repetition,
        "readable": float(not written.why),
    }
