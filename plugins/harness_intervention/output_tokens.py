"""The output-token scorer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.api import (
    CLASSIFICATION_METRICS,
    Item,
    LLMError,
    Score,
    ScorerEstimate,
    Task,
    TaskKind,
    Usage,
    classification_metrics,
    gather_in_order,
    judge_of,
)
from harness_intervention.asking import yes_no
from harness_intervention.candidates import BOTH, LOGIT_WEIGHTS, MEASURED, find_candidates
from harness_intervention.prompt import token_messages
from harness_intervention.prompts import draw_prompts
from harness_intervention.scorer import subject_of
from harness_intervention.strength import Tuned, raised, tune

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import LLM, ExampleShape, Explanation, Resources, ScoreRecord
    from harness_intervention.asking import Verdict
    from harness_intervention.candidates import Candidate, Candidates
    from harness_intervention.config import OutputTokensConfig

__all__ = ["OutputTokensScorer", "check"]

NOT_GRADED = "the answers carry no graded value; rank by balanced_accuracy (graded: false)"
_TOKEN_TOKENS = 5  # "Token:", quotes and the token, in the judge's tokens
_OVERLAP = 0.5  # share of the measured tokens that the logit weights name too, by and large


class OutputTokensScorer:
    """Asks of tokens that the feature promotes, and of others, whether the explanation names them."""

    def __init__(self, config: OutputTokensConfig) -> None:
        self.config = config

    @property
    def primary_metric(self) -> str:
        """Return ``auroc``, or ``balanced_accuracy`` where answers are not graded."""
        return self.config.primary_metric

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        """Return the score of ``explanation``.

        Raises:
            ConfigError: If there is no judge, or no subject that can be steered.
            LLMError: If the judge cannot grade its answers where they are to be graded.
        """
        config = self.config
        judge = judge_of(resources, "output_tokens")
        check(config, judge)
        subject = subject_of(resources, "output_tokens")
        prompts = tuple(prompt.ids for prompt in draw_prompts(record.examples, config))
        if len(prompts) < config.min_prompts:
            return _undefined(f"{len(prompts)} prompts, of at least {config.min_prompts}")
        unit = record.statistics.max_activation or 1.0
        tuned = await tune(subject, prompts, record.feature, config.kl_target, tolerance=config.kl_tolerance, unit=unit)
        clean = await subject.next_token_logprobs(prompts, None)
        steered = None
        if tuned.strength is not None:
            steered = await subject.next_token_logprobs(prompts, raised(record.feature, tuned.strength))
        found = await find_candidates(subject, record.feature, clean, steered, most=config.tokens, seed=resources.seed)
        if len(found.promoted) < config.min_tokens:
            return _undefined(
                f"{len(found.promoted)} tokens that are promoted and can be asked about, of at least"
                f" {config.min_tokens} ({found.told} told to explainers, {found.unreadable} that are no text,"
                f" {found.unmatched} without another of their shape)"
            )
        return await self._judged(found, tuned, explanation.text, judge)

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        """Return what one unit is expected to take if half of the measured tokens are among the others."""
        prompts = min(self.config.prompts, shape.n_activating)
        prompts += min(self.config.non_activating, shape.n_non_activating)
        if prompts < self.config.min_prompts:
            return ScorerEstimate()
        calls = 2 * math.ceil(self.config.tokens * (2 - _OVERLAP))
        tokens = shape.counter.chat(token_messages("", "")) + _TOKEN_TOKENS + shape.explanation_tokens
        return ScorerEstimate(calls, calls * tokens, calls)

    async def _judged(self, found: Candidates, tuned: Tuned, explanation: str, judge: LLM) -> Score:
        asked = (*found.promoted, *found.others)
        verdicts = await gather_in_order(self._ask(one, explanation, judge) for one in asked)
        promoted = len(found.promoted)
        items = tuple(
            _item(one, verdict, truth=place < promoted)
            for place, (one, verdict) in enumerate(zip(asked, verdicts, strict=True))
        )
        metrics = classification_metrics(items)
        reasons = dict(metrics.reasons)
        if not self.config.graded and metrics.values["balanced_accuracy"] is not None and "auroc" in reasons:
            reasons["auroc"] = NOT_GRADED
        negatives = items[promoted:]
        parts = {
            source: _part([item for item in items[:promoted] if item.kind in {source, BOTH}], negatives)
            for source in (LOGIT_WEIGHTS, MEASURED)
        }
        parts["steering"] = {
            "kl": tuned.kl if math.isfinite(tuned.kl) else None,
            "strength": tuned.strength,
            "told": float(found.told),
            "unmatched": float(found.unmatched),
            "unreadable": float(found.unreadable),
        }
        usage = sum((verdict.usage for verdict in verdicts), Usage())
        return Score(metrics.values, items, usage, reasons, parts)

    async def _ask(self, one: Candidate, explanation: str, judge: LLM) -> Verdict:
        task = Task(TaskKind.NAMES_TOKEN, explanation, texts=(one.text,))
        messages = token_messages(one.text, explanation)
        return await yes_no(judge, messages, task, self.config, graded=self.config.graded)


def check(config: OutputTokensConfig, judge: LLM) -> None:
    """Check that the judge can answer as configured.

    Raises:
        LLMError: If it has no token log-probabilities where answers are to be graded.
    """
    if config.graded and not judge.capabilities.logprobs:
        raise LLMError(
            "answers are graded by token log-probabilities, and this judge reports none",
            where="scorers.output_tokens.graded",
            hint="scorers.output_tokens.graded=false, or judge.logprobs=true if it can",
        )


def _item(one: Candidate, verdict: Verdict, *, truth: bool) -> Item:
    return Item(
        key=f"token:{one.token}",
        kind=one.kind,
        decile=None,
        truth=truth,
        prediction=verdict.prediction,
        value=verdict.value,
        outcome=verdict.outcome,
        text=one.text,
        reply=verdict.reply,
        error=verdict.error,
    )


def _part(promoted: Sequence[Item], negatives: Sequence[Item]) -> dict[str, float | None]:
    values = classification_metrics([*promoted, *negatives]).values
    names = ("auroc", "balanced_accuracy", "recall")
    return {"n": float(len(promoted)), **{name: values[name] if promoted else None for name in names}}


def _undefined(why: str) -> Score:
    names = [metric.name for metric in CLASSIFICATION_METRICS]
    return Score(dict.fromkeys(names), (), reasons=dict.fromkeys(names, why))
