from __future__ import annotations

import asyncio
from functools import partial
from itertools import pairwise

import pytest

from harness.llm.desk import Desk, at_desk, current_seat


async def test_calls_are_worked_on_one_after_another_in_the_order_they_came() -> None:
    desk, now, order = Desk(), 0, list[int]()

    async def work(number: int) -> None:
        nonlocal now
        now += 1
        assert now == 1
        await asyncio.sleep(0.001)
        order.append(number)
        now -= 1

    await asyncio.gather(*(at_desk(desk.seat(), partial(work, number)) for number in range(20)))
    assert order == list(range(20))


async def test_who_waits_for_a_reply_lets_others_work_and_what_has_arrived_goes_first() -> None:
    desk, events = Desk(), list[str]()
    arrived = asyncio.Event()

    async def asks() -> None:
        seat = current_seat()
        assert seat is not None
        events.append("written")
        seat.give()
        seat.give()
        await arrived.wait()
        events.append("arrived")
        await seat.take()
        await seat.take()
        events.append("read")

    async def other() -> None:
        events.append("other")
        arrived.set()

    await asyncio.gather(at_desk(desk.seat(), asks), at_desk(desk.seat(), other))
    assert events == ["written", "other", "arrived", "read"]
    assert current_seat() is None


async def test_the_loop_is_free_between_two_calls() -> None:
    desk, rounds, at = Desk(), 0, list[int]()

    async def tick() -> None:
        nonlocal rounds
        while len(at) < 5:
            rounds += 1
            await asyncio.sleep(0)

    async def work() -> None:
        at.append(rounds)

    ticking = asyncio.ensure_future(tick())
    await asyncio.gather(*(at_desk(desk.seat(), work) for _ in range(5)))
    await ticking
    assert all(later - earlier >= 4 for earlier, later in pairwise(at))


async def test_a_call_that_fails_or_is_cancelled_leaves_the_seat() -> None:
    desk = Desk()

    async def fail() -> None:
        message = "no"
        raise ValueError(message)

    with pytest.raises(ValueError, match="no"):
        await at_desk(desk.seat(), fail)
    hanging = asyncio.ensure_future(at_desk(desk.seat(), lambda: asyncio.sleep(60)))
    waiting = asyncio.ensure_future(at_desk(desk.seat(), lambda: asyncio.sleep(60)))
    await asyncio.sleep(0.01)
    waiting.cancel()
    hanging.cancel()
    await asyncio.gather(hanging, waiting, return_exceptions=True)
    assert await asyncio.wait_for(at_desk(desk.seat(), lambda: asyncio.sleep(0, "done")), 1) == "done"
