"""Asks an endpoint what it can do, with a few tiny questions whose answers show it.

Many servers take a field they do not know and say nothing, so that being let in proves nothing: every question here has
an answer that no model would give by itself, and only that answer counts.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness.llm.facts import EndpointFacts, StatedFacts
from harness.llm.failures import AttemptError, FailureKind
from harness.llm.protocol import CompletionRequest, Message, PromptLogprobsRequest
from harness.llm.retry import RetryPolicy, with_retries
from harness.llm.wire import ChoiceMode, StructuredMode, WireFormat

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from harness.llm.backend import Reply
    from harness.llm.protocol import TokenAlternatives

__all__ = ["PROBE_VERSION", "Questions", "learn_facts", "learn_seeds"]

PROBE_VERSION = 1
"""Raised when the questions change, so that every endpoint is asked anew."""

_TOKENS = 20
_TOP_LOGPROBS = 20  # what scorers ask for
_SERVER_ERRORS = (500, 501)
_REFUSALS = frozenset(
    {
        FailureKind.BAD_REQUEST,
        FailureKind.UNSUPPORTED,
        FailureKind.NOT_FOUND,
        FailureKind.CONTEXT,
        FailureKind.REFUSED,
    }
)
_POLICY = RetryPolicy(max_retries=1)
_PLAIN_QUESTION = (Message("user", "What is the capital of France? Answer with one word."),)
_AGAINST_JSON = (Message("user", "Greet me with one short sentence of plain text, without any JSON."),)
_INVENT = (Message("user", "Invent a name for a town and say why it is called so."),)
_CHOICES = ("kv7", "zq4")
_VALUE = {"zq": "kv7"}
_SCHEMA = {
    "type": "object",
    "properties": {name: {"type": "string", "enum": [value]} for name, value in _VALUE.items()},
    "required": list(_VALUE),
    "additionalProperties": False,
}
# Said three times, so that the last time nearly follows from the first.
_REPEATED = " ".join(["The grey heron waits beside the old stone bridge."] * 3)


@dataclass(frozen=True)
class Questions:
    """How an endpoint is asked while it is being found out about.

    Attributes:
        ask: One attempt at a chat completion, in a given wire format and with a given seed.
        echo: One attempt at the log-probabilities of a prompt, in a given wire format.
        extra_body: Further fields of every request.
        sleep: Waits between retries; a fake clock in tests.
    """

    ask: Callable[[CompletionRequest, WireFormat, int | None], Awaitable[Reply]]
    echo: Callable[[PromptLogprobsRequest, WireFormat], Awaitable[Reply]]
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def answer(self, request: CompletionRequest, wire: WireFormat) -> Reply | None:
        """Return the answer; None if the question is refused.

        Raises:
            AttemptError: If the endpoint cannot be asked at all.
        """
        full = replace(wire, extra_body=self.extra_body)
        return await self._tried(lambda: self.ask(request, full, None))

    async def echoed(self, request: PromptLogprobsRequest) -> Reply | None:
        """Return the prompt's log-probabilities; None if the question is refused.

        Raises:
            AttemptError: As ``answer``.
        """
        return await self._tried(lambda: self.echo(request, WireFormat(extra_body=self.extra_body)))

    async def _tried(self, attempt: Callable[[], Awaitable[Reply]]) -> Reply | None:
        try:
            return await with_retries(attempt, _POLICY, "probe", sleep=self.sleep)
        except AttemptError as error:
            failure = error.failure
            if failure.kind in _REFUSALS:
                return None
            # Some servers answer a field they cannot handle with an error of their own. Whether it is the field or the
            # server that is at fault, a question without it shows.
            if failure.kind is FailureKind.MALFORMED or failure.status in _SERVER_ERRORS:
                plain = CompletionRequest(_PLAIN_QUESTION, max_tokens=_TOKENS)
                await self.ask(plain, WireFormat(extra_body=self.extra_body), None)
                return None
            raise


async def learn_facts(questions: Questions, stated: StatedFacts) -> EndpointFacts:
    """Return what is stated, and what the endpoint shows of the rest. Takes seven questions at most, where none fails.

    Raises:
        AttemptError: If the endpoint cannot be asked at all.
    """
    logprobs = stated.logprobs if stated.logprobs is not None else await _reports_logprobs(questions)
    choices = stated.choices or await _choice_mode(questions)
    structured = stated.structured or await _structured_mode(questions, choices)
    prompts = stated.prompt_logprobs
    if prompts is None:
        prompts = await _reports_prompt_logprobs(questions)
    return EndpointFacts(structured=structured, choices=choices, logprobs=logprobs, prompt_logprobs=prompts)


async def learn_seeds(ask: Callable[[CompletionRequest, int | None], Awaitable[Reply]]) -> bool | None:
    """Return whether a sampled answer follows its seed; None where it does not vary at all. Takes three questions.

    Args:
        ask: One attempt at a chat completion with a given seed.

    Raises:
        AttemptError: If the endpoint cannot be asked at all.
    """
    request = CompletionRequest(_INVENT, max_tokens=_TOKENS, temperature=1.0)
    texts = []
    for seed in (1, 1, 2):
        try:
            reply = await ask(request, seed)
        except AttemptError as error:
            if error.failure.kind in _REFUSALS:
                return False
            raise
        if reply.text is None:
            return None
        texts.append(reply.text)
    if texts[0] != texts[1]:
        return False
    return True if texts[2] != texts[0] else None


async def _reports_logprobs(questions: Questions) -> bool:
    request = CompletionRequest(_PLAIN_QUESTION, max_tokens=1, top_logprobs=_TOP_LOGPROBS)
    reply = await questions.answer(request, WireFormat())
    first = reply.logprobs[0] if reply is not None and reply.logprobs else None
    # Without alternatives there is nothing to compare the answer with.
    return first is not None and first.logprob is not None and len(first.alternatives) > 1


async def _choice_mode(questions: Questions) -> ChoiceMode:
    request = CompletionRequest(_PLAIN_QUESTION, max_tokens=_TOKENS, choices=_CHOICES)
    for mode in (ChoiceMode.STRUCTURED_OUTPUTS, ChoiceMode.GRAMMAR, ChoiceMode.GUIDED_CHOICE):
        reply = await questions.answer(request, WireFormat(choices=mode))
        if reply is not None and (reply.text or "").strip() in _CHOICES:
            return mode
    return ChoiceMode.NONE


async def _structured_mode(questions: Questions, choices: ChoiceMode) -> StructuredMode:
    modes = [StructuredMode.JSON_SCHEMA]
    # A server that keeps to choices in one of its own ways keeps to schemas in the same.
    if choices in {ChoiceMode.GRAMMAR, ChoiceMode.STRUCTURED_OUTPUTS}:
        modes.append(StructuredMode(choices.value))
    request = CompletionRequest(_PLAIN_QUESTION, max_tokens=_TOKENS, response_schema=_SCHEMA)
    for mode in modes:
        reply = await questions.answer(request, WireFormat(structured=mode))
        if reply is not None and _is_the_value(reply.text or ""):
            return mode
    request = replace(request, messages=_AGAINST_JSON)
    reply = await questions.answer(request, WireFormat(structured=StructuredMode.JSON_OBJECT))
    obeys = reply is not None and (reply.text or "").lstrip().startswith("{")
    return StructuredMode.JSON_OBJECT if obeys else StructuredMode.NONE


def _is_the_value(text: str) -> bool:
    try:
        return bool(json.loads(text) == _VALUE)
    except (ValueError, RecursionError):
        return False


async def _reports_prompt_logprobs(questions: Questions) -> bool:
    reply = await questions.echoed(PromptLogprobsRequest(_REPEATED))
    return reply is not None and _plausible(reply.logprobs or ())


def _plausible(tokens: tuple[TokenAlternatives, ...]) -> bool:
    """Return whether these can be the prompt's own log-probabilities.

    Servers echo without values, with the answer's instead of the prompt's, or with those of the wrong position. So the
    tokens must join to the prompt (a special token before it is allowed), every one but the first must have a value,
    and what repeats must be likelier than what was new.
    """
    # Tokenizers differ in the white space they give back.
    joined = "".join("".join(token.token.split()) for token in tokens)
    values = [token.logprob for token in tokens[1:]]
    known = [value for value in values if value is not None and value <= 0]
    if not joined.endswith("".join(_REPEATED.split())) or len(known) != len(values) or len(set(known)) < 2:  # noqa: PLR2004
        return False
    third = len(known) // 3
    return third > 0 and sum(known[-third:]) > sum(known[:third])
