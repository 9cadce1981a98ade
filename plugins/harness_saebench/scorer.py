"""The SAEBench scorer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.api import (
    CompletionRequest,
    ExampleKind,
    Item,
    Outcome,
    Score,
    ScorerEstimate,
    Task,
    TaskKind,
    ask,
    breakdown,
    classification_metrics,
    for_prompt,
    generator,
    judge_of,
)
from harness_saebench.config import N_RANDOM, N_SHOWN, N_TOP, N_WEIGHTED, SAEBENCH
from harness_saebench.prompt import REMINDER, messages, read_numbers, schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import Answer, Example, ExampleShape, Explanation, Resources, ScoreRecord
    from harness_saebench.config import SAEBenchConfig

__all__ = ["SAEBenchScorer", "draw_windows"]

_NUMBERING_TOKENS = 3  # "7. " and the end of the line


class SAEBenchScorer:
    """Shows 14 windows at once and asks which of them hold what the explanation names.

    Karvonen et al. 2025 (arXiv 2503.09532), automated interpretability: 2 of the strongest windows, 2 weighted by
    importance, 10 random ones, shuffled and unmarked. The protocol's number is the accuracy, of which the level without
    knowledge depends on how many windows a judge names: 10/14 for none, 4/14 for all. Ranked is by the balanced
    accuracy, which is 0.5 on average however many are named at random.
    """

    def __init__(self, config: SAEBenchConfig) -> None:
        self.config = config

    @property
    def primary_metric(self) -> str:
        """Return ``balanced_accuracy``, or ``accuracy`` under ``compat: saebench``."""
        return "accuracy" if self.config.compat == SAEBENCH else "balanced_accuracy"

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        """Return the score of ``explanation`` over 14 of the record's windows.

        Raises:
            ConfigError: If there is no judge.
            LLMError: If the judge cannot be asked at all.
        """
        judge = judge_of(resources, "saebench")
        shown = draw_windows(record, resources.seed)
        if len(shown) < N_SHOWN:
            return _unscored(_too_few(record))
        texts = tuple(example.text for example in shown)
        described = for_prompt(explanation.text)
        request = CompletionRequest(
            messages=messages(described, texts),
            # Room for every number and one short sentence beside them.
            max_tokens=4 * N_SHOWN + 40,
            response_schema=schema(N_SHOWN),
            task=Task(TaskKind.CONTAINS, explanation.text, texts=texts, reply=_reply),
        )
        answer = await ask(judge, request, lambda reply: read_numbers(reply, N_SHOWN), REMINDER, self.config.re_asks)
        items = tuple(_item(example, number, answer) for number, example in enumerate(shown, 1))
        metrics = _metrics(items)
        parts = breakdown(items, graded="mean_p_yes")
        if answer.value is not None:
            parts["named"] = _named(len(answer.value))
        return replace(metrics, items=items, usage=answer.usage, breakdown=parts)

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        """Return what one unit is expected to take."""
        calls = int(shape.n_activating >= N_TOP + N_WEIGHTED and shape.n_non_activating >= N_RANDOM)
        frame = shape.counter.chat(messages("", ()))
        windows = N_SHOWN * (shape.window_tokens + _NUMBERING_TOKENS)
        tokens = frame + shape.explanation_tokens + windows
        return ScorerEstimate(calls=calls, input_tokens=calls * tokens, output_tokens=calls * 4 * N_SHOWN // 2)


def draw_windows(record: ScoreRecord, seed: int) -> tuple[Example, ...]:
    """Return the 14 windows in the order shown, or fewer if the record holds too few of a kind.

    Weighted windows are drawn without replacement, with probability proportional to the squared maximum, from those
    behind the strongest. Only windows of kind ``random`` are taken as silent ones; each is silent, which the record
    vouches for.
    """
    activating = record.examples.activating
    random = [example for example in record.examples.non_activating if example.kind is ExampleKind.RANDOM]
    top, rest = activating[:N_TOP], activating[N_TOP:]
    order = generator(seed, "saebench random").permutation(len(random)).tolist()[:N_RANDOM]
    windows = [*top, *_weighted(rest, seed), *(random[place] for place in order)]
    return tuple(windows[place] for place in generator(seed, "saebench order").permutation(len(windows)).tolist())


def _weighted(rest: Sequence[Example], seed: int) -> list[Example]:
    # Exponential clocks with rates a^2, as for the record: the first to ring are a draw without replacement.
    rings = generator(seed, "saebench weighted").exponential(size=len(rest)).tolist()
    largest = max((example.max_activation for example in rest), default=1.0)
    timed = [
        (ring / max((example.max_activation / largest) ** 2, 1e-300), place)
        for place, (ring, example) in enumerate(zip(rings, rest, strict=True))
    ]
    return [rest[place] for _, place in sorted(timed)[:N_WEIGHTED]]


def _reply(flags: Sequence[object]) -> str:
    return str([number for number, flag in enumerate(flags, 1) if flag])


def _item(example: Example, number: int, answer: Answer[frozenset[int]]) -> Item:
    return Item(
        key=example.key,
        kind=str(example.kind),
        decile=example.decile,
        truth=example.activating,
        prediction=None if answer.value is None else number in answer.value,
        value=None,
        outcome=answer.outcome,
        text=for_prompt(example.text).strip(),
        reply=answer.reply,
        error=answer.error,
    )


def _named(count: int) -> dict[str, float | None]:
    """Return how many windows were named, and the accuracy that naming as many at random has on average."""
    activating = N_SHOWN - N_RANDOM
    right = count * activating + (N_SHOWN - count) * N_RANDOM
    return {"n": float(count), "accuracy_at_random": right / N_SHOWN**2}


def _metrics(items: Sequence[Item]) -> Score:
    """Return the metrics of ``items`` alone."""
    found = classification_metrics(items)
    told = [item for item in items if item.outcome is Outcome.OK]
    values = {name: value for name, value in found.values.items() if name != "auroc"}
    reasons = {name: why for name, why in found.reasons.items() if name != "auroc"}
    values["accuracy"] = sum(item.truth == item.prediction for item in told) / len(told) if told else None
    if not told:
        reasons["accuracy"] = reasons["balanced_accuracy"]
    return Score(metrics=values, items=(), reasons=reasons)


def _unscored(reason: str) -> Score:
    metrics = _metrics(()).metrics
    return Score(metrics=dict.fromkeys(metrics), items=(), reasons=dict.fromkeys(metrics, reason))


def _too_few(record: ScoreRecord) -> str:
    random = sum(example.kind is ExampleKind.RANDOM for example in record.examples.non_activating)
    return (
        f"the protocol shows {N_TOP + N_WEIGHTED} activating and {N_RANDOM} random windows,"
        f" and the record has {len(record.examples.activating)} and {random} (examples=saebench)"
    )
