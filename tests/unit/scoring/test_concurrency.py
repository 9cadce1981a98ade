from __future__ import annotations

import asyncio

import pytest

from harness.api import LLMError, gather_in_order


async def test_results_keep_the_order_of_the_work() -> None:
    async def wait(times: int) -> int:
        for _ in range(times):
            await asyncio.sleep(0)
        return times

    assert await gather_in_order(wait(times) for times in (5, 0, 3)) == [5, 0, 3]


async def test_the_first_error_stops_the_others_before_it_goes_on() -> None:
    stopped = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(True)

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LLMError("no such model")

    with pytest.raises(LLMError, match="no such model"):
        await gather_in_order([forever(), fail(), forever()])
    assert stopped == [True, True]
