"""Yes/no questions about one explanation, put to a judge: what detection and fuzzing share.

Two ways of asking. ``single``: one example per call, a one-word answer, P(yes) from its log-probabilities. ``list``:
several examples per call, answered by a 0/1 list, as in the paper (arXiv 2410.13928, section 3.2). An endpoint that can
is held to a list of just as many zeros and ones as there are examples (``{"answer": [...]}`` where its API wants an
object); of any other the reply is read with tolerance. Both are read in the same way.

Every prompt is system text, then the explanation, then the example: the part that many calls share comes first, so an
endpoint with a prefix cache reads only the example anew, and each request says where the shared part ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError
from harness.llm.counting import APPROXIMATE
from harness.llm.protocol import CompletionRequest, Message, choice_probability
from harness.llm.task import Task
from harness.outcome import Outcome, Usage
from harness.scoring.concurrency import gather_in_order
from harness.scoring.parsing import ParsedList, parse_choice, parse_flags
from harness.scoring.protocol import Item, ScorerEstimate
from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.llm.counting import TokenCounter
    from harness.llm.protocol import LLM, Completion
    from harness.llm.task import TaskKind

__all__ = ["Classified", "ClassifierConfig", "ClassifierPrompt", "Question", "classify", "estimate"]

YES, NO = "Yes", "No"
SINGLE, LIST = "single", "list"
_NUMBERING_TOKENS = 3  # "7. " and the end of the line
_KEPT_REPLY = 200  # characters of a reply kept as evidence
_REMIND_SINGLE = f"Answer with one word: {YES} or {NO}."
_REMIND_LIST = "Answer only with a JSON list of {n} numbers, each 0 or 1."


@dataclass(frozen=True)
class ClassifierConfig:
    """How a yes/no scorer asks.

    Attributes:
        mode: ``single`` (one example per call, graded by P(yes)) or ``list`` (several per call, a 0/1 list).
        examples_per_call: Examples per call in ``list`` mode.
        top_logprobs: Alternatives asked for at the answer in ``single`` mode.
        re_asks: How often an answer that cannot be read is asked for again.

    Raises:
        ConfigError: If a value is out of range.
    """

    mode: str = SINGLE
    examples_per_call: int = 5
    top_logprobs: int = 20
    re_asks: int = 1

    def __post_init__(self) -> None:
        """Refuse values no question can be asked with."""
        if self.mode not in {SINGLE, LIST}:
            raise ConfigError(f"mode '{self.mode}' is not known", where="mode", hint=f"{SINGLE} or {LIST}")
        if self.examples_per_call < 1:
            raise ConfigError("must be at least 1", where="examples_per_call")
        if not 2 <= self.top_logprobs <= 20:  # noqa: PLR2004  -- two answers to compare; 20 is what endpoints allow
            raise ConfigError("must be between 2 and 20", where="top_logprobs")
        if not 0 <= self.re_asks <= 3:  # noqa: PLR2004  -- bounded: an endpoint that never obeys must not cost without end
            raise ConfigError("must be between 0 and 3", where="re_asks")

    @property
    def primary_metric(self) -> str:
        """Return ``auroc`` where answers are graded, else ``balanced_accuracy``."""
        return "auroc" if self.mode == SINGLE else "balanced_accuracy"


@dataclass(frozen=True, slots=True)
class Question:
    """One example put to the judge.

    Attributes:
        key: The example's.
        kind: Likewise.
        decile: Likewise.
        truth: Whether yes is right.
        shown: The example as the prompt has it, already made harmless.
        text: The example as it is, for judges that read no prompts.
        tokens: Its tokens, where the question is about some of them.
        marked: Which of those are marked.
    """

    key: str
    kind: str
    decile: int | None
    truth: bool
    shown: str
    text: str = ""
    tokens: tuple[str, ...] = ()
    marked: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class ClassifierPrompt:
    """The fixed texts of a yes/no scorer.

    Attributes:
        single: System text for one example per call, few-shots included.
        several: System text for lists.
        cue: What follows the single example, the last thing the judge reads.
        asks: What is asked, for judges that read no prompts; None where the scorer does not say.
    """

    single: str
    several: str
    cue: str = ""
    asks: TaskKind | None = None

    def ask_one(self, explanation: str, question: Question) -> tuple[Message, ...]:
        """Return the messages for one example."""
        user = f"{_described(explanation)}{question.shown}{self.cue}"
        return (Message("system", self.single), Message("user", user))

    def ask_several(self, explanation: str, questions: Sequence[Question]) -> tuple[Message, ...]:
        """Return the messages for a batch, numbered from 1."""
        shown = "\n".join(f"{number}. {question.shown}" for number, question in enumerate(questions, start=1))
        return (Message("system", self.several), Message("user", f"{_described(explanation)}{shown}"))


@dataclass(frozen=True, slots=True)
class Classified:
    """The answered and unanswered questions, in the order they were given, and what they cost."""

    items: tuple[Item, ...]
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class _Answer:
    """One call with its re-asks: the last completion, the flags read from it, or why there are none."""

    completion: Completion
    usage: Usage
    parsed: ParsedList


async def classify(
    questions: Sequence[Question],
    explanation: str,
    prompt: ClassifierPrompt,
    config: ClassifierConfig,
    judge: LLM,
    seed: int,
    described: str = "",
) -> Classified:
    """Return an item for every question.

    ``explanation`` must already be harmless; ``described`` is the same as it was given, for judges that read no
    prompts. In ``list`` mode questions are shuffled into batches by ``seed``.
    """
    if config.mode == SINGLE:
        answers = await gather_in_order(
            _ask_one(one, explanation, prompt, config, judge, _task(prompt, described, [one])) for one in questions
        )
        items = [_single_item(question, answer) for question, answer in zip(questions, answers, strict=True)]
        return Classified(tuple(items), _total(answers))
    batches = _batches(questions, config.examples_per_call, seed)
    answers = await gather_in_order(
        _ask_several(batch, explanation, prompt, config, judge, _task(prompt, described, batch)) for batch in batches
    )
    found: dict[str, Item] = {}
    for batch, answer in zip(batches, answers, strict=True):
        found |= {question.key: _list_item(question, place, answer) for place, question in enumerate(batch)}
    return Classified(tuple(found[question.key] for question in questions), _total(answers))


def estimate(
    n_questions: int,
    question_tokens: int,
    explanation_tokens: int,
    prompt: ClassifierPrompt,
    config: ClassifierConfig,
    counter: TokenCounter = APPROXIMATE,
) -> ScorerEstimate:
    """Return the calls and tokens of ``n_questions`` examples of ``question_tokens`` each, re-asks left out.

    What every call repeats (instructions, few-shots, the chat template) is counted as it is, by ``counter``.
    """
    single = config.mode == SINGLE
    calls = math.ceil(n_questions / (1 if single else config.examples_per_call))
    nothing = Question(key="", kind="", decile=None, truth=False, shown="")
    frame = counter.chat(prompt.ask_one("", nothing) if single else prompt.ask_several("", ()))
    numbering = 0 if single else _NUMBERING_TOKENS
    return ScorerEstimate(
        calls=calls,
        input_tokens=calls * (frame + explanation_tokens) + n_questions * (question_tokens + numbering),
        output_tokens=calls if single else 2 * n_questions + calls,
    )


def _described(explanation: str) -> str:
    return f"Description: {explanation}\n"


def _batches(questions: Sequence[Question], size: int, seed: int) -> list[list[Question]]:
    order = generator(seed, "batches").permutation(len(questions)).tolist()
    shuffled = [questions[place] for place in order]
    return [shuffled[start : start + size] for start in range(0, len(shuffled), size)]


async def _ask_one(
    question: Question,
    explanation: str,
    prompt: ClassifierPrompt,
    config: ClassifierConfig,
    judge: LLM,
    task: Task | None,
) -> _Answer:
    request = CompletionRequest(
        messages=prompt.ask_one(explanation, question),
        max_tokens=1,
        choices=(YES, NO),
        shared_prefix=len(_described(explanation)),
        top_logprobs=config.top_logprobs if judge.capabilities.logprobs else 0,
        task=task,
    )
    return await _ask(judge, request, _parse_single, _REMIND_SINGLE, config.re_asks)


async def _ask_several(
    batch: Sequence[Question],
    explanation: str,
    prompt: ClassifierPrompt,
    config: ClassifierConfig,
    judge: LLM,
    task: Task | None,
) -> _Answer:
    n = len(batch)
    # Room for one short sentence beside the list; a judge that writes more is cut off and counted as truncated.
    request = CompletionRequest(
        messages=prompt.ask_several(explanation, batch),
        max_tokens=6 * n + 40,
        response_schema=_list_schema(n),
        task=task,
        shared_prefix=len(_described(explanation)),
    )
    return await _ask(judge, request, lambda reply: parse_flags(reply, n), _REMIND_LIST.format(n=n), config.re_asks)


def _task(prompt: ClassifierPrompt, explanation: str, questions: Sequence[Question]) -> Task | None:
    if prompt.asks is None:
        return None
    return Task(
        prompt.asks,
        explanation,
        texts=tuple(question.text for question in questions),
        tokens=tuple(question.tokens for question in questions if question.tokens),
        marked=tuple(question.marked for question in questions if question.marked),
        reply=lambda flags: str([int(flag) for flag in flags]),
    )


def _list_schema(n: int) -> dict[str, Any]:
    flag = {"type": "integer", "enum": [0, 1]}
    return {"type": "array", "items": flag, "minItems": n, "maxItems": n}


async def _ask(
    judge: LLM, request: CompletionRequest, parse: Callable[[str], ParsedList], reminder: str, re_asks: int
) -> _Answer:
    usage = Usage()
    for attempt in range(re_asks + 1):
        completion = await judge.complete(request)
        usage += completion.usage
        if completion.outcome is not Outcome.OK:
            return _Answer(completion, usage, ParsedList(None, completion.outcome.value, completion.error))
        reply = completion.text or ""
        parsed = parse(reply)
        if parsed.flags is not None or attempt == re_asks:
            return _Answer(completion, usage, parsed)
        # The reminder makes a new request, and so a new cache entry: asking the same again would get the same answer.
        again = (*request.messages, Message("assistant", reply[:_KEPT_REPLY]), Message("user", reminder))
        request = replace(request, messages=again, shared_prefix=0)
    message = "re_asks is negative"
    raise AssertionError(message)


def _parse_single(reply: str) -> ParsedList:
    choice = parse_choice(reply, (YES, NO))
    if choice is None:
        return ParsedList(None, "not_a_choice", f"the reply is neither {YES} nor {NO}")
    return ParsedList((choice == YES,))


def _single_item(question: Question, answer: _Answer) -> Item:
    if answer.parsed.flags is None:
        return _failed(question, answer)
    value = choice_probability(answer.completion, YES, NO)
    prediction = answer.parsed.flags[0] if value is None else value >= 0.5  # noqa: PLR2004  -- the more probable answer
    return _item(question, answer, Outcome.OK, prediction=prediction, value=value)


def _list_item(question: Question, place: int, answer: _Answer) -> Item:
    if answer.parsed.flags is None:
        return _failed(question, answer)
    return _item(question, answer, Outcome.OK, prediction=answer.parsed.flags[place])


def _failed(question: Question, answer: _Answer) -> Item:
    called = answer.completion.outcome
    if called is not Outcome.OK:
        # The outcome stands beside it, so only what was said of it is worth a line.
        return _item(question, answer, called, error=answer.completion.error or called.value)
    error = ": ".join(part for part in (answer.parsed.failure, answer.parsed.detail) if part)
    return _item(question, answer, Outcome.UNPARSED, error=error)


def _item(
    question: Question,
    answer: _Answer,
    outcome: Outcome,
    *,
    prediction: bool | None = None,
    value: float | None = None,
    error: str | None = None,
) -> Item:
    reply = answer.completion.text
    return Item(
        key=question.key,
        kind=question.kind,
        decile=question.decile,
        truth=question.truth,
        prediction=prediction,
        value=value,
        outcome=outcome,
        text=question.shown,
        reply=None if reply is None else reply[:_KEPT_REPLY],
        error=error,
    )


def _total(answers: Sequence[_Answer]) -> Usage:
    return sum((answer.usage for answer in answers), Usage())
