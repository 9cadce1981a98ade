from __future__ import annotations

import asyncio

import pytest

from harness.llm.failures import Failure, FailureKind
from harness.llm.gate import BrokenCircuitError, Gate, GateSettings

BUSY = Failure(FailureKind.RATE_LIMIT, "slow down", 429)
BAD = Failure(FailureKind.BAD_REQUEST, "no", 400)


async def test_requests_pass_in_the_order_they_came_and_retries_before_them() -> None:
    gate, passed = Gate(GateSettings(ceiling=1)), list[str]()

    async def go(name: str, *, first: bool = False) -> None:
        ticket = await gate.admit(1, first=first)
        passed.append(name)
        await asyncio.sleep(0)
        gate.came_back(ticket, None)

    holding = await gate.admit(1)
    waiting = [asyncio.ensure_future(go(name)) for name in "abc"]
    await asyncio.sleep(0)
    waiting.append(asyncio.ensure_future(go("retry", first=True)))
    await asyncio.sleep(0)
    gate.came_back(holding, None)
    await asyncio.gather(*waiting)
    assert passed == ["retry", "a", "b", "c"]


async def test_no_more_than_the_limit_are_in_flight_and_all_of_it_is_used() -> None:
    gate, now, most = Gate(GateSettings(ceiling=40)), 0, 0

    async def go() -> None:
        nonlocal now, most
        ticket = await gate.admit(1)
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.05)
        now -= 1
        gate.came_back(ticket, None)

    await asyncio.gather(*(go() for _ in range(400)))
    assert most == 40
    assert gate.in_flight == 0


async def test_a_caller_that_leaves_frees_its_place() -> None:
    gate = Gate(GateSettings(ceiling=1))
    holding = await gate.admit(1)
    leaver = asyncio.ensure_future(gate.admit(1))
    stayer = asyncio.ensure_future(gate.admit(1))
    await asyncio.sleep(0)
    leaver.cancel()
    gate.came_back(holding, None)
    ticket = await asyncio.wait_for(stayer, 1)
    both = asyncio.ensure_future(gate.admit(1))
    await asyncio.sleep(0)
    gate.abandon(ticket)
    both.cancel()  # let through and cancelled in the same turn
    await asyncio.gather(both, return_exceptions=True)
    await asyncio.wait_for(gate.admit(1), 1)


async def test_a_stalled_endpoint_is_tried_with_one_request_at_a_time() -> None:
    gate = Gate(GateSettings(ceiling=8))
    for ticket in [await gate.admit(1) for _ in range(8)]:
        gate.came_back(ticket, BUSY)
    assert gate.limit == 1
    waiting = [asyncio.ensure_future(gate.admit(1)) for _ in range(3)]
    await asyncio.sleep(0.4)
    assert [task.done() for task in waiting] == [True, False, False]
    assert waiting[0].result().stalled
    gate.came_back(waiting[0].result(), None)
    await asyncio.sleep(0)
    assert all(task.done() for task in waiting)


async def test_the_ceiling_per_minute_is_kept() -> None:
    gate = Gate(GateSettings(ceiling=50, requests_per_minute=600))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    tickets = await asyncio.gather(*(gate.admit(1) for _ in range(15)))
    assert loop.time() - begun >= 0.4
    assert len(tickets) == 15


async def test_tokens_per_minute_hold_back_what_follows_a_large_request() -> None:
    gate = Gate(GateSettings(ceiling=50, tokens_per_minute=6000))
    gate.came_back(await gate.admit(150), None, 150)
    begun = asyncio.get_running_loop().time()
    await gate.admit(1)
    assert asyncio.get_running_loop().time() - begun >= 0.3


async def test_an_open_circuit_ends_those_that_wait_and_those_that_come() -> None:
    gate = Gate(GateSettings(ceiling=1))
    ticket = await gate.admit(1)
    waiting = asyncio.ensure_future(gate.admit(1))
    for number in range(19):
        gate.came_back(ticket, BAD)
        ticket = await gate.admit(1, f"explanation {number}", first=True)
    gate.came_back(ticket, BAD)
    with pytest.raises(BrokenCircuitError):
        await waiting
    with pytest.raises(BrokenCircuitError) as caught:
        await gate.admit(1)
    assert caught.value.failure is BAD


async def test_of_two_roles_at_one_endpoint_the_stricter_limits_hold() -> None:
    gate = Gate(GateSettings(ceiling=128))
    gate.tighten(GateSettings(ceiling=8, requests_per_minute=60))
    gate.tighten(GateSettings(ceiling=64, requests_per_minute=600))
    assert gate.ceiling == 8
    tickets = [asyncio.ensure_future(gate.admit(1)) for _ in range(3)]
    await asyncio.sleep(0.2)
    assert [ticket.done() for ticket in tickets] == [True, False, False]
    for ticket in tickets:
        ticket.cancel()


async def test_a_wait_of_a_day_is_not_sat_out_in_silence() -> None:
    gate = Gate(GateSettings(ceiling=1, patience_s=300.0))
    daily = Failure(FailureKind.RATE_LIMIT, "daily limit", 429, 86400.0)
    for _ in range(5):
        gate.came_back(await gate.admit(1), daily)
    with pytest.raises(BrokenCircuitError, match="daily"):
        await gate.admit(1)
