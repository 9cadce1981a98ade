"""Bounded retries with exponential back-off, full jitter and respect for Retry-After."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from harness.llm.failures import RETRYABLE, AttemptError
from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from harness.llm.failures import Failure

__all__ = ["RetryPolicy", "with_retries"]

T = TypeVar("T")

_EXCUSED = 4


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and after how long an attempt is repeated. Times are seconds.

    Attributes:
        max_retries: Attempts after the first, not counting those made while the endpoint answered nobody.
        deadline_s: Longest time for one call with all its attempts and waits.
        base_s: Longest wait before the first retry; doubles with each.
        cap_s: Longest wait at all, where the endpoint asks for none.
        retry_after_cap_s: Longest wait granted to an endpoint that asks for one.
    """

    max_retries: int = 4
    deadline_s: float = 900.0
    base_s: float = 0.5
    cap_s: float = 30.0
    retry_after_cap_s: float = 120.0

    @property
    def most_attempts(self) -> int:
        """Return how many attempts are made at most, whosever fault they are."""
        return 1 + _EXCUSED * self.max_retries

    def delay(self, attempt: int, failure: Failure, jitter: float) -> float:
        """Return the wait in seconds after failed attempt number ``attempt`` (from 0).

        Full jitter: uniform between 0 and the back-off (``jitter`` is the uniform draw in [0, 1)), so that many callers
        that failed together do not come back together. A wait the endpoint asked for is kept in full, plus a jittered
        share of the first back-off for the same reason.
        """
        if failure.retry_after_s is not None:
            return min(max(failure.retry_after_s, 0.0), self.retry_after_cap_s) + jitter * self.base_s
        # The exponent is bounded because 2**attempt overflows a float long before a patient user's retries end.
        return jitter * min(self.cap_s, self.base_s * 2.0 ** min(attempt, 32))


async def with_retries(
    attempt: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    purpose: str,
    *,
    on_failure: Callable[[Failure], None] = lambda _: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Return what the first successful ``attempt`` returns.

    Args:
        attempt: One attempt; signals failure by raising AttemptError.
        policy: Bounds and waits.
        purpose: Seeds the jitter; distinct requests wait distinct times.
        on_failure: Told of every failed attempt, the last one too.
        sleep: Waits; a fake clock in tests.

    Raises:
        AttemptError: The last failure, once retries are spent or at once if it is not retryable.
    """
    for number in range(policy.max_retries + 1):
        try:
            return await attempt()
        except AttemptError as error:
            on_failure(error.failure)
            if error.failure.kind not in RETRYABLE or number == policy.max_retries:
                raise
            jitter = float(generator(0, "llm", "retry", purpose, number).random())
            await sleep(policy.delay(number, error.failure, jitter))
    message = "max_retries is negative"
    raise ValueError(message)
