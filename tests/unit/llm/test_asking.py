from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import BudgetError
from harness.llm.asking import Asking, Call
from harness.llm.backend import Reply
from harness.llm.budget import Budget
from harness.llm.door import current_door
from harness.llm.estimator import TokenEstimator
from harness.llm.failures import AttemptError, Failure, FailureKind
from harness.llm.gate import BrokenCircuitError, Gate, GateSettings
from harness.llm.price import Price
from harness.llm.retry import RetryPolicy
from harness.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

YES = Reply(Outcome.OK, text="Yes", input_tokens=40, output_tokens=1)
ILL = Failure(FailureKind.OVERLOADED, "boom", 500)
BAD = Failure(FailureKind.BAD_REQUEST, "no", 400)
LIMIT = Failure(FailureKind.RATE_LIMIT, "slow down", 429)


class Script:
    def __init__(self, *script: Reply | Failure) -> None:
        self.script = list(script)
        self.asked = 0

    async def __call__(self) -> Reply:
        self.asked += 1
        answer = self.script.pop(0) if self.script else YES
        if isinstance(answer, Failure):
            raise AttemptError(answer)
        return answer


def asking(**changes: Any) -> Asking:
    async def no_wait(_seconds: float) -> None:
        await asyncio.sleep(0)

    fields: dict[str, Any] = {
        "gate": Gate(GateSettings(ceiling=4)),
        "estimator": TokenEstimator(),
        "budget": Budget(),
        "policy": RetryPolicy(max_retries=2),
        "price": lambda: Price(1e-6, 1e-6),
        "on_failure": lambda _: None,
        "sleep": no_wait,
    }
    return Asking(**{**fields, **changes})


def call(attempt: Callable[[], Awaitable[Reply]], size: int = 100) -> Call:
    return Call(attempt, "p", size, 1)


async def test_bad_luck_is_repeated_and_bounded() -> None:
    lucky, unlucky = Script(ILL, ILL, YES), Script(*[ILL] * 9)
    asks = asking()
    assert await asks.ask(call(lucky)) is YES
    with pytest.raises(AttemptError):
        await asks.ask(call(unlucky))
    assert (lucky.asked, unlucky.asked) == (3, 3)


async def test_no_retries_means_one_attempt() -> None:
    script = Script(LIMIT)
    with pytest.raises(AttemptError):
        await asking(policy=RetryPolicy(max_retries=0)).ask(call(script))
    assert script.asked == 1


async def test_an_outage_does_not_use_up_the_retries_of_a_question() -> None:
    asks = asking(policy=RetryPolicy(max_retries=4))
    gone = Failure(FailureKind.UNREACHABLE, "connection refused")
    script = Script(*[gone] * 7, YES)
    assert await asks.ask(call(script)) is YES
    assert script.asked == 8
    shared, outage = asking(policy=RetryPolicy(max_retries=4)), Script(*[ILL] * 9)
    assert await asyncio.gather(*(shared.ask(call(outage)) for _ in range(4))) == [YES] * 4


async def test_an_outage_of_errors_does_not_use_up_the_retries_of_one_question_either() -> None:
    script = Script(*[ILL] * 12, YES)
    assert await asking(gate=Gate(GateSettings(ceiling=1)), policy=RetryPolicy(max_retries=6)).ask(call(script)) is YES
    assert script.asked == 13


async def test_what_was_answered_past_the_door_is_charged() -> None:
    budget = Budget(tokens=200)
    asks = asking(budget=budget, enters_late=lambda: True)
    assert await asks.ask(call(Script())) is YES
    assert (budget.spent.tokens, asks.gate.in_flight) == (41, 0)
    with pytest.raises(BudgetError):
        await asks.ask(call(Script()))


async def test_a_backend_that_enters_late_is_turned_away_at_its_own_door() -> None:
    asks = asking(budget=Budget(tokens=100), enters_late=lambda: True)
    sent = False

    async def library() -> Reply:
        nonlocal sent
        door = current_door()
        assert door is not None
        try:
            await door.enter()
        except BudgetError as error:
            raise AttemptError(Failure(FailureKind.MALFORMED, "wrapped")) from error
        sent = True
        return YES

    with pytest.raises(BudgetError):
        await asks.ask(call(library))
    assert (sent, asks.gate.in_flight) == (False, 0)
    richer = asking(budget=Budget(tokens=1000), enters_late=lambda: True)
    assert await richer.ask(call(library)) is YES
    assert richer.budget.spent.tokens == 41


