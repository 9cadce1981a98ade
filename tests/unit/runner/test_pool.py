from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.runner.pool import run_bounded


@given(st.lists(st.integers(), max_size=20), st.integers(1, 8))
def test_every_unit_is_worked_once_in_order_of_start(units: list[int], limit: int) -> None:
    started: list[int] = []

    async def work(unit: int) -> None:
        started.append(unit)
        await asyncio.sleep(0)

    asyncio.run(run_bounded(units, work, limit))
    assert started == units


async def test_never_more_than_the_limit_at_once() -> None:
    running = 0
    most = 0

    async def work(_: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1

    await run_bounded(range(20), work, 3)
    assert most == 3


async def test_an_exception_ends_the_rest_and_is_raised() -> None:
    done: list[int] = []
    cancelled: list[int] = []

    async def work(unit: int) -> None:
        if unit == 2:
            raise ValueError(unit)
        try:
            await asyncio.sleep(10 if unit == 1 else 0)
        except asyncio.CancelledError:
            cancelled.append(unit)
            raise
        done.append(unit)

    with pytest.raises(ValueError, match="2"):
        await run_bounded(range(100), work, 2)
    assert done == [0]
    assert cancelled == [1]
