"""A storm of 429 in the middle of a run at full concurrency: ten seconds in which the endpoint answers nothing else.

The stated limits: no call is lost, and 30 s after the storm at the latest the client has as many requests in flight as
before it. A call is answered after 0.5 s otherwise; callers come back for more until that time is over.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.llm.figures import Figures
from harness.llm.open import open_llm
from tests.support.load import Ended, ask_all, judge_config, question
from tests.support.loopback.process import EndpointProcess
from tests.support.loopback.server import EndpointSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.llm.protocol import CompletionRequest

CEILING = 32
LATENCY_S = 0.5
BEFORE_S = 10.0
STORM_S = 10.0
AFTER_S = 35.0
RECOVERY_S = 30.0
STEP_S = 2.5
FULL = 0.95  # of the ceiling, as the endpoint sees it between two answers


@dataclass(frozen=True)
class Weathered:
    """What became of the calls, the endpoint's counts, when the storm began on its clock, and the client's limits."""

    ended: Ended
    stats: dict[str, Any]
    storm_began_s: float
    limits: list[tuple[float, int]]


async def weather(endpoint: EndpointProcess, cache: Path) -> Weathered:
    """Keep the endpoint busy before, in and after a storm."""
    llm: Any = open_llm(judge_config(endpoint.url, concurrency=CEILING), "judge", cache)
    await llm.start()
    began = time.monotonic()
    end = began + BEFORE_S + STORM_S + AFTER_S
    limits: list[tuple[float, int]] = []
    endpoint.reset()

    def questions() -> Iterator[CompletionRequest]:
        for number in count():
            if time.monotonic() > end:
                return
            yield question(number)

    async def watch() -> None:
        while time.monotonic() < end:
            limits.append((time.monotonic() - began, llm.gate.limit))
            await asyncio.sleep(STEP_S / 10)

    async def storm() -> float:
        await asyncio.sleep(BEFORE_S)
        begins: float = (await asyncio.to_thread(endpoint.stats))["now_s"]
        await asyncio.to_thread(endpoint.storm, STORM_S)
        return begins

    ended, storm_began_s, _ = await asyncio.gather(ask_all(llm, questions(), 2 * CEILING), storm(), watch())
    await llm.close()
    return Weathered(ended, await asyncio.to_thread(endpoint.stats), storm_began_s, limits)


def main() -> None:
    """Print the figures."""
    figures = Figures(f"storm: {STORM_S:g} s of nothing but 429, {CEILING} calls of {LATENCY_S:g} s in flight")
    settings = EndpointSettings(latency_s=LATENCY_S, most_in_flight=CEILING)
    with EndpointProcess(settings) as endpoint, tempfile.TemporaryDirectory() as cache:
        seen = asyncio.run(weather(endpoint, Path(cache)))
    over = seen.storm_began_s + STORM_S
    full = [when for when, *_, most in seen.stats["timeline"] if when >= over and most >= FULL * CEILING]
    at_ceiling = [when for when, limit in seen.limits if when >= over and limit >= CEILING]
    asked = sum(seen.ended.outcomes.values())
    figures.note("calls", asked)
    figures.exactly("calls lost (without an answer)", asked - seen.ended.ok, 0)
    figures.exactly("calls answered twice", seen.stats["answered"] - seen.stats["distinct_answered"], 0)
    never = float("inf")
    figures.at_most("seconds until the endpoint is as busy as before", min(full, default=never) - over, RECOVERY_S, "s")
    figures.at_most(
        "seconds until the client's limit is its ceiling", min(at_ceiling, default=never) - over, RECOVERY_S, "s"
    )
    figures.note("requests refused in the storm", seen.stats["by_kind"].get("storm", 0))
    print("   seconds after its beginning: limit, most in flight, answered, refused")
    for step in range(int(-BEFORE_S / STEP_S), int((STORM_S + AFTER_S) / STEP_S)):
        low, high = (seen.storm_began_s + step * STEP_S + edge for edge in (0.0, STEP_S))
        rows = [row for row in seen.stats["timeline"] if low <= row[0] < high]
        limit = [limit for when, limit in seen.limits if low <= when < high]
        busiest, answered, refused = (
            max((row[4] for row in rows), default=0),
            sum(r[2] for r in rows),
            sum(r[3] for r in rows),
        )
        print(f"   {step * STEP_S:>8.1f} s {limit[-1] if limit else '':>6}{busiest:>6}{answered:>6}{refused:>6}")
    figures.end()


if __name__ == "__main__":
    main()
