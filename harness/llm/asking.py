"""One call from the first attempt to an answer or to giving up: gate, budget, retries, deadline."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.llm.budget import Cost
from harness.llm.door import Door, passing
from harness.llm.failures import RETRYABLE, AttemptError, Failure, FailureKind
from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from harness.llm.backend import Reply
    from harness.llm.budget import Budget
    from harness.llm.estimator import TokenEstimator
    from harness.llm.gate import Gate
    from harness.llm.price import Price
    from harness.llm.retry import RetryPolicy

__all__ = ["Asking", "Call"]

_ENDPOINTS_OWN = frozenset({FailureKind.UNREACHABLE, FailureKind.RATE_LIMIT})
_MAYBE_BILLED = frozenset({FailureKind.TIMEOUT, FailureKind.DROPPED, FailureKind.MALFORMED})


@dataclass(frozen=True, slots=True)
class Call:
    """One call to be made.

    Attributes:
        attempt: Asks once; raises AttemptError if that fails.
        purpose: Names the call; distinct calls wait distinct times.
        prompt_bytes: Size of its prompt.
        output_tokens: The most tokens its answer may have.
        group: Name of the questions it is asked with; empty for a question that stands alone.
    """

    attempt: Callable[[], Awaitable[Reply]]
    purpose: str
    prompt_bytes: int
    output_tokens: int
    group: str = ""


@dataclass(frozen=True, slots=True)
class Asking:
    """How calls to one endpoint are made.

    Attributes:
        gate: The endpoint's gate.
        estimator: What is known of its tokens.
        budget: What the run may spend.
        policy: How failed attempts are repeated.
        price: What tokens cost there.
        on_failure: Told of every failed attempt.
        enters_late: Whether attempts go through the current door themselves, when they send their requests.
        sleep: Waits between attempts; a fake clock in tests.
        clock: Seconds, monotonic.
    """

    gate: Gate
    estimator: TokenEstimator
    budget: Budget
    policy: RetryPolicy
    price: Callable[[], Price]
    on_failure: Callable[[Failure], None]
    enters_late: Callable[[], bool] = lambda: False
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic

    async def ask(self, call: Call) -> Reply:
        """Return the answer to ``call``.

        A failed attempt counts against ``max_retries`` unless the endpoint could not be reached, limited our rate or
        was stalled, answering nobody: then the fault is not the question's, and the endpoint is given more time, up to
        four times as many attempts. Waiting for the gate counts against nothing.

        Raises:
            AttemptError: The last failure, once attempts or time are spent, or at once if it is not retryable.
            BrokenCircuitError: If the endpoint will not answer any more.
            BudgetError: If the call could pass a limit.
        """
        left_s = self.policy.deadline_s
        counted = 0
        most = self._most(call)
        for number in range(self.policy.most_attempts):
            door = self._door(call, most, first=number > 0)
            result = await self._attempt(call, door, most, left_s)
            left_s -= door.seconds
            if not isinstance(result, Failure):
                return result
            if result.kind not in RETRYABLE or result.kind is FailureKind.DEADLINE:
                raise AttemptError(result)
            counted += not (door.stalled or result.kind in _ENDPOINTS_OWN)
            if counted > self.policy.max_retries or number + 1 == self.policy.most_attempts:
                raise AttemptError(result)
            jitter = float(generator(0, "llm", "retry", call.purpose, number).random())
            wait_s = self.policy.delay(number, result, jitter)
            left_s -= wait_s
            if left_s <= 0:
                raise AttemptError(self._too_late(result, number + 1))
            await self.sleep(wait_s)
        message = "a policy without attempts"
        raise ValueError(message)

    def _door(self, call: Call, most: Cost, *, first: bool) -> Door:
        return Door(
            self.gate,
            self.expected_tokens(call),
            call.group or call.purpose,
            first=first,
            set_aside=lambda: self.budget.reserve(most),
            clock=self.clock,
        )

    async def _attempt(self, call: Call, door: Door, most: Cost, left_s: float) -> Reply | Failure:
        try:
            if not self.enters_late():
                await door.enter()
            with passing(door):
                async with door.within(left_s):
                    reply = await call.attempt()
                # Answered past the door, by connections that are not ours: billed all the same, so it counts.
                await door.enter()
        except AttemptError as error:
            if door.turned_away is not None:
                raise door.turned_away from None
            return self._failed(door, most, error.failure)
        except TimeoutError:
            message = f"no answer within the deadline of {self.policy.deadline_s:g} s"
            return self._failed(door, most, Failure(FailureKind.DEADLINE, message))
        except BaseException:
            # Cancelled in flight: the endpoint may well have answered, and billed, what nobody heard.
            door.abandon()
            self._settle(door, most, most)
            raise
        spent = self._spent(call, reply)
        door.ended(None, spent.tokens)
        self._settle(door, most, spent)
        self.estimator.learn(call.prompt_bytes, reply.input_tokens)
        return reply

    def _failed(self, door: Door, most: Cost, failure: Failure) -> Failure:
        self.on_failure(failure)
        door.ended(failure)
        # What was cut off on its way back was written, and may be billed; a budget counts it.
        billed = failure.kind in _MAYBE_BILLED or failure.kind is FailureKind.DEADLINE
        self._settle(door, most, most if billed else Cost())
        return failure

    def _settle(self, door: Door, set_aside: Cost, spent: Cost) -> None:
        if door.entered:
            self.budget.settle(set_aside, spent)

    def _too_late(self, failure: Failure, attempts: int) -> Failure:
        message = (
            f"gave up after {attempts} attempts, near the deadline of {self.policy.deadline_s:g} s: {failure.line}"
        )
        return Failure(failure.kind, message, failure.status)

    def expected_tokens(self, call: Call) -> int:
        """Return how many tokens a call will probably take, its answer counted at its longest."""
        return self.estimator.expected(call.prompt_bytes) + call.output_tokens

    def _most(self, call: Call) -> Cost:
        tokens = self.estimator.at_most(call.prompt_bytes)
        return Cost(tokens + call.output_tokens, self.price().usd(tokens, call.output_tokens))

    def _spent(self, call: Call, reply: Reply) -> Cost:
        known = reply.input_tokens is not None
        tokens_in = reply.input_tokens if known else self.estimator.at_most(call.prompt_bytes)
        tokens_out = reply.output_tokens if reply.output_tokens is not None else call.output_tokens
        usd = self.price().usd(tokens_in, tokens_out, reply.cached_input_tokens)
        return Cost((tokens_in or 0) + tokens_out, usd)
