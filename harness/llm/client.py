"""The language model of one role: cache, in-flight sharing, one gate per endpoint, retries, accounting."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.errors import LLMError
from harness.llm.asking import Asking, Call
from harness.llm.backend import Reply
from harness.llm.diagnosis import diagnose, diagnose_broken
from harness.llm.estimator import request_bytes
from harness.llm.facts import EndpointFacts
from harness.llm.failures import FATAL, AttemptError, FailureKind
from harness.llm.gate import BrokenCircuitError
from harness.llm.inflight import SingleFlight
from harness.llm.keys import completion_key, effective_seed, prompt_key
from harness.llm.ledger import Ledger, usage_of
from harness.llm.pioneers import Pioneers, prefix_of
from harness.llm.protocol import Completion, PromptLogprobs
from harness.llm.retry import RetryPolicy, with_retries
from harness.llm.too_long import said_too_long
from harness.llm.traffic import Traffic
from harness.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from harness.llm.backend import Backend
    from harness.llm.cache import AnswerCache
    from harness.llm.diagnosis import Place
    from harness.llm.endpoint_memory import EndpointMemory
    from harness.llm.facts import StatedFacts
    from harness.llm.failures import Failure
    from harness.llm.gate import GateSettings
    from harness.llm.protocol import Capabilities, CompletionRequest, PromptLogprobsRequest, Spending

__all__ = ["Client", "ClientSettings"]

_FORBIDDEN = 403


@dataclass(frozen=True)
class ClientSettings:
    """What a client is made of beside its backend and cache.

    Attributes:
        place: Where it stands in the configuration.
        identity: What names the model in records.
        key_fields: Everything about the endpoint that can change an answer; part of every cache key.
        stated: What the configuration says the endpoint can do.
        memory: What was found out about it before, and where that is kept; None if it is not.
        gate: How hard the endpoint may be asked.
        policy: How failed attempts are repeated.
        seed: Sampling seed of requests that bring none.
        sleep: Waits between retries; a fake clock in tests.
    """

    place: Place
    identity: Mapping[str, Any]
    key_fields: Mapping[str, Any]
    stated: StatedFacts
    gate: GateSettings
    policy: RetryPolicy
    seed: int | None = None
    memory: EndpointMemory | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Client:
    """A language model in one role; see ``harness.llm.protocol.LLM``. Used from one event loop only.

    Args:
        settings: How it behaves.
        backend: What answers.
        cache: Where answers are kept.
        traffic: What the roles of a run share; None for nothing.
    """

    def __init__(
        self, settings: ClientSettings, backend: Backend, cache: AnswerCache, traffic: Traffic | None = None
    ) -> None:
        self._settings = settings
        self._backend = backend
        self._cache = cache
        self._ledger = Ledger()
        self._flights: SingleFlight[Reply] = SingleFlight()
        self._traffic = traffic or Traffic()
        self.gate, estimator = self._traffic.gate(settings.place.address, settings.gate)
        self._asking = Asking(
            gate=self.gate,
            estimator=estimator,
            budget=self._traffic.budget,
            policy=settings.policy,
            price=lambda: self._backend.price,
            on_failure=lambda _: self._ledger.fail(),
            enters_late=lambda: self._backend.enters_late,
            sleep=settings.sleep,
        )
        self._pioneers = Pioneers()
        self._starting = asyncio.Lock()
        self._started = False
        self._known = None if settings.memory is None else settings.memory.recall()
        self._facts = self._known or settings.stated.over(EndpointFacts())

    @property
    def role(self) -> str:
        """Return ``explainer`` or ``judge``."""
        return self._settings.place.role

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return plain data naming the model, its revision or digest, and the endpoint; never a key."""
        return self._settings.identity

    @property
    def capabilities(self) -> Capabilities:
        """Return what the endpoint can do."""
        return self._facts.capabilities

    @property
    def modes(self) -> Mapping[str, Any]:
        """Return how questions are really put and what comes with answers; final once started or remembered."""
        return self._facts.modes

    @property
    def spending(self) -> Spending:
        """Return what this role has spent so far in this process."""
        return self._ledger.spending

    @property
    def price_facts(self) -> Mapping[str, Any]:
        """Return what tokens cost, per million, and where that is from; final once started."""
        return self._backend.price.facts()

    async def start(self) -> None:
        """Check that the endpoint answers, the key is accepted and the model is known; idempotent.

        Raises:
            LLMError: If not.
        """
        async with self._starting:
            if self._started:
                return
            # A wrong URL or key is the likely cause here, and deserves an answer at once rather than patience.
            policy = replace(self._settings.policy, max_retries=min(1, self._settings.policy.max_retries))
            # A cache that cannot be written is told of before anything is paid for.
            await asyncio.to_thread(self._cache.open)
            try:
                await self._backend.start()
                self._check_price()
                await with_retries(
                    self._backend.check,
                    policy,
                    "start",
                    on_failure=lambda _: self._ledger.fail(),
                    sleep=self._settings.sleep,
                )
                self._facts = self._known or await self._backend.learn(self._settings.stated)
            except AttemptError as error:
                raise diagnose(error.failure, self._settings.place) from None
            if self._known is None and self._settings.memory is not None:
                self._settings.memory.remember(self._facts)
            self._known = self._facts
            self._backend.adopt(self._facts)
            self._started = True

    async def complete(self, request: CompletionRequest) -> Completion:
        """Return the answer to ``request``, from the cache where it has it.

        Raises:
            LLMError: For what no retry or other question can mend, or log-probabilities the endpoint does not give.
        """
        await self._know()
        if request.top_logprobs and not self.capabilities.logprobs:
            raise self._missing("reports no token log-probabilities", "set {logprobs}=true if it can")
        seed = effective_seed(request, self._settings.seed)
        key = completion_key(self._key_fields(), request, seed)
        prefix = prefix_of(request)
        call = Call(
            lambda: self._backend.complete(request, seed),
            key,
            request_bytes(request),
            request.max_tokens,
            group=prefix or key,
        )
        reply, cached = await self._answer(call, prefix if self._backend.marks_prefixes else None)
        return Completion(
            text=reply.text,
            outcome=reply.outcome,
            usage=usage_of(reply, self._backend.price),
            logprobs=reply.logprobs,
            finish_reason=reply.finish_reason,
            error=reply.error,
            cached=cached,
        )

    async def prompt_logprobs(self, request: PromptLogprobsRequest) -> PromptLogprobs:
        """Return the prompt's token log-probabilities.

        Raises:
            LLMError: As ``complete``; also if the endpoint cannot report them.
        """
        await self._know()
        if not self.capabilities.prompt_logprobs:
            hint = "use a server with echoed log-probabilities (vLLM) and {prompt_logprobs}=true"
            raise self._missing("reports no log-probabilities of prompt tokens", hint)
        key = prompt_key(self._key_fields(), request)
        call = Call(lambda: self._backend.prompt_logprobs(request), key, request_bytes(request), 1)
        reply, cached = await self._answer(call)
        usage = usage_of(reply, self._backend.price)
        return PromptLogprobs(reply.logprobs, reply.outcome, usage, error=reply.error, cached=cached)

    async def close(self) -> None:
        """Release connections, servers and files; idempotent."""
        async with self._starting:
            self._started = False
            await self._backend.close()
            self._cache.close()

    async def _know(self) -> None:
        """Start if what the endpoint can do is neither stated nor remembered: without it there is no cache key."""
        if self._known is None and not self._settings.stated.complete:
            await self.start()

    def _key_fields(self) -> dict[str, Any]:
        return {**self._settings.key_fields, "wire": self._facts.wire_fields}

    async def _answer(self, call: Call, prefix: str | None = None) -> tuple[Reply, bool]:
        """Return the answer and whether it cost nothing: it was stored, or somebody else is asking the same."""
        key = call.purpose
        stored = self._cache.get(key)
        if stored is not None:
            self._ledger.reuse(stored, self._backend.price)
            return stored, True
        reply, asked = await self._flights.run(key, lambda: self._ask(call, prefix))
        if not asked:
            self._ledger.reuse(reply, self._backend.price)
        return reply, not asked

    async def _ask(self, call: Call, prefix: str | None) -> Reply:
        if prefix is None:
            return await self._ask_now(call)
        return await self._pioneers.run(prefix, lambda: self._ask_now(call))

    async def _ask_now(self, call: Call) -> Reply:
        if not self._started:
            await self.start()
        try:
            reply = await self._asking.ask(call)
        except AttemptError as error:
            return self._failed(error, call)
        except BrokenCircuitError as error:
            raise diagnose_broken(error.failure, error.why, self._settings.place) from None
        self._ledger.bill(reply, self._backend.price)
        await self._cache.aput(call.purpose, self._settings.place.model, reply)
        return reply

    def _failed(self, error: AttemptError, call: Call) -> Reply:
        failure = error.failure
        # Gateways and moderation layers answer 403 to a text they do not like; a key that worked is not the cause.
        moderated = failure.status == _FORBIDDEN and self._ledger.spending.billed.calls > 0
        if failure.kind in FATAL and not moderated:
            raise diagnose(failure, self._settings.place) from None
        refused = moderated or failure.kind is FailureKind.REFUSED
        outcome = Outcome.REFUSED if refused else Outcome.ERROR
        said = self._too_long(failure, call) if failure.kind is FailureKind.CONTEXT else failure.line
        return Reply(outcome, error=said, answered=False)

    def _too_long(self, failure: Failure, call: Call) -> str:
        return said_too_long(
            failure,
            self._settings.place,
            backend=str(self._settings.identity.get("backend")),
            expected_tokens=self._asking.expected_tokens(call),
            context_tokens=self._facts.context_tokens,
        )

    def _check_price(self) -> None:
        place = self._settings.place
        self._traffic.budget.check_price(
            known=self._backend.price.known,
            endpoint=place.model,
            where=place.key("input_usd_per_mtok and output_usd_per_mtok"),
        )

    def _missing(self, what: str, hint: str) -> LLMError:
        place = self._settings.place
        names = {name: place.key(name) for name in ("logprobs", "prompt_logprobs")}
        return LLMError(f"{place.endpoint} {what}", where=place.key("model"), hint=hint.format(**names))
