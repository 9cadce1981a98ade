"""An endpoint that says 429 to everything for a while, in a process of its own."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from typing import TYPE_CHECKING

import pytest

from harness.llm.open import open_llm
from tests.support.load import ask_all, judge_config, question
from tests.support.loopback.process import EndpointProcess
from tests.support.loopback.server import EndpointSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.llm.protocol import CompletionRequest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

CEILING = 8
STORM_S = 2.0
MOST_S = 30.0


async def test_a_storm_loses_no_call_and_the_endpoint_is_as_busy_as_before_soon_after(tmp_path: Path) -> None:
    with EndpointProcess(EndpointSettings(latency_s=0.1, most_in_flight=CEILING)) as endpoint:
        llm = open_llm(judge_config(endpoint.url, concurrency=CEILING, max_retries=4), "judge", tmp_path)
        await llm.start()
        recovered = asyncio.Event()

        def questions() -> Iterator[CompletionRequest]:
            for number in count():
                if recovered.is_set():
                    return
                yield question(number)

        async def weather() -> tuple[int, float]:
            await asyncio.sleep(1.0)
            before = await asyncio.to_thread(endpoint.stats)
            await asyncio.to_thread(endpoint.storm, STORM_S)
            await asyncio.sleep(STORM_S)
            over = time.monotonic()
            while time.monotonic() - over < MOST_S:
                await asyncio.to_thread(endpoint.reset)
                await asyncio.sleep(0.3)
                stats = await asyncio.to_thread(endpoint.stats)
                if stats["most_in_flight"] >= CEILING:
                    break
            recovered.set()
            return before["most_in_flight"], time.monotonic() - over

        ended, (busy, took_s) = await asyncio.gather(ask_all(llm, questions(), 2 * CEILING), weather())
        spending = llm.spending
        await llm.close()
    assert busy == CEILING
    assert took_s < MOST_S
    assert ended.ok == sum(ended.outcomes.values()) > 0, ended.errors
    assert spending.failed_attempts > 0
    assert spending.billed.calls == ended.ok
