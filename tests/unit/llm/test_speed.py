from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from harness.llm.backend import Reply
from harness.llm.failures import AttemptError, Failure, FailureKind
from harness.llm.speed import measure_speed
from harness.outcome import Outcome

if TYPE_CHECKING:
    from harness.llm.protocol import CompletionRequest


@dataclass
class Machine:
    """An endpoint of set speeds, with a clock of its own."""

    latency_s: float = 0.5
    prompt_s: float = 0.01
    output_s: float = 0.1
    counts: bool = True
    now: float = 0.0
    asked: list[CompletionRequest] = field(default_factory=list)

    async def ask(self, request: CompletionRequest) -> Reply:
        self.asked.append(request)
        prompt, output = len(request.messages[0].content) // 4, request.max_tokens
        if len(self.asked) < 5:
            self.now += self.latency_s + self.prompt_s * prompt + self.output_s * (output - 1)
        else:
            self.now += 0.125
        return Reply(Outcome.OK, "x", input_tokens=prompt, output_tokens=output) if self.counts else Reply(Outcome.OK)

    def clock(self) -> float:
        return self.now


async def test_each_speed_is_told_from_the_latency() -> None:
    machine = Machine()
    speed = await measure_speed(machine.ask, seconds=60, ceiling=64, clock=machine.clock)
    assert speed.latency_s == pytest.approx(0.5, abs=0.2)
    assert speed.prompt_tokens_per_s == pytest.approx(100, rel=0.05)
    assert speed.output_tokens_per_s == pytest.approx(10, rel=0.2)
    assert (speed.calls_per_s, speed.at_once, speed.problem) == (8.0, 8, None)
    assert len(machine.asked) == 12


async def test_no_two_questions_begin_alike() -> None:
    machine = Machine()
    await measure_speed(machine.ask, seconds=60, ceiling=3, clock=machine.clock)
    begins = [request.messages[0].content.split()[0] for request in machine.asked]
    assert len(set(begins)) == len(begins) == 7


async def test_a_short_context_is_not_overrun() -> None:
    machine = Machine()
    await measure_speed(machine.ask, seconds=60, ceiling=1, context_tokens=200, clock=machine.clock)
    assert max(len(request.messages[0].content) // 4 for request in machine.asked) < 150


async def test_what_is_not_counted_is_not_measured() -> None:
    machine = Machine(counts=False)
    speed = await measure_speed(machine.ask, seconds=60, ceiling=1, clock=machine.clock)
    assert (speed.prompt_tokens_per_s, speed.output_tokens_per_s) == (None, None)
    assert speed.latency_s is not None


async def test_a_failure_ends_the_measurement_and_is_told() -> None:
    machine = Machine()

    async def fail_later(request: CompletionRequest) -> Reply:
        if len(machine.asked) == 2:
            raise AttemptError(Failure(FailureKind.RATE_LIMIT, "slow down", 429))
        return await machine.ask(request)

    speed = await measure_speed(fail_later, seconds=60, ceiling=1, clock=machine.clock)
    assert speed.latency_s is not None
    assert speed.prompt_tokens_per_s is None
    assert speed.problem == "rate limit (HTTP 429): slow down"


async def test_a_slow_endpoint_is_left_in_time() -> None:
    async def never(_request: CompletionRequest) -> Reply:
        await asyncio.sleep(60)
        raise AssertionError

    speed = await measure_speed(never, seconds=0.05, ceiling=1)
    assert speed.latency_s is None
    assert "within" in (speed.problem or "")
