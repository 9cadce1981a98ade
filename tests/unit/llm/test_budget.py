from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import BudgetError
from harness.llm.budget import Budget, Cost


async def test_no_limit_never_stops() -> None:
    budget = Budget()
    await budget.reserve(Cost(10**12, None))
    assert not budget.limited


async def test_the_call_that_could_pass_a_limit_is_not_made() -> None:
    budget = Budget(tokens=100)
    await budget.reserve(Cost(60))
    budget.settle(Cost(60), Cost(50))
    with pytest.raises(BudgetError, match="50 of 100 tokens are spent, and the next call may take 51"):
        await budget.reserve(Cost(51))
    await budget.reserve(Cost(50))


async def test_it_waits_for_calls_in_flight_before_it_refuses() -> None:
    budget = Budget(usd=1.0)
    await budget.reserve(Cost(1, 0.7))
    waiting = asyncio.ensure_future(budget.reserve(Cost(1, 0.7)))
    await asyncio.sleep(0)
    assert not waiting.done()
    budget.settle(Cost(1, 0.7), Cost(1, 0.1))
    await waiting
    refused = asyncio.ensure_future(budget.reserve(Cost(1, 0.7)))
    budget.settle(Cost(1, 0.7), Cost(1, 0.6))
    with pytest.raises(BudgetError, match=r"\$0\.7000 of \$1 are spent"):
        await refused


async def test_earlier_processes_count() -> None:
    budget = Budget(tokens=100, spent_tokens=95)
    with pytest.raises(BudgetError):
        await budget.reserve(Cost(6))


def test_dollars_need_a_price() -> None:
    Budget(tokens=5).check_price(known=False, endpoint="m", where="judge.x")
    with pytest.raises(BudgetError, match=r"price of m is unknown.*judge\.x"):
        Budget(usd=1.0).check_price(known=False, endpoint="m", where="judge.x")
    with pytest.raises(BudgetError):
        Budget(usd=1.0, spent_usd=None).check_price(known=True, endpoint="m", where="judge.x")


@given(
    limit=st.integers(1, 400),
    calls=st.lists(st.tuples(st.integers(1, 60), st.floats(0, 1)), max_size=60),
    at_once=st.integers(1, 9),
)
async def test_no_schedule_ever_passes_the_limit(limit: int, calls: list[tuple[int, float]], at_once: int) -> None:
    budget, spent, slots = Budget(tokens=limit), 0, asyncio.Semaphore(at_once)

    async def call(most: int, share: float) -> None:
        nonlocal spent
        async with slots:
            await budget.reserve(Cost(most))
            await asyncio.sleep(0)
            took = round(most * share)
            spent += took
            budget.settle(Cost(most), Cost(took))

    await asyncio.gather(*(call(*one) for one in calls), return_exceptions=True)
    assert spent <= limit
