"""Judges without a model: scripted, answering by a rule, and failing."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from harness.identity import fingerprint, plain
from harness.llm.keys import request_fields
from harness.llm.price import FREE
from harness.llm.protocol import (
    Capabilities,
    Completion,
    CompletionRequest,
    PromptLogprobs,
    PromptLogprobsRequest,
    Spending,
    TokenAlternatives,
)
from harness.llm.readings import read_off
from harness.outcome import Outcome, Usage
from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["FailingJudge", "OracleJudge", "ScriptedJudge", "last_message"]

_CHARACTERS_PER_TOKEN = 4
_SURE = 0.9  # P of the answer given, where the oracle grades


class _FakeLLM:
    """What all fake judges share: no endpoint, a counted usage, answers in an order of our choosing.

    Args:
        logprobs: Whether answers are graded.
        prompt_logprobs: Whether prompts are.
        shuffle_completion: Let questions overtake each other by this seed, to show that order does not matter.
    """

    def __init__(
        self, *, logprobs: bool = True, prompt_logprobs: bool = False, shuffle_completion: int | None = None
    ) -> None:
        self._logprobs = logprobs
        self._prompt_logprobs = prompt_logprobs
        self._shuffle = shuffle_completion
        self.requests: list[CompletionRequest] = []
        self.prompts: list[PromptLogprobsRequest] = []

    @property
    def role(self) -> str:
        """Return ``judge``."""
        return "judge"

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return plain data naming the fake."""
        return {"model": type(self).__name__}

    @property
    def capabilities(self) -> Capabilities:
        """Return what the fake can do."""
        return Capabilities(
            json_schema=True, choices=True, logprobs=self._logprobs, prompt_logprobs=self._prompt_logprobs
        )

    @property
    def modes(self) -> Mapping[str, Any]:
        """Return how the fake is asked."""
        return {"choices": "grammar", "structured": "json_schema", "logprobs": self._logprobs}

    @property
    def spending(self) -> Spending:
        """Return nothing spent."""
        return Spending()

    @property
    def price_facts(self) -> Mapping[str, Any]:
        """Return that fakes are free."""
        return FREE.facts()

    async def complete(self, request: CompletionRequest) -> Completion:
        """Return the fake's answer."""
        self.requests.append(request)
        await self._overtaken(len(self.requests))
        return self._answer(request)

    async def prompt_logprobs(self, request: PromptLogprobsRequest) -> PromptLogprobs:
        """Return the fake's reading of the prompt; an error unless it has one."""
        self.prompts.append(request)
        await self._overtaken(len(self.prompts))
        return self._read(request)

    async def start(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def _overtaken(self, place: int) -> None:
        if self._shuffle is not None:
            for _ in range(int(generator(self._shuffle, "overtaking", place).integers(20))):
                await asyncio.sleep(0)

    def _answer(self, request: CompletionRequest) -> Completion:
        raise NotImplementedError

    def _read(self, request: PromptLogprobsRequest) -> PromptLogprobs:  # noqa: ARG002  -- others read it
        return PromptLogprobs(None, Outcome.ERROR, Usage(), error="this fake has no prompt log-probabilities")


class ScriptedJudge(_FakeLLM):
    """Gives the replies it was given, in the order it is asked, over and over; a Completion is returned as it is."""

    def __init__(self, replies: Sequence[str | Completion], *, logprobs: bool = False) -> None:
        super().__init__(logprobs=logprobs)
        self._replies = tuple(replies)

    def _answer(self, request: CompletionRequest) -> Completion:
        reply = self._replies[(len(self.requests) - 1) % len(self._replies)]
        return reply if isinstance(reply, Completion) else Completion(reply, Outcome.OK, usage_of(request, reply))


class OracleJudge(_FakeLLM):
    """Answers by a rule, wrongly at a set rate.

    Args:
        rule: From a request to the answer: a bool for yes/no, a sequence of bools for a 0/1 list, or the whole reply,
            which is given as it is, whatever the error rate.
        error_rate: Share of answers turned round, drawn from the request itself and so the same in any order.
        seed: Of those draws.
        logprobs: Whether answers are graded.
        shuffle_completion: Let questions overtake each other by this seed.
        prompt_rule: From a request for a prompt's log-probabilities to the numbers to be read off it
            (``harness.llm.readings.read_off``); None for a judge that reports none.
    """

    def __init__(
        self,
        rule: Callable[[CompletionRequest], bool | Sequence[bool] | str],
        *,
        error_rate: float = 0.0,
        seed: int = 0,
        logprobs: bool = True,
        shuffle_completion: int | None = None,
        prompt_rule: Callable[[PromptLogprobsRequest], Sequence[Sequence[float]]] | None = None,
    ) -> None:
        super().__init__(
            logprobs=logprobs, prompt_logprobs=prompt_rule is not None, shuffle_completion=shuffle_completion
        )
        self._rule = rule
        self._prompt_rule = prompt_rule
        self._error_rate = error_rate
        self._seed = seed

    def _answer(self, request: CompletionRequest) -> Completion:
        rng = generator(self._seed, "oracle", fingerprint(request_fields(request)))
        ruled = self._rule(request)
        if isinstance(ruled, str):
            return Completion(ruled, Outcome.OK, usage_of(request, ruled))
        if not isinstance(ruled, bool):
            flags = [bool(flag) != bool(rng.random() < self._error_rate) for flag in ruled]
            reply = str([int(flag) for flag in flags])
            return Completion(reply, Outcome.OK, usage_of(request, reply))
        flag = ruled != bool(rng.random() < self._error_rate)
        yes, no = request.choices or ("Yes", "No")
        # A little noise in the grade, so that a graded score does not live on ties.
        p_yes = min(0.99, max(0.01, (_SURE if flag else 1 - _SURE) + float(rng.uniform(-0.05, 0.05))))
        reply = yes if flag else no
        graded = {yes: math.log(p_yes), no: math.log(1 - p_yes)}
        logprobs = (TokenAlternatives(reply, graded[reply], graded),) if self._logprobs else None
        return Completion(reply, Outcome.OK, usage_of(request, reply), logprobs=logprobs)

    def _read(self, request: PromptLogprobsRequest) -> PromptLogprobs:
        if self._prompt_rule is None:
            return super()._read(request)
        return PromptLogprobs(read_off(request, self._prompt_rule(request)), Outcome.OK, _usage_of_prompt(request))


class FailingJudge(_FakeLLM):
    """Passes questions on to another judge, but lets a drawn share of them fail with ``outcome``.

    With ``Outcome.UNPARSED`` the reply is OK and means nothing, which is for the scorer to notice.
    """

    def __init__(self, inner: _FakeLLM, *, outcome: Outcome, share: float = 1.0, seed: int = 0) -> None:
        able = inner.capabilities
        super().__init__(logprobs=able.logprobs, prompt_logprobs=able.prompt_logprobs)
        self._inner = inner
        self._outcome = outcome
        self._share = share
        self._seed = seed
        self.failures = 0
        """Answers that were made to fail."""

    def _answer(self, request: CompletionRequest) -> Completion:
        first = fingerprint(plain(request.messages[:2]))  # a re-ask fares as the question did
        if generator(self._seed, "failing", first).random() >= self._share:
            return self._inner._answer(request)  # noqa: SLF001  -- one of us
        self.failures += 1
        if self._outcome is Outcome.UNPARSED:
            return Completion("lorem ipsum", Outcome.OK, usage_of(request, "lorem ipsum"))
        return Completion(None, self._outcome, usage_of(request, ""), error=f"made to end as {self._outcome}")

    def _read(self, request: PromptLogprobsRequest) -> PromptLogprobs:
        if generator(self._seed, "failing", request.prompt).random() >= self._share:
            return self._inner._read(request)  # noqa: SLF001  -- one of us
        self.failures += 1
        if self._outcome is Outcome.UNPARSED:
            tokens = (TokenAlternatives("lorem", None), TokenAlternatives(" ipsum", -1.0))
            return PromptLogprobs(tokens, Outcome.OK, _usage_of_prompt(request))
        return PromptLogprobs(None, self._outcome, Usage(1), error=f"made to end as {self._outcome}")


def last_message(request: CompletionRequest) -> str:
    """Return the last user message of ``request``, where the example stands."""
    return next((message.content for message in reversed(request.messages) if message.role == "user"), "")


def usage_of(request: CompletionRequest, reply: str) -> Usage:
    """Return one call's usage, at four characters a token, free of charge."""
    characters = sum(len(message.content) for message in request.messages)
    return Usage(1, characters // _CHARACTERS_PER_TOKEN, max(1, len(reply) // _CHARACTERS_PER_TOKEN), 0.0)


def _usage_of_prompt(request: PromptLogprobsRequest) -> Usage:
    return Usage(1, len(request.prompt) // _CHARACTERS_PER_TOKEN, 0, 0.0)
