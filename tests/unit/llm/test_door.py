from __future__ import annotations

import asyncio

import pytest

from harness.errors import BudgetError
from harness.llm.door import Door, current_door, passing, time_limit
from harness.llm.failures import Failure, FailureKind
from harness.llm.gate import BrokenCircuitError, Gate, GateSettings

BUSY = Failure(FailureKind.RATE_LIMIT, "slow down", 429)
ILL = Failure(FailureKind.OVERLOADED, "boom", 500)
BAD = Failure(FailureKind.BAD_REQUEST, "no", 400)


def gate_of(ceiling: int = 1) -> Gate:
    return Gate(GateSettings(ceiling=ceiling))


async def test_a_place_is_free_once_a_reply_was_read_and_not_once_more_when_it_was_judged() -> None:
    gate = gate_of()
    door, following = Door(gate, 1, "a"), Door(gate, 1, "b")
    await door.enter()
    waiting = asyncio.ensure_future(following.enter())
    await asyncio.sleep(0)
    assert (gate.in_flight, waiting.done()) == (1, False)
    door.landed(None)
    await asyncio.wait_for(waiting, 1)
    door.landed(None)
    door.ended(None, 7)
    assert gate.in_flight == 1
    following.ended(None)
    assert gate.in_flight == 0


async def test_a_refusal_lowers_the_limit_before_the_next_request_is_let_through() -> None:
    gate = gate_of(8)
    doors = [Door(gate, 1, "a") for _ in range(8)]
    for door in doors:
        await door.enter()
    waiting = [asyncio.ensure_future(Door(gate, 1, "b").enter()) for _ in range(4)]
    doors[0].landed(BUSY)
    doors[1].landed(None)
    await asyncio.sleep(0)
    assert gate.limit == 5
    assert [task.done() for task in waiting] == [False] * 4
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_refusal_is_heard_once_whether_its_head_or_its_body_told_it() -> None:
    for told in (BUSY, None):
        gate = gate_of(10)
        door = Door(gate, 1, "a")
        await door.enter()
        door.landed(told)
        door.ended(BUSY)
        assert (gate.limit, gate.in_flight) == (7, 0)


async def test_what_never_landed_leaves_its_place_when_it_ends_or_is_given_up() -> None:
    gate = gate_of(3)
    doors = [Door(gate, 1, "a") for _ in range(3)]
    for door in doors:
        await door.enter()
    doors[0].ended(ILL)
    doors[1].abandon()
    doors[2].landed(None)
    doors[2].abandon()
    assert gate.in_flight == 0
    Door(gate, 1, "a").abandon()
    Door(gate, 1, "a").ended(None)
    assert gate.in_flight == 0
    assert doors[2].seconds >= 0.0


async def test_a_further_request_of_one_attempt_needs_no_leave_and_is_paid_for_once() -> None:
    gate, set_aside = gate_of(), 0

    async def count() -> None:
        nonlocal set_aside
        set_aside += 1

    door = Door(gate, 1, "a", set_aside=count)
    await door.enter()
    await asyncio.wait_for(door.enter(), 1)
    assert (gate.in_flight, set_aside) == (1, 1)
    door.landed(None)
    await asyncio.wait_for(door.enter(), 1)
    door.landed(None)
    door.ended(None)
    assert gate.in_flight == 0


async def test_what_the_endpoint_was_like_is_known_after_the_attempt_ended() -> None:
    gate = gate_of(4)
    for _ in range(5):
        door = Door(gate, 1, "a")
        await door.enter()
        door.landed(ILL)
        door.ended(ILL)
        assert not door.stalled
    door = Door(gate, 1, "a")
    await door.enter()
    door.landed(None)
    door.ended(None)
    assert door.stalled


async def test_errors_that_only_bodies_tell_stall_an_endpoint_like_others() -> None:
    gate = gate_of(8)
    for _ in range(5):
        door = Door(gate, 1, "a")
        await door.enter()
        door.landed(None)
        door.ended(ILL)
    assert gate.limit == 1


async def test_a_bad_head_over_a_good_answer_counts_as_the_answer() -> None:
    gate = gate_of(8)
    for _ in range(20):
        door = Door(gate, 1, "a")
        await door.enter()
        door.landed(ILL)
        door.ended(Failure(FailureKind.CONTEXT, "too long", 500))
    assert gate.limit == 8


async def test_questions_that_fail_before_they_are_sent_open_the_circuit_like_others() -> None:
    gate = gate_of()
    for number in range(20):
        Door(gate, 1, f"question {number}").ended(BAD)
    with pytest.raises(BrokenCircuitError):
        await gate.admit(1)


async def test_who_is_turned_away_leaves_no_place_and_says_why() -> None:
    async def poor() -> None:
        raise BudgetError("too dear", where="budget")

    gate = gate_of()
    door = Door(gate, 1, "a", set_aside=poor)
    with pytest.raises(BudgetError):
        await door.enter()
    assert isinstance(door.turned_away, BudgetError)
    assert (gate.in_flight, door.entered, door.seconds) == (0, False, 0.0)
    for number in range(20):
        refused = Door(gate, 1, f"question {number}")
        await refused.enter()
        refused.ended(BAD)
    late = Door(gate, 1, "a")
    with pytest.raises(BrokenCircuitError):
        await late.enter()
    assert isinstance(late.turned_away, BrokenCircuitError)


async def never_sent() -> None:
    async with time_limit(0.05):
        await asyncio.sleep(5)


async def on_its_way(door: Door) -> None:
    async with time_limit(0.05):
        await door.enter()
        await asyncio.sleep(5)


async def test_time_runs_only_while_a_request_is_on_its_way() -> None:
    gate = gate_of()
    ahead, door = Door(gate, 1, "a"), Door(gate, 1, "b")
    await ahead.enter()
    loop = asyncio.get_running_loop()
    loop.call_later(0.15, lambda: ahead.ended(None))
    with passing(door):
        assert current_door() is door
        async with door.within(5.0), time_limit(0.1):
            await door.enter()
            await asyncio.sleep(0.02)
            door.landed(None)
            await asyncio.sleep(0.15)
        with pytest.raises(TimeoutError):
            await on_its_way(door)
    assert current_door() is None
    door.abandon()
    with passing(Door(gate, 1, "c")), pytest.raises(TimeoutError):
        await never_sent()
    with pytest.raises(TimeoutError):
        async with time_limit(0.01):
            await asyncio.sleep(5)
