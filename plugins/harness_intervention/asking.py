"""Two ways to ask a judge what a text has to do with an explanation: by the explanation's likelihood, by Yes or No."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.api import (
    CompletionRequest,
    Message,
    Outcome,
    PromptLogprobsRequest,
    Task,
    TaskKind,
    Usage,
    choice_probability,
    parse_choice,
)
from harness_intervention.prompt import CUE, described, description_words, likelihood_prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import LLM, TokenAlternatives
    from harness_intervention.config import AskingConfig

__all__ = ["Verdict", "description_logprob", "log_likelihood", "yes_no"]

YES, NO = "Yes", "No"
_REMIND = f"Answer with one word: {YES} or {NO}."
_KEPT_REPLY = 200
_EVEN = 0.5


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge said of one text.

    Attributes:
        outcome: What became of the question.
        usage: What it cost.
        value: The grade (a log-probability, or P(yes)); None if there is none.
        prediction: Yes or No, where that was asked.
        reply: The beginning of the reply, if there was one.
        error: What went wrong, if something did.
    """

    outcome: Outcome
    usage: Usage
    value: float | None = None
    prediction: bool | None = None
    reply: str | None = None
    error: str | None = None

    @property
    def grade(self) -> float | None:
        """Return the value, or 1 for an ungraded Yes and 0 for an ungraded No; None without an answer."""
        if self.value is not None or self.prediction is None:
            return self.value
        return float(self.prediction)


async def log_likelihood(judge: LLM, text: str, explanation: str) -> Verdict:
    """Return log p(explanation | text) in nats: the sum over the judge's tokens of it, 0 if it has none."""
    words = description_words(explanation)
    task = Task(TaskKind.DESCRIBES, explanation, texts=(text,), tokens=(words,))
    answer = await judge.prompt_logprobs(PromptLogprobsRequest(likelihood_prompt(text, explanation), task=task))
    if answer.outcome is not Outcome.OK or answer.tokens is None:
        outcome = answer.outcome if answer.outcome is not Outcome.OK else Outcome.ERROR
        return Verdict(outcome, answer.usage, error=answer.error or outcome.value)
    value = description_logprob(answer.tokens, words)
    if value is None:
        why = "no_alignment: the log-probabilities are not those of the prompt's tokens"
        return Verdict(Outcome.UNPARSED, answer.usage, error=why)
    return Verdict(Outcome.OK, answer.usage, value=value)


def description_logprob(tokens: Sequence[TokenAlternatives], words: Sequence[str]) -> float | None:
    """Return the sum of the log-probabilities of the description's tokens, the last of a prompt; None if unknown.

    They are those behind ``CUE``, which is looked for from the end: a token that crosses its end counts, as the
    description begins in it. A judge that answers by a rule gives just the ``words`` and no prompt.
    """
    last = list(tokens[len(tokens) - len(words) :])
    if [token.token for token in last] != list(words):
        found = _behind_cue(tokens)
        if found is None:
            return None
        last = found
    values = [token.logprob for token in last]
    known = [value for value in values if value is not None and math.isfinite(value)]
    return math.fsum(known) if len(known) == len(values) else None


async def yes_no(
    judge: LLM, messages: tuple[Message, ...], task: Task, config: AskingConfig, *, graded: bool = True
) -> Verdict:
    """Return the judge's Yes or No; an answer that is neither is asked for again, at most ``config.re_asks`` times."""
    request = CompletionRequest(
        messages=messages,
        max_tokens=1,
        choices=(YES, NO),
        shared_prefix=len(described(task.explanation)),
        top_logprobs=config.top_logprobs if graded and judge.capabilities.logprobs else 0,
        task=task,
    )
    usage = Usage()
    left = config.re_asks
    while True:
        completion = await judge.complete(request)
        usage += completion.usage
        reply = None if completion.text is None else completion.text[:_KEPT_REPLY]
        if completion.outcome is not Outcome.OK:
            error = completion.error or completion.outcome.value
            return Verdict(completion.outcome, usage, reply=reply, error=error)
        choice = parse_choice(completion.text or "", (YES, NO))
        if choice is not None:
            value = choice_probability(completion, YES, NO) if request.top_logprobs else None
            prediction = choice == YES if value is None else value >= _EVEN
            return Verdict(Outcome.OK, usage, value=value, prediction=prediction, reply=reply)
        if left <= 0:
            error = f"not_a_choice: the reply is neither {YES} nor {NO}"
            return Verdict(Outcome.UNPARSED, usage, reply=reply, error=error)
        left -= 1
        # The reminder makes a new request, and so a new cache entry: asking the same again would get the same answer.
        again = (*request.messages, Message("assistant", reply or ""), Message("user", _REMIND))
        request = replace(request, messages=again, shared_prefix=0)


def _behind_cue(tokens: Sequence[TokenAlternatives]) -> list[TokenAlternatives] | None:
    """Return the tokens that have a part behind the last ``CUE``, or None if there is no cue."""
    tail = ""
    for place in range(len(tokens) - 1, -1, -1):
        tail = tokens[place].token + tail
        at = tail.find(CUE)
        if at < 0:
            continue
        end, begin, found = at + len(CUE), 0, []
        for token in tokens[place:]:
            begin += len(token.token)
            if begin > end:
                found.append(token)
        return found
    return None
