from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.llm.failures import RETRYABLE, AttemptError, Failure, FailureKind
from harness.llm.retry import RetryPolicy, with_retries


class Clock:
    def __init__(self) -> None:
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


class Flaky:
    def __init__(self, *failures: Failure) -> None:
        self.failures = list(failures)
        self.attempts = 0

    async def __call__(self) -> str:
        self.attempts += 1
        if self.failures:
            raise AttemptError(self.failures.pop(0))
        return "done"


BUSY = Failure(FailureKind.OVERLOADED, "busy", 503)


async def test_returns_the_first_success_and_reports_each_failure() -> None:
    flaky, clock, seen = Flaky(BUSY, BUSY), Clock(), list[Failure]()
    assert await with_retries(flaky, RetryPolicy(4), "p", on_failure=seen.append, sleep=clock.sleep) == "done"
    assert (flaky.attempts, len(clock.waits), seen) == (3, 2, [BUSY, BUSY])


async def test_gives_up_after_the_bound() -> None:
    flaky, clock = Flaky(*[BUSY] * 9), Clock()
    with pytest.raises(AttemptError) as caught:
        await with_retries(flaky, RetryPolicy(2), "p", sleep=clock.sleep)
    assert caught.value.failure is BUSY
    assert (flaky.attempts, len(clock.waits)) == (3, 2)


@pytest.mark.parametrize("kind", sorted(set(FailureKind) - RETRYABLE))
async def test_hopeless_failures_are_not_repeated(kind: FailureKind) -> None:
    flaky, clock = Flaky(Failure(kind, "no")), Clock()
    with pytest.raises(AttemptError):
        await with_retries(flaky, RetryPolicy(4), "p", sleep=clock.sleep)
    assert (flaky.attempts, clock.waits) == (1, [])


async def test_waits_depend_on_purpose_and_attempt_only() -> None:
    async def waits(purpose: str) -> list[float]:
        clock = Clock()
        await with_retries(Flaky(BUSY, BUSY, BUSY), RetryPolicy(3), purpose, sleep=clock.sleep)
        return clock.waits

    assert await waits("a") == await waits("a")
    assert await waits("a") != await waits("b")


@given(attempt=st.integers(0, 2000), jitter=st.floats(0, 1, exclude_max=True))
def test_delay_is_within_the_back_off(attempt: int, jitter: float) -> None:
    policy = RetryPolicy(base_s=0.5, cap_s=30.0)
    assert 0.0 <= policy.delay(attempt, BUSY, jitter) <= min(30.0, 0.5 * 2.0 ** min(attempt, 30))


@given(asked=st.floats(-5, 1e9), jitter=st.floats(0, 1, exclude_max=True))
def test_delay_keeps_what_the_endpoint_asked_for_up_to_a_cap(asked: float, jitter: float) -> None:
    policy = RetryPolicy(base_s=0.5, retry_after_cap_s=120.0)
    failure = Failure(FailureKind.RATE_LIMIT, "slow", 429, retry_after_s=asked)
    delay = policy.delay(0, failure, jitter)
    assert min(max(asked, 0.0), 120.0) <= delay <= 120.5
