"""A list of numbers, written by the judge: for judges that report no log-probabilities of prompts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.api import (
    CompletionRequest,
    Message,
    Outcome,
    Task,
    TaskKind,
    Usage,
    as_number,
    for_prompt,
    parse_json,
)
from harness_simulation.shots import SHOTS
from harness_simulation.simulated import SCALE, Simulated, failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import LLM, Example

__all__ = ["messages_for", "parse_numbers", "simulate_structured"]

_TOKEN_CHARACTERS = 80
_KEPT_REPLY = 400  # characters of a reply that are kept as evidence
_REMINDER = "Answer only with a JSON list of {n} whole numbers from 0 to 10, one for each token."


class Numbers(NamedTuple):
    """The numbers of a reply, or None and why there are none."""

    values: tuple[float, ...] | None
    failure: str | None = None


async def simulate_structured(example: Example, explanation: str, judge: LLM, re_asks: int) -> Simulated:
    """Return the predictions for the tokens of a window; a list of another length is none at all."""
    n = len(example.tokens)
    described = for_prompt(explanation).strip()
    request = CompletionRequest(
        messages=messages_for(example.tokens, described),
        max_tokens=5 * n + 60,  # room for blanks and one short sentence beside the list
        response_schema=_schema(n),
        shared_prefix=len(_shared(described)),
        task=Task(
            TaskKind.SIMULATE,
            explanation,
            texts=(example.text,),
            tokens=(example.tokens,),
            reply=lambda answers: json.dumps([round(value) for value in answers[0]]),
        ),
    )
    usage = Usage()
    left = re_asks
    while True:
        completion = await judge.complete(request)
        usage += completion.usage
        reply = completion.text or ""
        kept = reply[:_KEPT_REPLY] or None
        if completion.outcome is not Outcome.OK:
            return failed(completion.outcome, usage, completion.error, kept)
        numbers = parse_numbers(reply, n)
        if numbers.values is not None:
            return Simulated(numbers.values, Outcome.OK, usage, kept)
        if left <= 0:
            return failed(Outcome.UNPARSED, usage, numbers.failure, kept)
        left -= 1
        # The reminder makes a new request, and so a new cache entry: asking the same again would get the same answer.
        reminder = Message("user", _REMINDER.format(n=n))
        again = (*request.messages, Message("assistant", reply[:_KEPT_REPLY]), reminder)
        request = replace(request, messages=again, shared_prefix=0)


def messages_for(tokens: Sequence[str], described: str) -> tuple[Message, ...]:
    """Return the question about a window; ``described`` must already be harmless, on one line."""
    return (Message("system", _system()), Message("user", _shared(described) + _numbered(tokens)))


def parse_numbers(reply: str, n: int) -> Numbers:
    """Return the ``n`` numbers of the last list in ``reply``, or of the only one in an object.

    Nothing is guessed: a list of another length, or with anything that is no number from 0 to 10, is none.
    """
    value = parse_json(reply).value
    if isinstance(value, dict):
        lists = [one for one in value.values() if isinstance(one, list)]
        value = lists[0] if len(lists) == 1 else None
    if not isinstance(value, list):
        return Numbers(None, "no_list: the reply holds no list")
    if len(value) != n:
        return Numbers(None, f"wrong_length: {len(value)} numbers for {n} tokens")
    numbers = [as_number(one) for one in value]
    known = tuple(number for number in numbers if number is not None and 0 <= number <= SCALE)
    if len(known) != n:
        return Numbers(None, "not_in_range: not every element is a number from 0 to 10")
    return Numbers(known)


def _system() -> str:
    examples = [f"{_shared(shot.described)}{_numbered(shot.tokens)}\n{list(shot.strengths)}" for shot in SHOTS]
    return (
        "A feature of a language model responds to certain words or patterns in a text. You are given a description of"
        " the feature and the numbered tokens of a text. Say how strongly the feature activates on each token: a whole"
        " number from 0 (not at all) to 10 (as strongly as it can). On most tokens it is 0. Answer only with a JSON"
        " list holding one number per token, in order.\n\n" + "\n\n".join(examples)
    )


def _shared(described: str) -> str:
    return f"Description: {described}\n"


def _numbered(tokens: Sequence[str]) -> str:
    shown = [for_prompt(token, limit=_TOKEN_CHARACTERS) for token in tokens]
    return "\n".join(f"{number}. {token}" for number, token in enumerate(shown, start=1))


def _schema(n: int) -> dict[str, Any]:
    number = {"type": "integer", "enum": list(range(int(SCALE) + 1))}
    return {"type": "array", "items": number, "minItems": n, "maxItems": n}
