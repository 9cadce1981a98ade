"""The one door to an endpoint, shared by every role, scorer and feature of a run that asks it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.llm.breaker import Breaker
from harness.llm.buckets import MinuteBucket
from harness.llm.pace import Pace, Signal, signal_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.llm.failures import Failure

__all__ = ["BrokenCircuitError", "Gate", "GateSettings", "Ticket"]


_Waiter = tuple["asyncio.Future[Ticket]", int, str]


@dataclass(frozen=True, slots=True)
class GateSettings:
    """How hard an endpoint may be asked.

    Attributes:
        ceiling: Most requests in flight.
        requests_per_minute: Most requests in any minute, None for no limit.
        tokens_per_minute: Most tokens in any minute, None for no limit.
        patience_s: Seconds it may answer with nothing but errors.
    """

    ceiling: int
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    patience_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to send one request.

    Attributes:
        epoch: The pace's epoch it belongs to.
        tokens: What it was counted as.
        group: Name of the questions it is asked with.
        stalled: Whether the endpoint had answered nothing but errors of late, so that this one tries it out.
    """

    epoch: int
    tokens: int
    group: str
    stalled: bool


class BrokenCircuitError(Exception):
    """The endpoint will not answer any more. Never leaves the room.

    Args:
        failure: What it said last.
        why: How often or how long.
    """

    def __init__(self, failure: Failure, why: str) -> None:
        super().__init__(failure.line)
        self.failure = failure
        self.why = why


class Gate:
    """Lets requests through in the order they came, as many at once as the endpoint bears. Used from one event loop.

    Order matters: requests that share the beginning of their prompts are asked for one after another, and an endpoint's
    prefix cache lives on their arriving so.

    Args:
        settings: The limits.
        clock: Seconds, monotonic; a fake one in tests.
    """

    def __init__(self, settings: GateSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pace = Pace(settings.ceiling)
        self._requests = MinuteBucket(settings.requests_per_minute)
        self._tokens = MinuteBucket(settings.tokens_per_minute)
        self._patience_s = settings.patience_s
        self._breaker = Breaker(settings.patience_s)
        # Repetitions, then first attempts; each in the order they came.
        self._queues: tuple[deque[_Waiter], deque[_Waiter]] = (deque(), deque())
        self._in_flight = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    @property
    def limit(self) -> int:
        """Return how many requests may be in flight now."""
        return self._pace.limit

    @property
    def ceiling(self) -> int:
        """Return how many requests may ever be in flight."""
        return self._pace.ceiling

    @property
    def in_flight(self) -> int:
        """Return how many requests are in flight."""
        return self._in_flight

    def tighten(self, settings: GateSettings) -> None:
        """Keep the limits of ``settings`` as well: of two roles at one endpoint the stricter limit holds."""
        self._pace.lower_ceiling(settings.ceiling)
        self._requests.lower(settings.requests_per_minute)
        self._tokens.lower(settings.tokens_per_minute)

    async def admit(self, tokens: int, group: str = "", *, first: bool = False) -> Ticket:
        """Return when one request of about ``tokens`` tokens may be sent; ``first`` puts it before those that wait.

        ``group`` names the questions it is asked with: those about one explanation.

        Raises:
            BrokenCircuitError: If the endpoint will not answer any more.
        """
        self._check()
        waiter: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        self._queues[0 if first else 1].append((waiter, tokens, group))
        self._pump()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._in_flight -= 1  # let through in the same turn as it was cancelled; nothing was sent
                self._pump()
            raise

    def came_back(self, ticket: Ticket, failure: Failure | None, tokens: int | None = None) -> None:
        """Note the end of a request, what failed if something did, and its tokens where they are known."""
        self._in_flight -= 1
        self._tell_pace(ticket, failure)
        self.judged(ticket, failure, tokens)

    def landed(self, ticket: Ticket, failure: Failure | None) -> None:
        """Note that a request is off the wire, so that its place is free, and what its reply's head says went wrong.

        Without a failure nothing is said of the endpoint yet.
        """
        self._in_flight -= 1
        if failure is not None:
            self._tell_pace(ticket, failure)
        self._pump()

    def heard(self, ticket: Ticket, failure: Failure | None) -> None:
        """Note what a reply says about the endpoint, whatever becomes of the question; let through who may go now."""
        self._tell_pace(ticket, failure)
        self._pump()

    def failed_unsent(self, failure: Failure, group: str) -> None:
        """Note a question that failed before it was sent; ``group`` names the questions it was asked with."""
        self._breaker.failed(failure, self._clock(), group)
        if self._breaker.tripped is not None:
            self._fail_all()

    def judged(self, ticket: Ticket, failure: Failure | None, tokens: int | None = None) -> None:
        """Note what became of a question whose request has landed, and its tokens where they are known."""
        now = self._clock()
        if failure is None:
            self._breaker.succeeded()
        else:
            self._breaker.failed(failure, now, ticket.group)
        used = tokens if tokens is not None else 0 if signal_of(failure) is Signal.CONGESTED else ticket.tokens
        self._tokens.take(used - ticket.tokens, now)
        if self._breaker.tripped is not None:
            self._fail_all()
        else:
            self._pump()

    def abandon(self, ticket: Ticket) -> None:
        """Note that a request was cancelled: nothing is known of the endpoint by it."""
        del ticket
        self._in_flight -= 1
        self._pump()

    def _tell_pace(self, ticket: Ticket, failure: Failure | None) -> None:
        wait_s = failure.retry_after_s if failure else None
        # What asks for more than our patience is given up, in ``judged``; nothing waits a day in silence.
        wait_s = None if wait_s is None else min(wait_s, self._patience_s)
        self._pace.came_back(ticket.epoch, signal_of(failure), self._clock(), wait_s)

    def _check(self) -> None:
        if self._breaker.tripped is not None:
            raise BrokenCircuitError(*self._breaker.tripped)

    def _fail_all(self) -> None:
        tripped = self._breaker.tripped
        while (queue := self._next_queue()) is not None and tripped is not None:
            queue.popleft()[0].set_exception(BrokenCircuitError(*tripped))

    def _next_queue(self) -> deque[_Waiter] | None:
        """Return the queue whose first request is next, those that were given up removed; None if nobody waits."""
        for queue in self._queues:
            while queue and queue[0][0].done():
                queue.popleft()
            if queue:
                return queue
        return None

    def _pump(self) -> None:
        now = self._clock()
        while (queue := self._next_queue()) is not None:
            ready_at = max(self._pace.resume_at, self._requests.ready_at(now), self._tokens.ready_at(now))
            if ready_at > now:
                self._pump_at(ready_at)
                return
            if self._in_flight >= self._pace.limit:
                raise_at = self._pace.pressed(now)
                if self._in_flight >= self._pace.limit:
                    if raise_at is not None:
                        self._pump_at(raise_at)
                    return
            waiter, tokens, group = queue.popleft()
            self._in_flight += 1
            self._requests.take(1, now)
            self._tokens.take(tokens, now)
            waiter.set_result(Ticket(self._pace.sent(self._in_flight), tokens, group, self._pace.stalled))

    def _pump_at(self, when: float) -> None:
        if self._timer is not None:
            if self._timer_at <= when:
                return
            self._timer.cancel()
        delay = max(0.0, when - self._clock())
        self._timer_at = when
        self._timer = asyncio.get_running_loop().call_later(delay, self._timed_pump)

    def _timed_pump(self) -> None:
        self._timer = None
        self._pump()
