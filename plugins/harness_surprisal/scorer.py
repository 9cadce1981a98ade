"""The surprisal scorer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import (
    Item,
    Outcome,
    PromptLogprobsRequest,
    Score,
    ScorerEstimate,
    Task,
    TaskKind,
    Usage,
    breakdown,
    check_prompt_logprobs,
    for_prompt,
    gather_in_order,
    graded_auroc,
    judge_of,
    place_tokens,
    same_cut,
    tokens_within,
    unanswered_side,
)
from harness_surprisal.prompt import before_window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import LLM, Example, ExampleShape, Explanation, PlacedToken, PromptLogprobs, Resources, ScoreRecord
    from harness_surprisal.config import SurprisalConfig

__all__ = ["SurprisalScorer", "check"]

_WHERE = "scorers.surprisal"


@dataclass(frozen=True, slots=True)
class _Reading:
    """The tokens of one window under one description, or what became of the question."""

    tokens: tuple[PlacedToken, ...]
    outcome: Outcome
    usage: Usage
    error: str | None = None

    @property
    def logprob(self) -> float | None:
        """Return the log-probability of the window in nats, None if a token of it has none that is finite."""
        values = [one.token.logprob for one in self.tokens]
        known = [value for value in values if value is not None and math.isfinite(value)]
        return math.fsum(known) if known and len(known) == len(values) else None


@dataclass(frozen=True, slots=True)
class _Gain:
    """What the explanation adds to one window: the item, the tokens of the window, and the cost."""

    item: Item
    n_tokens: int
    usage: Usage


class SurprisalScorer:
    """Grades every window by log p(window | explanation) - log p(window | neutral description).

    p is the judge as a model of text, after a few examples; the score is the AUROC of activating windows. Paulo et al.
    2024 (arXiv 2410.13928, section 3.2). All tokens of the window count, the first included, and nothing else. An empty
    explanation says nothing: it is read as the neutral description, so every grade is 0 and the score 0.5.
    """

    def __init__(self, config: SurprisalConfig) -> None:
        self.config = config

    @property
    def primary_metric(self) -> str:
        """Return ``auroc``."""
        return "auroc"

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        """Return the score of ``explanation`` over all windows of the record.

        Raises:
            ConfigError: If there is no judge.
            LLMError: If the judge cannot be asked at all, or reports no log-probabilities of prompts.
        """
        judge = judge_of(resources, "surprisal")
        check(self.config, judge)
        examples = (*record.examples.activating, *record.examples.non_activating)
        gains = await gather_in_order(self._gain(example, explanation.text, judge) for example in examples)
        items = tuple(gain.item for gain in gains)
        area, why_no_area = graded_auroc(items)
        sides = [_nats_per_token(gains, activating=activating) for activating in (True, False)]
        lost = unanswered_side(items)
        nats = None if lost or None in sides else (sides[0] or 0.0) - (sides[1] or 0.0)
        reasons = {} if why_no_area is None else {"auroc": why_no_area}
        if nats is None:
            reasons["nats_per_token"] = lost or why_no_area or "one side has no window that was read"
        return Score(
            metrics={"auroc": area, "nats_per_token": nats},
            items=items,
            usage=sum((gain.usage for gain in gains), Usage()),
            reasons=reasons,
            breakdown={
                **breakdown(items, graded="mean_gain"),
                "nats_per_token": dict(zip(("activating", "non_activating"), sides, strict=True)),
            },
        )

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        """Return what one unit is expected to take: every window is read twice."""
        n = shape.n_activating + shape.n_non_activating
        frame, neutral = shape.counter.text(before_window("")), shape.counter.text(self.config.neutral)
        both = 2 * (frame + shape.window_tokens) + shape.explanation_tokens + neutral
        return ScorerEstimate(calls=2 * n, input_tokens=n * both, output_tokens=0)

    async def _gain(self, example: Example, explanation: str, judge: LLM) -> _Gain:
        neutral = for_prompt(self.config.neutral)
        described = for_prompt(explanation).strip() or neutral
        window = for_prompt(example.text)
        told, untold = await gather_in_order(
            _read(example, window, text, about, judge)
            for text, about in ((described, explanation if explanation.strip() else ""), (neutral, ""))
        )
        usage = told.usage + untold.usage
        failed = next((one for one in (told, untold) if one.outcome is not Outcome.OK), None)
        if failed is not None:
            return _Gain(_item(example, window, failed.outcome, error=failed.error), 0, usage)
        logprobs = told.logprob, untold.logprob
        if logprobs[0] is None or logprobs[1] is None:
            return _Gain(_unread(example, window, "a token of the window has no log-probability"), 0, usage)
        if not same_cut(told.tokens, untold.tokens):
            what = "the window is cut into other tokens under one description than under the other"
            return _Gain(_unread(example, window, what), 0, usage)
        item = _item(example, window, Outcome.OK, value=logprobs[0] - logprobs[1])
        return _Gain(item, len(told.tokens), usage)


def check(config: SurprisalConfig, judge: LLM) -> None:  # noqa: ARG001  -- the signature of checks
    """Check that the judge reports log-probabilities of prompts.

    Raises:
        LLMError: If it does not.
    """
    check_prompt_logprobs(judge, _WHERE)


async def _read(example: Example, window: str, described: str, explanation: str, judge: LLM) -> _Reading:
    before = before_window(described)
    prompt = f"{before}{window}"
    start, end = len(before), len(prompt)
    task = Task(
        TaskKind.LIKELIHOOD, explanation, texts=(example.text,), tokens=(example.tokens,), spans=((start, end),)
    )
    reply: PromptLogprobs = await judge.prompt_logprobs(PromptLogprobsRequest(prompt, task=task))
    if reply.outcome is not Outcome.OK:
        return _Reading((), reply.outcome, reply.usage, reply.error or reply.outcome.value)
    placed = place_tokens(prompt, reply.tokens or ())
    if placed is None:
        what = "other_text: the tokens of the reply are not those of the prompt"
        return _Reading((), Outcome.UNPARSED, reply.usage, what)
    return _Reading(tokens_within(placed, start, end), Outcome.OK, reply.usage)


def _nats_per_token(gains: Sequence[_Gain], *, activating: bool) -> float | None:
    """Return the gain of all tokens of one side together, per token."""
    side = [gain for gain in gains if gain.item.truth is activating and gain.item.value is not None]
    n_tokens = sum(gain.n_tokens for gain in side)
    return math.fsum(gain.item.value or 0.0 for gain in side) / n_tokens if n_tokens else None


def _unread(example: Example, window: str, error: str) -> Item:
    return _item(example, window, Outcome.UNPARSED, error=error)


def _item(
    example: Example, window: str, outcome: Outcome, *, value: float | None = None, error: str | None = None
) -> Item:
    return Item(
        key=example.key,
        kind=str(example.kind),
        decile=example.decile,
        truth=example.activating,
        prediction=None,
        value=value,
        outcome=outcome,
        text=window,
        error=error,
    )
