"""Texts that a judge writes after an explanation: those that should activate a feature, and near-misses.

A number of calls is made, each with a seed and a repetition of its own, and each told its number, so that an endpoint
without seeds does not write the same texts again. Texts that were written twice are kept once. What was asked for and
did not come is counted: calls that failed, texts that are missing, elements that are no text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError
from harness.llm.counting import APPROXIMATE
from harness.llm.protocol import CompletionRequest, Message
from harness.llm.task import Task, TaskKind
from harness.llm.wire import ANSWER
from harness.outcome import Outcome, Usage
from harness.scoring.asking import Answer, Reading, ask
from harness.scoring.concurrency import gather_in_order
from harness.scoring.json_answers import parse_json
from harness.scoring.protocol import Item, ScorerEstimate
from harness.seeding import derive_seed
from harness.text import for_prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.llm.counting import TokenCounter
    from harness.llm.protocol import LLM

__all__ = [
    "Writing",
    "Written",
    "WrittenText",
    "collect_texts",
    "estimate_writing",
    "room_for",
    "texts_schema",
    "write_texts",
]

_SEEDS = 2**31
_MOST_RE_ASKS = 3
_TOKENS_PER_WORD = 3  # generous: a reply that is cut off is lost as a whole, and room that is not used costs nothing
_TOKENS_BESIDE_TEXT = 20
_LONGEST_TEXT = 4_000
_REMIND = "Answer only with a JSON list of {n} texts."


@dataclass(frozen=True)
class Writing:
    """How texts are asked for.

    Attributes:
        calls: How many calls are made.
        texts_per_call: Texts asked for in each.
        words: About how many words a text should have.
        temperature: Of the judge when it writes.
        re_asks: How often a reply that cannot be read is asked for again.

    Raises:
        ConfigError: If a value is out of range.
    """

    calls: int
    texts_per_call: int = 5
    words: int = 25
    temperature: float = 1.0
    re_asks: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        for name in ("calls", "texts_per_call", "words"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", where=name)
        if not 0 <= self.temperature <= 2:  # noqa: PLR2004  -- what endpoints take
            raise ConfigError("must be between 0 and 2", where="temperature")
        if not 0 <= self.re_asks <= _MOST_RE_ASKS:
            raise ConfigError(f"must be between 0 and {_MOST_RE_ASKS}", where="re_asks")


@dataclass(frozen=True, slots=True)
class WrittenText:
    """One text and where it came from: ``key`` is unique among those of one kind."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        texts: The distinct texts, in the order of the calls.
        failures: One item for every call that gave no text, with its outcome.
        asked: Texts asked for.
        lost: The share of them whose call ended in an error; see ``Score.lost``.
        duplicates: Texts that had been written before.
        malformed: Elements of replies that are no text, or more than were asked for.
        usage: What it cost.
    """

    texts: tuple[WrittenText, ...]
    failures: tuple[Item, ...]
    asked: int
    lost: float
    duplicates: int
    malformed: int
    usage: Usage

    @property
    def counts(self) -> dict[str, float | None]:
        """Return what became of the texts asked for, for a score's breakdown."""
        return {
            "asked": float(self.asked),
            "distinct": float(len(self.texts)),
            "duplicates": float(self.duplicates),
            "malformed": float(self.malformed),
            "failed_calls": float(len(self.failures)),
            "yield": len(self.texts) / self.asked if self.asked else None,
        }


@dataclass(frozen=True, slots=True)
class _Texts:
    """The texts of one reply, and how many of its elements are none."""

    texts: tuple[str, ...]
    malformed: int


async def write_texts(
    kind: TaskKind, explanation: str, instruction: str, writing: Writing, judge: LLM, seed: int
) -> Written:
    """Return the texts that the judge writes after ``explanation``.

    Args:
        kind: ``TaskKind.WRITE`` or ``TaskKind.WRITE_NEAR_MISSES``.
        explanation: As it was given; it is made harmless here.
        instruction: System text: what kind of texts, and that the answer is a JSON list of them.
        writing: How many, and how they are asked for.
        judge: Who writes.
        seed: Of the calls' own seeds.
    """
    requests = [_request(kind, explanation, instruction, writing, seed, call) for call in range(writing.calls)]
    return await collect_texts(kind, requests, [writing.texts_per_call] * writing.calls, judge, writing.re_asks)


