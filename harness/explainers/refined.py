"""The ``refined`` explainer: writes an explanation, is shown where it fails, writes again, and keeps the best.

The explain half is divided once more by document: one part writes, the other validates. Candidates are checked on the
validating part by the explainer's own language model, with the question of detection (Paulo et al. 2024, section 3.2):
does this text activate the feature? Windows it got wrong are shown to it for the next candidate. The candidate with the
largest balanced accuracy is kept, of equals the earliest. An explainer sees no more than the explain half, so no window
that a scorer uses has any part in this; and as the validating windows chose the candidate, their score says nothing of
how good it is. Every call enters the usage, those of candidates that were dropped as well.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.examples.record import ExampleSet
from harness.explainers.asking import draft_of, llm_of, nothing_active, nothing_silent, request
from harness.explainers.default import DefaultExplainer
from harness.explainers.highlight import DELIMITERS, choose_delimiters, marked_runs, render
from harness.explainers.parse import MARKER, parse_reply
from harness.explainers.prompt import choose_windows
from harness.explainers.protocol import Draft, ExplainerEstimate
from harness.llm.counting import APPROXIMATE
from harness.llm.protocol import CompletionRequest, Message
from harness.llm.task import Task, TaskKind
from harness.outcome import Outcome, Usage
from harness.seeding import generator
from harness.text import for_prompt

if TYPE_CHECKING:
    from harness.examples.record import Example, ExplainRecord
    from harness.explainers.config import RefinedConfig
    from harness.explainers.parse import ParsedReply
    from harness.explainers.protocol import ExplainerResources
    from harness.llm.counting import TokenCounter
    from harness.llm.protocol import LLM

__all__ = ["Check", "Refined", "divide"]

_YES_NO = ("Yes", "No")
_ANSWER_TOKENS = 4
_REWRITE_TOKENS = 80
_CHECK = (
    "You decide whether a text contains what a description names. You are given the description and one text. Answer "
    "with one word, Yes or No."
)
_REWRITE = (
    "You study one feature of a language model. A description of what it responds to was tried on new texts, and "
    "failed on those below. In texts that it missed, the words the feature responds to stand between "
    f"{DELIMITERS[0].opening} and {DELIMITERS[0].closing}. Write a better description, one that fits what was missed "
    f"and does not fit the false alarms. Answer with one line: {MARKER} and a specific phrase of at most 20 words."
)
_TOKENS_BESIDE_WINDOW = 10
_EXPLANATION_TOKENS = 10


@dataclass(frozen=True)
class Check:
    """What became of one candidate on the validating windows.

    Attributes:
        missed: Activating windows that were answered no.
        false_alarms: Silent windows that were answered yes.
        answered: How many activating and how many silent windows were answered at all.
        usage: What it cost.
    """

    missed: tuple[Example, ...]
    false_alarms: tuple[Example, ...]
    answered: tuple[int, int]
    usage: Usage

    @property
    def balanced_accuracy(self) -> float | None:
        """Return the mean of recall and specificity over what was answered; None if one side has no answer."""
        active, silent = self.answered
        if not active or not silent:
            return None
        return (2 - len(self.missed) / active - len(self.false_alarms) / silent) / 2


class Refined:
    """Asks a language model: one call per candidate, and one per candidate and validating window."""

    def __init__(self, config: RefinedConfig) -> None:
        self._config = config
        self._base = DefaultExplainer(config)

    async def explain(self, record: ExplainRecord, resources: ExplainerResources) -> Draft:
        """Return the best candidate, or the outcome that says why there is none.

        Raises:
            LLMError: If there is no language model, or its endpoint cannot be used at all.
        """
        llm = llm_of(resources, "refined")
        impossible = nothing_active(record) or nothing_silent(record)
        if impossible is not None:
            return impossible
        writing, validating = divide(record.examples, self._config, resources.seed)
        if not writing.activating or not validating.activating or not validating.non_activating:
            error = f"feature {record.feature} has too few documents in the explain half to write and to validate"
            return Draft(None, Outcome.ERROR, error=error)
        first = await self._base.explain(replace(record, examples=writing), resources)
        return first if first.text is None else await self._improve(first, validating, llm, resources.seed)

    async def _improve(self, draft: Draft, validating: ExampleSet, llm: LLM, seed: int) -> Draft:
        usage = draft.usage
        best: tuple[float, Draft] | None = None
        for turn in range(self._config.rounds + 1):
            if draft.text is None:
                break
            check = await self._check(draft.text, validating, llm)
            usage += check.usage
            value = check.balanced_accuracy
            if value is not None and (best is None or value > best[0]):
                best = (value, draft)
            if turn == self._config.rounds or not (check.missed or check.false_alarms):
                break
            draft = await self._rewrite(draft.text, check, llm, seed)
            usage += draft.usage
        if best is None:
            error = "no candidate could be checked: the language model answered on too few validating windows"
            return Draft(None, Outcome.ERROR, usage, error=error)
        return replace(best[1], usage=usage)

    async def _check(self, text: str, validating: ExampleSet, llm: LLM) -> Check:
        windows = (*validating.activating, *validating.non_activating)
        completions = await asyncio.gather(*(llm.complete(_check_request(text, example)) for example in windows))
        usage = Usage()
        wrong: dict[bool, list[Example]] = {True: [], False: []}
        answered = {True: 0, False: 0}
        for example, completion in zip(windows, completions, strict=True):
            usage += completion.usage
            answer = _yes_or_no(completion.text) if completion.outcome is Outcome.OK else None
            if answer is None:
                continue
            answered[example.activating] += 1
            if answer is not example.activating:
                wrong[example.activating].append(example)
        return Check(tuple(wrong[True]), tuple(wrong[False]), (answered[True], answered[False]), usage)

    async def _rewrite(self, text: str, check: Check, llm: LLM, seed: int) -> Draft:
        messages = _rewrite_messages(text, check, self._config)
        completion = await llm.complete(request(messages, self._config, self._rewrite_tokens, seed))
        return draft_of(completion, messages, _read)

    @property
    def _rewrite_tokens(self) -> int:
        return self._config.max_tokens or _REWRITE_TOKENS

    def estimate(self, n_examples: int, window_tokens: int, counter: TokenCounter = APPROXIMATE) -> ExplainerEstimate:
        """Return the calls if every round is needed: the texts written, and the checks of all of them."""
        config = self._config
        base = self._base.estimate(n_examples, window_tokens, counter)
        window = window_tokens + _TOKENS_BESIDE_WINDOW
        asked = counter.chat((Message("system", _CHECK), Message("user", "")))
        checks = (config.rounds + 1) * min(2 * config.max_validation, n_examples)
        checking = asked + window + _EXPLANATION_TOKENS
        rewriting = counter.chat((Message("system", _REWRITE), Message("user", ""))) + config.max_failures * window
        return ExplainerEstimate(
            calls=base.calls + config.rounds + checks,
            input_tokens=base.input_tokens + config.rounds * rewriting + checks * checking,
            output_tokens=base.output_tokens + config.rounds * min(_REWRITE_TOKENS, 2 * _EXPLANATION_TOKENS) + checks,
            explanation_tokens=base.explanation_tokens,
        )


def divide(examples: ExampleSet, config: RefinedConfig, seed: int) -> tuple[ExampleSet, ExampleSet]:
    """Return what writes and what validates: no document is in both, and the same seed divides the same way.

    Documents of activating and of silent windows are drawn apart, so that both parts get some of either; a document
    that holds both goes with its activating windows. Of the validating part at most ``max_validation`` of either kind
    are kept, the activating ones evenly spaced by strength.
    """
    active = sorted({example.document for example in examples.activating})
    silent = sorted({example.document for example in examples.non_activating} - set(active))
    held: set[int] = set()
    for kind, documents in (("activating", active), ("silent", silent)):
        order = generator(seed, "refined validation", kind).permutation(len(documents)).tolist()
        # At least one validates, and at least one is left to write wherever there are two.
        n = min(max(1, round(config.validation_share * len(documents))), max(0, len(documents) - 1))
        held |= {documents[place] for place in order[:n]}

    def part(validates: bool) -> ExampleSet:
        return ExampleSet(
            tuple(one for one in examples.activating if (one.document in held) is validates),
            tuple(one for one in examples.non_activating if (one.document in held) is validates),
        )

    kept = part(validates=True)
    most = config.max_validation
    return part(validates=False), ExampleSet(choose_windows(kept.activating, most), kept.non_activating[:most])


def _check_request(text: str, example: Example) -> CompletionRequest:
    question = f"Description: {for_prompt(text)}\nText: {for_prompt(example.text)}\nYes or No?"
    return CompletionRequest(
        messages=(Message("system", _CHECK), Message("user", question)),
        max_tokens=_ANSWER_TOKENS,
        choices=_YES_NO,
        task=Task(TaskKind.CONTAINS, text, (example.text,)),
    )


def _yes_or_no(reply: str | None) -> bool | None:
    word = (reply or "").strip().strip("\"'*.!,").lower()
    return {"yes": True, "no": False}.get(word)


def _rewrite_messages(text: str, check: Check, config: RefinedConfig) -> tuple[Message, ...]:
    missed = [marked_runs(example, config.threshold) for example in check.missed[: config.max_failures]]
    alarms = [marked_runs(example, config.threshold) for example in check.false_alarms[: config.max_failures]]
    marks = choose_delimiters([*missed, *alarms])
    lines = [f"Description that failed: {for_prompt(text)}"]
    if marks != DELIMITERS[0]:
        lines.append(f"(In these texts the marks are {marks.opening} and {marks.closing}.)")
    for heading, windows in (("Missed", missed), ("False alarm", alarms)):
        lines += [f"{heading} {number}: {render(runs, marks)}" for number, runs in enumerate(windows, start=1)]
    return Message("system", _REWRITE), Message("user", "\n".join(lines))


def _read(reply: str, truncated: bool) -> ParsedReply:
    return parse_reply(reply, truncated=truncated)
