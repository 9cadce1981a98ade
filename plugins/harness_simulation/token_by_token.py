"""One token at a time: the judge sees the text up to a token, and its answer is read from its log-probabilities.

Bills et al. 2023, the simulator that asks about each token. The scale is 0 to 9: every tokenizer has each of these as
one token, so the first token of the answer is the whole of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api import (
    CompletionRequest,
    Message,
    Outcome,
    Task,
    TaskKind,
    Usage,
    as_number,
    expected_value,
    for_prompt,
    gather_in_order,
)
from harness_simulation.shots import SHOTS
from harness_simulation.simulated import SCALE, failed, simulated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import LLM, Completion, Example
    from harness_simulation.simulated import Simulated

__all__ = ["TOP", "messages_for", "simulate_token_by_token"]

TOP = 9
_MISSING = f"no_number: no number from 0 to {TOP} is among the alternatives at the answer"
_ASKED_OF_SHOTS = (5, 6, 7, 8)  # places of tokens, from the examples one after the other


async def simulate_token_by_token(example: Example, explanation: str, judge: LLM, top_logprobs: int) -> Simulated:
    """Return the predictions for the tokens of a window; one call that fails makes the window fail as it did."""
    described = for_prompt(explanation).strip()
    completions = await gather_in_order(
        judge.complete(_request(example, place, described, explanation, top_logprobs))
        for place in range(len(example.tokens))
    )
    usage = sum((one.usage for one in completions), Usage())
    for one in completions:
        if one.outcome is not Outcome.OK:
            return failed(one.outcome, usage, one.error)
    numbers = [_number(one) for one in completions]
    values = [None if number is None else number * SCALE / TOP for number in numbers]
    return simulated(values, usage, missing=_MISSING)


def messages_for(tokens: Sequence[str], place: int, described: str) -> tuple[Message, ...]:
    """Return the question about the token at ``place``; ``described`` must already be harmless, on one line."""
    return (Message("system", _system()), Message("user", _shared(described) + _question(tokens, place)))


def _system() -> str:
    examples = []
    for shot, place in zip((*SHOTS, SHOTS[0]), _ASKED_OF_SHOTS, strict=True):
        number = round(shot.strengths[place] * TOP / SCALE)
        examples.append(f"{_shared(shot.described)}{_question(shot.tokens, place)} {number}")
    return (
        "A feature of a language model responds to certain words or patterns in a text. You are given a description of"
        " the feature and the beginning of a text. Say how strongly the feature activates on its last token, which is"
        f" named once more: a whole number from 0 (not at all) to {TOP} (as strongly as it can). On most tokens it is"
        " 0. Answer with the number only.\n\n" + "\n\n".join(examples)
    )


def _shared(described: str) -> str:
    return f"Description: {described}\n"


def _question(tokens: Sequence[str], place: int) -> str:
    # Of a long text the beginning is cut off: the end is what is asked about.
    text = for_prompt("".join(tokens[: place + 1]), keep_end=True)
    return f"Text: {text}\nLast token: {for_prompt(tokens[place])}\nActivation:"


def _request(example: Example, place: int, described: str, explanation: str, top_logprobs: int) -> CompletionRequest:
    task = Task(
        TaskKind.SIMULATE,
        explanation,
        texts=(example.text,),
        tokens=(example.tokens,),
        reply=lambda answers: str(round(answers[0][place] * TOP / SCALE)),
    )
    return CompletionRequest(
        messages=messages_for(example.tokens, place, described),
        max_tokens=1,
        top_logprobs=top_logprobs,
        shared_prefix=len(_shared(described)),
        task=task,
    )


def _number(completion: Completion) -> float | None:
    """Return the expected number; of a judge by rule, which has no log-probabilities, the one it wrote."""
    if completion.logprobs:
        first = completion.logprobs[0]
        own = {} if first.logprob is None else {first.token: first.logprob}
        return expected_value({**own, **first.alternatives}, TOP)
    number = as_number(completion.text)
    return number if number is not None and 0 <= number <= TOP else None