async def collect_texts(
    kind: TaskKind, requests: Sequence[CompletionRequest], counts: Sequence[int], judge: LLM, re_asks: int
) -> Written:
    """Return the texts that the judge writes in reply to ``requests``.

    Args:
        kind: What is asked for.
        requests: Each for a JSON list of texts.
        counts: How many texts each asks for.
        judge: Who writes.
        re_asks: How often a reply that cannot be read is asked for again.
    """
    answers = await gather_in_order(
        ask(judge, request, partial(_read, n=n), _REMIND.format(n=n), re_asks)
        for request, n in zip(requests, counts, strict=True)
    )
    found: dict[str, WrittenText] = {}
    duplicates = 0
    for call, answer in enumerate(answers):
        for place, text in enumerate(answer.value.texts if answer.value else ()):
            if text in found:
                duplicates += 1
            else:
                found[text] = WrittenText(f"{kind.value}:{call}:{place}", text)
    errors = sum(n for n, answer in zip(counts, answers, strict=True) if answer.outcome is Outcome.ERROR)
    return Written(
        texts=tuple(found.values()),
        failures=tuple(_failure(kind, call, one) for call, one in enumerate(answers) if one.value is None),
        asked=sum(counts),
        lost=errors / sum(counts) if errors else 0.0,
        duplicates=duplicates,
        malformed=sum(answer.value.malformed for answer in answers if answer.value),
        usage=sum((answer.usage for answer in answers), Usage()),
    )


def room_for(texts: int, words: int) -> int:
    """Return the tokens that a reply of so many texts of so many words may have."""
    return texts * (words * _TOKENS_PER_WORD + _TOKENS_BESIDE_TEXT) + _TOKENS_BESIDE_TEXT


def texts_schema(n: int) -> dict[str, Any]:
    """Return the schema of a list of ``n`` texts."""
    return {"type": "array", "items": {"type": "string"}, "minItems": n, "maxItems": n}


def estimate_writing(
    instruction: str, writing: Writing, explanation_tokens: int, counter: TokenCounter = APPROXIMATE
) -> ScorerEstimate:
    """Return the calls and tokens of ``write_texts``, re-asks left out."""
    frame = counter.chat((Message("system", instruction), Message("user", _asked("", writing, 0))))
    return ScorerEstimate(
        calls=writing.calls,
        input_tokens=writing.calls * (frame + explanation_tokens),
        output_tokens=writing.calls * writing.texts_per_call * (writing.words * 3 // 2 + 3),
    )


def _read(reply: str, n: int) -> Reading[_Texts]:
    parsed = parse_json(reply)
    elements = None if parsed.failure else _elements(parsed.value)
    if elements is None:
        return Reading(None, "no_list: the reply holds no list of texts")
    said = [_text(element) for element in elements]
    texts = [text for text in said if text]
    if not texts:
        return Reading(None, "no_texts: the list holds no text")
    return Reading(_Texts(tuple(texts[:n]), len(said) - len(texts[:n])))


def _elements(value: Any) -> list[Any] | None:
    if isinstance(value, dict):
        lists = [item for item in value.values() if isinstance(item, list)]
        value = value.get(ANSWER, lists[0] if len(lists) == 1 else None)
    return value if isinstance(value, list) else None


def _text(element: Any) -> str:
    if isinstance(element, dict):
        texts = [value for value in element.values() if isinstance(value, str)]
        element = texts[0] if len(texts) == 1 else None
    # What a subject reads: no half of a character, and no end of the text pretended by a null.
    return element.replace("\0", "").strip()[:_LONGEST_TEXT] if isinstance(element, str) else ""


def _request(
    kind: TaskKind, explanation: str, instruction: str, writing: Writing, seed: int, call: int
) -> CompletionRequest:
    n = writing.texts_per_call
    described = _described(explanation)
    sampled = writing.temperature > 0
    return CompletionRequest(
        messages=(Message("system", instruction), Message("user", _asked(explanation, writing, call))),
        max_tokens=room_for(n, writing.words),
        temperature=writing.temperature,
        seed=derive_seed(seed, kind.value, call) % _SEEDS if sampled else None,
        repeat=call,
        response_schema=texts_schema(n),
        shared_prefix=len(described),
        task=Task(kind, explanation, count=n, reply=_reply),
    )


def _reply(answers: Sequence[Any]) -> str:
    """Return a reply of the texts written, which are the one answer: ``[[text, ...]]``."""
    return json.dumps(list(answers[0]))


def _asked(explanation: str, writing: Writing, call: int) -> str:
    several = f" This is request {call + 1} of {writing.calls}; write other texts than the rest would."
    wish = f"Write {writing.texts_per_call} texts of about {writing.words} words each."
    return f"{_described(explanation)}{wish}{several if writing.calls > 1 else ''}"


def _described(explanation: str) -> str:
    return f"Description: {for_prompt(explanation)}\n"


def _failure(kind: TaskKind, call: int, answer: Answer[_Texts]) -> Item:
    return Item(
        key=f"{kind.value}:{call}",
        kind="not_written",
        decile=None,
        truth=None,
        prediction=None,
        value=None,
        outcome=answer.outcome,
        reply=answer.reply,
        error=answer.error,
    )
