"""The intruder scorer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.api import (
    CompletionRequest,
    Item,
    Outcome,
    Reading,
    Score,
    ScorerEstimate,
    Task,
    TaskKind,
    Usage,
    WindowScorer,
    ask,
    gather_in_order,
    judge_of,
    parse_choice,
)
from harness_intruder.prompt import REMINDER, messages, shown
from harness_intruder.trials import draw_trials

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import LLM, Answer, ExampleShape, Resources, ScoreRecord
    from harness_intruder.config import IntruderConfig
    from harness_intruder.trials import Trial

__all__ = ["IntruderScorer"]

_NUMBERING_TOKENS = 3  # "7. " and the end of the line
_ANSWER_TOKENS = 4  # a blank, the number, a full stop: some tokenizers have a token for each
_NUMBER_FIRST = re.compile(r"\W*(?:(?:number|excerpt)\W+)?(?P<number>\d+)\s*(?:[.:)\]*,;\n]\D*)?", re.IGNORECASE)
NO_ANSWERS = "no question was answered"
NO_SILENT = "there is no silent window to be the intruder"


class IntruderScorer(WindowScorer):
    """Shows windows of the feature with one where it is silent, and asks which does not belong.

    Word intrusion (Chang et al. 2009) with windows for words. It reads no explanation: it says how much the windows
    have in common that a judge can see, and so what any explanation of them could reach. All explanations of a feature
    get the same score.
    """

    def __init__(self, config: IntruderConfig) -> None:
        self.config = config

    @property
    def primary_metric(self) -> str:
        """Return ``accuracy_above_chance``."""
        return "accuracy_above_chance"

    async def score_windows(self, record: ScoreRecord, resources: Resources) -> Score:
        """Return the score of the record's windows.

        Raises:
            ConfigError: If there is no judge.
            LLMError: If the judge cannot be asked at all.
        """
        judge = judge_of(resources, "intruder")
        examples = record.examples
        trials = draw_trials(
            examples.activating,
            examples.non_activating,
            shown_with=self.config.activating,
            most=self.config.questions,
            seed=resources.seed,
        )
        answers = await gather_in_order(self._ask(trial, judge) for trial in trials)
        items = tuple(_item(trial, answer) for trial, answer in zip(trials, answers, strict=True))
        accuracy = _accuracy(items)
        chance = self.config.chance
        metrics = {
            "accuracy": accuracy,
            "accuracy_above_chance": None if accuracy is None else (accuracy - chance) / (1 - chance),
        }
        return Score(
            metrics=metrics,
            items=items,
            usage=sum((answer.usage for answer in answers), Usage()),
            reasons={} if accuracy is not None else dict.fromkeys(metrics, self._why(record, trials)),
            breakdown={
                "chance": {"accuracy": chance},
                "left_out": {"n": float(min(self.config.questions, len(examples.non_activating)) - len(trials))},
                **_breakdown(trials, items),
            },
        )

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        """Return what one unit is expected to take."""
        enough = shape.n_activating >= self.config.activating
        calls = min(self.config.questions, shape.n_non_activating) if enough else 0
        frame = shape.counter.chat(messages(()))
        windows = self.config.shown * (shape.window_tokens + _NUMBERING_TOKENS)
        return ScorerEstimate(calls=calls, input_tokens=calls * (frame + windows), output_tokens=calls)

    async def _ask(self, trial: Trial, judge: LLM) -> Answer[int]:
        texts = tuple(example.text for example in trial.examples)
        choices = tuple(str(number) for number in range(1, self.config.shown + 1))
        request = CompletionRequest(
            messages=messages(texts),
            max_tokens=_ANSWER_TOKENS,
            choices=choices,
            task=Task(TaskKind.ODD_ONE_OUT, "", texts=texts),
        )
        return await ask(judge, request, lambda reply: _read(reply, choices), REMINDER, self.config.re_asks)

    def _why(self, record: ScoreRecord, trials: Sequence[Trial]) -> str:
        if trials:
            return NO_ANSWERS
        n = len(record.examples.activating)
        if n < self.config.activating:
            return f"a question takes {self.config.activating} activating windows, and there are {n}"
        if not record.examples.non_activating:
            return NO_SILENT
        documents = len({example.document for example in record.examples.activating})
        return (
            f"a question takes {self.config.activating} activating windows and a silent one, all of different"
            f" documents, and the {n} activating windows are of {documents}"
        )


def _read(reply: str, choices: Sequence[str]) -> Reading[int]:
    choice = parse_choice(reply, choices)
    if choice is None:
        # A judge whose answers cannot be enforced may begin a sentence behind the number, and is cut off in it.
        found = _NUMBER_FIRST.fullmatch(reply)
        choice = found["number"] if found and found["number"] in choices else None
    if choice is None:
        return Reading(None, f"not_a_choice: the reply is no number from 1 to {len(choices)}")
    return Reading(int(choice))


def _item(trial: Trial, answer: Answer[int]) -> Item:
    """Return the evidence of one trial: true is that its intruder is named, and the prediction whether it was."""
    return Item(
        key=trial.intruder.key,
        kind=str(trial.intruder.kind),
        decile=None,
        truth=True,
        prediction=None if answer.value is None else answer.value == trial.place + 1,
        value=None,
        outcome=answer.outcome,
        text=shown([example.text for example in trial.examples]),
        reply=answer.reply,
        error=answer.error,
    )


def _accuracy(items: Sequence[Item]) -> float | None:
    found = [item.prediction for item in items if item.outcome is Outcome.OK and item.prediction is not None]
    return sum(found) / len(found) if found else None


def _breakdown(trials: Sequence[Trial], items: Sequence[Item]) -> dict[str, dict[str, float | None]]:
    """Return the accuracy by kind of intruder, and by where it stood: a judge may favour a place."""
    groups: dict[str, list[Item]] = {}
    for trial, item in zip(trials, items, strict=True):
        for name in (f"kind_{item.kind}", f"place_{trial.place + 1}"):
            groups.setdefault(name, []).append(item)
    return {
        name: {
            "n": float(sum(item.outcome is Outcome.OK for item in groups[name])),
            "accuracy": _accuracy(groups[name]),
        }
        for name in sorted(groups)
    }