async def test_a_hopeless_question_is_asked_once() -> None:
    script = Script(BAD)
    with pytest.raises(AttemptError) as caught:
        await asking().ask(call(script))
    assert (caught.value.failure, script.asked) == (BAD, 1)


async def test_the_deadline_bounds_attempts_and_waits_together() -> None:
    script = Script(*[Failure(FailureKind.RATE_LIMIT, "wait", 429, 60.0)] * 9)
    with pytest.raises(AttemptError, match="gave up after 1 attempts, near the deadline of 5 s"):
        await asking(policy=RetryPolicy(max_retries=4, deadline_s=5.0)).ask(call(script))


async def test_an_attempt_that_hangs_is_cut_at_the_deadline() -> None:
    async def hang() -> Reply:
        await asyncio.sleep(60)
        return YES

    asks = asking(policy=RetryPolicy(deadline_s=0.1))
    with pytest.raises(AttemptError) as caught:
        await asks.ask(call(hang))
    assert caught.value.failure.kind is FailureKind.DEADLINE
    assert asks.gate.in_flight == 0


async def test_twenty_identical_refusals_stop_everything() -> None:
    asks = asking()
    for number in range(20):
        with pytest.raises(AttemptError):
            await asks.ask(Call(Script(BAD), f"question {number}", 100, 1))
    untouched = Script()
    with pytest.raises(BrokenCircuitError):
        await asks.ask(call(untouched))
    assert untouched.asked == 0


async def test_a_budget_is_never_passed_and_its_place_at_the_gate_is_given_back() -> None:
    asks = asking(budget=Budget(tokens=250))
    assert await asks.ask(call(Script())) is YES  # at most 165 tokens, really 41
    assert await asks.ask(call(Script())) is YES
    script = Script()
    with pytest.raises(BudgetError):
        await asks.ask(call(script, size=10_000))
    assert (script.asked, asks.gate.in_flight) == (0, 0)


async def test_what_may_have_been_billed_counts_against_the_budget() -> None:
    cut = Failure(FailureKind.DROPPED, "cut")
    budget = Budget(tokens=400)
    with pytest.raises(BudgetError, match=r"330 of 400"):
        await asking(budget=budget).ask(call(Script(cut, cut, cut)))
    refused = Budget(tokens=400)
    assert await asking(budget=refused).ask(call(Script(ILL, ILL))) is YES


async def test_a_cancelled_call_leaves_no_place_taken() -> None:
    async def hang() -> Reply:
        await asyncio.sleep(60)
        return YES

    asks = asking()
    task = asyncio.ensure_future(asks.ask(call(hang)))
    await asyncio.sleep(0.01)
    assert asks.gate.in_flight == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asks.gate.in_flight == 0


@given(
    limit=st.integers(1, 20_000),
    prompts=st.lists(st.tuples(st.integers(1, 3000), st.floats(0.05, 1.0)), min_size=1, max_size=30),
)
async def test_whatever_tokenizer_and_prompts_the_limit_is_kept(limit: int, prompts: list[tuple[int, float]]) -> None:
    budget, spent = Budget(tokens=limit), 0
    asks = asking(budget=budget)

    async def one(size: int, density: float) -> None:
        async def answer() -> Reply:
            nonlocal spent
            await asyncio.sleep(0)
            tokens = max(1, int(size * density))
            spent += tokens + 1
            return Reply(Outcome.OK, text="Yes", input_tokens=tokens, output_tokens=1)

        await asks.ask(call(answer, size))

    await asyncio.gather(*(one(*prompt) for prompt in prompts), return_exceptions=True)
    assert spent <= limit
    assert budget.spent.tokens == spent


async def test_time_at_the_gate_is_not_the_calls_own() -> None:
    gate = Gate(GateSettings(ceiling=1))
    asks = asking(gate=gate, policy=RetryPolicy(max_retries=4, deadline_s=0.3, base_s=0.01))
    slow = Script(ILL)

    async def hold() -> None:
        ticket = await gate.admit(1, first=True)
        await asyncio.sleep(0.5)
        gate.came_back(ticket, None)

    holding = asyncio.ensure_future(hold())
    await asyncio.sleep(0)
    asked = asyncio.ensure_future(asks.ask(call(slow)))
    await asyncio.sleep(0)
    again = asyncio.ensure_future(hold())
    assert await asked is YES
    await asyncio.gather(holding, again)
