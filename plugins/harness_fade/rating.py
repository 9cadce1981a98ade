"""How clearly texts show a concept, by the judge: 0 absent, 1 partly, 2 clearly."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.api import (
    CompletionRequest,
    Outcome,
    Reading,
    ScorerEstimate,
    Task,
    TaskKind,
    Usage,
    as_number,
    ask,
    gather_in_order,
    generator,
    parse_json,
)
from harness_fade.prompt import described, rating_messages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.api import LLM, Answer, ExampleShape, TokenCounter
    from harness_fade.config import NaturalConfig

__all__ = [
    "ABSENT",
    "CLEAR",
    "PARTLY",
    "Rated",
    "Ratings",
    "both",
    "estimate_rated",
    "estimate_ratings",
    "rate",
    "read_ratings",
]

ABSENT, PARTLY, CLEAR = 0, 1, 2
_REMIND = "Answer only with a JSON object that gives every number from 1 to {n} its rating: 0, 1 or 2."
_TOKENS_PER_RATING = 8  # '"12": 2, ' and what a judge may put around it
_NUMBERING_TOKENS = 4


@dataclass(frozen=True, slots=True)
class Rated:
    """The rating of one text, or None and what became of the question."""

    rating: int | None
    outcome: Outcome
    reply: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Ratings:
    """The ratings of some texts, in their order, and what they cost."""

    rated: tuple[Rated, ...]
    usage: Usage


async def rate(texts: Sequence[str], explanation: str, judge: LLM, config: NaturalConfig, seed: int) -> Ratings:
    """Return the rating of every text.

    Texts are put in an order drawn by ``seed``, so that no batch is of one sort. A text that stands there twice is
    asked about once. A blank text is rated 0 without a question: it shows nothing. Of a batch that cannot be read, or
    that failed, every text is reported as that.
    """
    distinct = [text for text in dict.fromkeys(texts) if text.strip()]
    order = generator(seed, "rating").permutation(len(distinct)).tolist()
    size = config.texts_per_call
    batches = [[distinct[place] for place in order[start : start + size]] for start in range(0, len(order), size)]
    answers = await gather_in_order(_ask(batch, explanation, judge, config.re_asks) for batch in batches)
    known: dict[str, Rated] = {}
    for batch, answer in zip(batches, answers, strict=True):
        for place, text in enumerate(batch):
            known[text] = _rated(answer, place)
    blank = Rated(ABSENT, Outcome.OK)
    usage = sum((answer.usage for answer in answers), Usage())
    return Ratings(tuple(known.get(text, blank) for text in texts), usage)


def read_ratings(reply: str, n: int) -> Reading[tuple[int, ...]]:
    """Return the ratings of texts 1 to ``n`` in a reply: an object, a list of objects with ids, or a plain list.

    Numbers must be those that were shown, each once; a number the judge made up, or left out, makes the whole reply
    unreadable, as nobody can say which text was meant.
    """
    parsed = parse_json(reply)
    pairs = None if parsed.failure else _pairs(parsed.value)
    return Reading(None, "no_ratings: the reply gives numbers no ratings") if pairs is None else _matched(pairs, n)


def estimate_ratings(
    n: int, text_tokens: int, explanation_tokens: int, config: NaturalConfig, counter: TokenCounter
) -> ScorerEstimate:
    """Return the calls and tokens of the ratings of ``n`` texts of ``text_tokens`` each, re-asks left out."""
    calls = math.ceil(n / config.texts_per_call)
    frame = counter.chat(rating_messages("", ()))
    return ScorerEstimate(
        calls=calls,
        input_tokens=calls * (frame + explanation_tokens) + n * (text_tokens + _NUMBERING_TOKENS),
        output_tokens=n * _TOKENS_PER_RATING,
    )


def estimate_rated(shape: ExampleShape, config: NaturalConfig) -> ScorerEstimate:
    """Return what the ratings of one unit's natural texts take at most, re-asks left out: all samples are rated.

    Whether a further sample is drawn depends on the ratings: it is for every rare concept, and every false explanation.
    """
    samples = 1 + (config.sparse_retries if config.sparse_threshold else 0)
    n = min(shape.n_activating + shape.n_non_activating, samples * config.n_natural)
    return estimate_ratings(n, shape.window_tokens, shape.explanation_tokens, config, shape.counter)


def both(one: ScorerEstimate, other: ScorerEstimate) -> ScorerEstimate:
    """Return the sum of two estimates."""
    return ScorerEstimate(
        one.calls + other.calls, one.input_tokens + other.input_tokens, one.output_tokens + other.output_tokens
    )


async def _ask(texts: Sequence[str], explanation: str, judge: LLM, re_asks: int) -> Answer[tuple[int, ...]]:
    n = len(texts)
    request = CompletionRequest(
        messages=rating_messages(explanation, texts),
        max_tokens=_TOKENS_PER_RATING * n + 40,
        response_schema=_schema(n),
        shared_prefix=len(described(explanation)),
        task=Task(TaskKind.RATING, explanation, tuple(texts), reply=_reply),
    )
    return await ask(judge, request, lambda reply: read_ratings(reply, n), _REMIND.format(n=n), re_asks)


def _schema(n: int) -> Mapping[str, Any]:
    names = [str(number) for number in range(1, n + 1)]
    return {
        "type": "object",
        "properties": {name: {"type": "integer", "enum": [ABSENT, PARTLY, CLEAR]} for name in names},
        "required": names,
        "additionalProperties": False,
    }


def _reply(answers: Sequence[Any]) -> str:
    return json.dumps({str(number): int(answer) for number, answer in enumerate(answers, start=1)})


def _rated(answer: Answer[tuple[int, ...]], place: int) -> Rated:
    if answer.value is None:
        return Rated(None, answer.outcome, answer.reply, answer.error)
    return Rated(answer.value[place], Outcome.OK, str(answer.value[place]))


def _matched(pairs: Sequence[tuple[Any, Any]], n: int) -> Reading[tuple[int, ...]]:
    found: dict[int, int] = {}
    for name, value in pairs:
        number, rating = _whole(name), _whole(value)
        if number is None or not 1 <= number <= n:
            return Reading(None, f"unknown_id: no text has the number '{str(name)[:20]}'")
        if rating is None or rating not in {ABSENT, PARTLY, CLEAR}:
            return Reading(None, f"not_a_rating: '{str(value)[:20]}' is neither 0, 1 nor 2")
        if number in found:
            return Reading(None, f"twice: text {number} is rated twice")
        found[number] = rating
    if len(found) != n:
        return Reading(None, f"missing: {len(found)} ratings of {n} texts")
    return Reading(tuple(found[number] for number in range(1, n + 1)))


def _pairs(value: Any) -> list[tuple[Any, Any]] | None:
    """Return (number of the text, rating) as the reply has them."""
    if isinstance(value, dict):
        inner = next(iter(value.values())) if len(value) == 1 else None
        return _pairs(inner) if isinstance(inner, (dict, list)) else list(value.items())
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(one, dict) for one in value):
        return [(one.get("id"), one.get("rating")) for one in value]
    return list(enumerate(value, start=1))


def _whole(value: Any) -> int | None:
    number = as_number(value)
    return int(number) if number is not None and number == int(number) else None
