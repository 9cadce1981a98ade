"""The seam to language models: requests, answers and the client interface. Imports no litellm."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from harness.outcome import Outcome, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.llm.task import Task

__all__ = [
    "LLM",
    "Capabilities",
    "Completion",
    "CompletionRequest",
    "Message",
    "PromptLogprobs",
    "PromptLogprobsRequest",
    "Spending",
    "TokenAlternatives",
    "choice_probability",
]

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """Everything about one question that can change its answer, apart from the endpoint.

    Attributes:
        messages: The chat so far, the longest part shared with other requests first.
        max_tokens: Most tokens the answer may have.
        temperature: 0 for greedy.
        top_p: Nucleus mass.
        stop: Texts that end the answer.
        seed: Sampling seed for endpoints that take one.
        repeat: Number of the repetition; distinct repeats are distinct cache entries.
        response_schema: JSON Schema the answer must satisfy, or None.
        choices: The only answers allowed, if not empty; enforced where the endpoint can.
        top_logprobs: How many alternatives to report per generated token; 0 for none.
        shared_prefix: How many leading characters of the last user message other requests share; 0 if unknown. Only a
            provider's prompt cache is told: it changes no answer and is part of no cache key.
        task: What is asked, as data, for judges that answer by a rule; no language model is told.
    """

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    repeat: int = 0
    response_schema: Mapping[str, Any] | None = None
    choices: tuple[str, ...] = ()
    top_logprobs: int = 0
    shared_prefix: int = 0
    task: Task | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TokenAlternatives:
    """One generated or prompt token: its text, its natural-log probability, and the alternatives at its place."""

    token: str
    logprob: float | None
    alternatives: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer. ``text`` is None unless there is one; ``outcome`` says what became of the call.

    ``outcome`` is OK, REFUSED, TRUNCATED (stopped at ``max_tokens`` where the caller did not ask for a one-token
    answer) or ERROR; whether a text means anything (UNPARSED) is for the caller to say.
    """

    text: str | None
    outcome: Outcome
    usage: Usage
    logprobs: tuple[TokenAlternatives, ...] | None = None
    finish_reason: str | None = None
    error: str | None = None
    cached: bool = False


@dataclass(frozen=True, slots=True)
class PromptLogprobsRequest:
    """Ask for the log-probability of every token of ``prompt``, with ``top_logprobs`` alternatives at each.

    ``task`` is as in ``CompletionRequest``; its tokens are the last ones of the prompt.
    """

    prompt: str
    top_logprobs: int = 0
    task: Task | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class PromptLogprobs:
    """The tokens of a prompt with their log-probabilities (None for the first)."""

    tokens: tuple[TokenAlternatives, ...] | None
    outcome: Outcome
    usage: Usage
    error: str | None = None
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an endpoint is known to do; final once the model was started.

    ``seeds`` and ``context_tokens`` (prompt and answer together) are None where they were not found out.
    """

    json_schema: bool
    choices: bool
    logprobs: bool
    prompt_logprobs: bool
    seeds: bool | None = None
    context_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Spending:
    """What a role really cost in this process: answers paid for, answers from the cache, and failed attempts."""

    billed: Usage = field(default_factory=Usage)
    from_cache: Usage = field(default_factory=Usage)
    cached_input_tokens: int = 0
    failed_attempts: int = 0


class LLM(Protocol):
    """A language model in one role. Safe to call from many tasks at once; concurrency is bounded inside."""

    @property
    def role(self) -> str:
        """Return ``explainer`` or ``judge``."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return plain data naming the model, its revision or digest, and the endpoint; never a key."""

    @property
    def capabilities(self) -> Capabilities:
        """Return what the endpoint can do."""

    @property
    def modes(self) -> Mapping[str, Any]:
        """Return how questions are really put and what comes with answers; final once started.

        Plain data: ``choices``, ``structured``, ``logprobs``, as ``harness.llm.facts.EndpointFacts.modes``.
        """

    @property
    def spending(self) -> Spending:
        """Return what this role has spent so far in this process."""

    @property
    def price_facts(self) -> Mapping[str, Any]:
        """Return what tokens cost, per million, and where that is from (``harness.llm.price``); final once started."""

    async def complete(self, request: CompletionRequest) -> Completion:
        """Return the answer, from the cache where it has it. A failed call is a Completion with outcome ERROR.

        Raises:
            LLMError: Only for what no retry or other question can mend: unreachable endpoint, wrong key, unknown
                model, a capability that is missing.
        """

    async def prompt_logprobs(self, request: PromptLogprobsRequest) -> PromptLogprobs:
        """Return the prompt's token log-probabilities.

        Raises:
            LLMError: As ``complete``; also if the endpoint cannot report them.
        """

    async def start(self) -> None:
        """Check that the endpoint answers (and start an in-process server); idempotent.

        Raises:
            LLMError: If it cannot be reached, refuses the key or does not know the model.
        """

    async def close(self) -> None:
        """Release connections, servers and files; idempotent."""


def choice_probability(completion: Completion, positive: str, negative: str) -> float | None:
    """Return P(positive) / (P(positive) + P(negative)) at the first generated token.

    Alternatives are matched after stripping white space and case, and merged. Where only one of the two is among the
    alternatives reported, the other one's probability is bounded by the least alternative reported, and that bound is
    used. None where neither is there, or the answer has no log-probabilities: an unknown is not a zero.
    """
    if not completion.logprobs:
        return None
    first = completion.logprobs[0]
    alternatives = dict(first.alternatives)
    if first.logprob is not None:
        alternatives.setdefault(first.token, first.logprob)
    mass = {"positive": 0.0, "negative": 0.0}
    names = {positive.strip().lower(): "positive", negative.strip().lower(): "negative"}
    for token, logprob in alternatives.items():
        side = names.get(token.strip().lower())
        if side is not None:
            mass[side] += math.exp(logprob)
    if not any(mass.values()):
        return None
    if not all(mass.values()):
        floor = math.exp(min(alternatives.values()))
        mass = {side: value or min(floor, 1.0 - sum(mass.values())) for side, value in mass.items()}
        mass = {side: max(value, 0.0) for side, value in mass.items()}
    return mass["positive"] / (mass["positive"] + mass["negative"])
