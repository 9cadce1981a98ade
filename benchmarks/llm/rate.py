"""What the harness adds to litellm: call rate at zero latency, and CPU time per call.

Bare ``litellm.acompletion`` and the harness ask the same endpoint the same questions on the same loop, in turns, each
time with questions not asked before; medians of all turns. The endpoint is another process, so process time is the
client's alone: threads included, and with them the cache's.

The stated limits: at least 80 % of bare litellm's rate, and at most 1 ms more CPU time per call.
"""

from __future__ import annotations

import asyncio
import importlib
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.llm.figures import Figures
from harness.llm.open import open_llm
from harness.llm.wire import WireFormat, chat_params
from tests.support.load import judge_config, question
from tests.support.loopback.process import EndpointProcess

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from harness.llm.protocol import CompletionRequest

CALLS = 600
TURNS = 5
AT_ONCE = 32
LEAST_RATE = 0.80
MOST_CPU_MS = 1.0


@dataclass(frozen=True)
class Turn:
    """One turn's calls per second and CPU milliseconds per call."""

    rate: float
    cpu_ms: float


async def turn(ask: Callable[[CompletionRequest], Awaitable[Any]], number: int) -> Turn:
    """Ask ``CALLS`` new questions, ``AT_ONCE`` callers at once."""
    queue = iter(question(place, purpose=f"turn {number}") for place in range(CALLS))

    async def work() -> None:
        for request in queue:
            await ask(request)

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return Turn(CALLS / (time.perf_counter() - wall), (time.process_time() - cpu) / CALLS * 1000)


async def measure(url: str, cache: Path) -> tuple[list[Turn], list[Turn]]:
    """Return the turns of bare litellm and of the harness."""
    llm = open_llm(judge_config(url, concurrency=AT_ONCE), "judge", cache)
    await llm.start()  # sets litellm up as the harness does: quiet, and without the network
    litellm: Any = importlib.import_module("litellm")
    wire = WireFormat()

    async def bare(request: CompletionRequest) -> None:
        params = chat_params(request, wire, None)
        await litellm.acompletion(
            model="openai/m", api_base=url, api_key="none", timeout=120.0, max_retries=0, num_retries=0, **params
        )

    async def ours(request: CompletionRequest) -> None:
        await llm.complete(request)

    hides_messages = litellm.turn_off_message_logging
    found: tuple[list[Turn], list[Turn]] = ([], [])
    for number in range(TURNS + 1):
        for side, ask in enumerate((bare, ours)):
            # Bare litellm is measured as it comes: hiding messages from its logs is the harness's wish, and costs.
            litellm.turn_off_message_logging = hides_messages and ask is ours
            made = await turn(ask, 2 * number + side)
            if number:  # the first turn of each opens connections and imports what is imported late
                found[side].append(made)
    await llm.close()
    await litellm.close_litellm_async_clients()
    return found


def main() -> None:
    """Print the figures."""
    figures = Figures(f"rate and CPU: {TURNS} turns of {CALLS} calls each, {AT_ONCE} at once, zero latency")
    with EndpointProcess() as endpoint, tempfile.TemporaryDirectory() as cache:
        bare, ours = asyncio.run(measure(endpoint.url, Path(cache)))
    rates = [statistics.median(made.rate for made in side) for side in (bare, ours)]
    cpus = [statistics.median(made.cpu_ms for made in side) for side in (bare, ours)]
    figures.note("bare litellm: calls per second", rates[0])
    figures.note("bare litellm: CPU per call", cpus[0], "ms")
    figures.note("harness: calls per second", rates[1])
    figures.note("harness: CPU per call", cpus[1], "ms")
    figures.at_least("rate of the harness over bare litellm", rates[1] / rates[0], LEAST_RATE, "x")
    figures.at_most("CPU per call beyond litellm's", cpus[1] - cpus[0], MOST_CPU_MS, "ms")
    figures.end()


if __name__ == "__main__":
    main()
