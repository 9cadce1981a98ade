"""How fast an endpoint answers, measured with a dozen short calls."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.llm.failures import AttemptError
from harness.llm.protocol import CompletionRequest, Message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from harness.llm.backend import Reply

__all__ = ["Speed", "measure_speed"]

_SHORT_CALLS = 2
_MOST_AT_ONCE = 8
_SENTENCE_TOKENS = 20
_MOST_SENTENCES = 30
_OUTPUT_TOKENS = 48


@dataclass
class Speed:
    """What was measured; None where it was not: out of time, refused, or the endpoint counts no tokens.

    Attributes:
        latency_s: Seconds of a short call with one token of answer, the quicker of two.
        prompt_tokens_per_s: Tokens of a prompt the endpoint has not seen before, read per second.
        output_tokens_per_s: Tokens written per second by a call that is alone.
        calls_per_s: Short calls answered per second, ``at_once`` of them in flight.
        at_once: How many.
        problem: Why the rest was not measured.
    """

    latency_s: float | None = None
    prompt_tokens_per_s: float | None = None
    output_tokens_per_s: float | None = None
    calls_per_s: float | None = None
    at_once: int = field(default=_MOST_AT_ONCE)
    problem: str | None = None


async def measure_speed(
    ask: Callable[[CompletionRequest], Awaitable[Reply]],
    *,
    seconds: float,
    ceiling: int,
    context_tokens: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Return how fast the endpoint is, as far as that can be found out in time.

    Args:
        ask: One attempt at a chat completion.
        seconds: When to stop.
        ceiling: Most calls in flight.
        context_tokens: The longest prompt with its answer, where it is known.
        clock: Seconds.
    """
    speed = Speed(at_once=min(ceiling, _MOST_AT_ONCE))
    try:
        async with asyncio.timeout(seconds):
            await _measure(_Stopwatch(ask, clock), speed, context_tokens)
    except TimeoutError:
        speed.problem = f"not all was measured within {seconds:.0f} s"
    except AttemptError as error:
        speed.problem = error.failure.line
    return speed


class _Stopwatch:
    def __init__(self, ask: Callable[[CompletionRequest], Awaitable[Reply]], clock: Callable[[], float]) -> None:
        self._ask = ask
        self._clock = clock
        self._number = 0
        # No two calls, of no two times, begin alike: a prefix the endpoint has kept would be read in no time.
        self._name = time.time_ns()

    async def time(self, text: str, max_tokens: int, calls: int = 1) -> tuple[float, Reply]:
        """Return the seconds until all of ``calls`` equal questions are answered, and one answer."""
        began = self._clock()
        replies = await asyncio.gather(*(self._ask(self._request(text, max_tokens)) for _ in range(calls)))
        return max(self._clock() - began, 1e-6), replies[0]

    def _request(self, text: str, max_tokens: int) -> CompletionRequest:
        self._number += 1
        return CompletionRequest((Message("user", f"{self._name}.{self._number} {text}"),), max_tokens=max_tokens)


async def _measure(watch: _Stopwatch, speed: Speed, context_tokens: int | None) -> None:
    short = [await watch.time("Say yes.", 1) for _ in range(_SHORT_CALLS)]
    latency, reply = min(short, key=lambda one: one[0])
    speed.latency_s = latency
    # Its own prompt is read within the latency.
    begun_with = reply.input_tokens or 0

    most = _MOST_SENTENCES if context_tokens is None else min(_MOST_SENTENCES, context_tokens // 2 // _SENTENCE_TOKENS)
    cargo = (
        f"{n}. The ship left the harbour at dawn with {n * 37 % 1000} sacks of grain." for n in range(max(most, 1))
    )
    seconds, reply = await watch.time(" ".join(cargo), 1)
    if reply.input_tokens:
        speed.prompt_tokens_per_s = _rate(reply.input_tokens, begun_with, seconds, latency)

    seconds, reply = await watch.time("Write the numbers from one to fifty as words.", _OUTPUT_TOKENS)
    if reply.output_tokens:
        speed.output_tokens_per_s = _rate(reply.output_tokens, 1, seconds, latency)

    seconds, _ = await watch.time("Say yes.", 1, calls=speed.at_once)
    speed.calls_per_s = speed.at_once / seconds


def _rate(tokens: int, less: int, seconds: float, latency: float) -> float:
    """Return tokens per second beyond a short call; over the whole time where the difference is mostly noise."""
    if seconds < 2 * latency or tokens <= less:
        return tokens / seconds
    return (tokens - less) / (seconds - latency)
