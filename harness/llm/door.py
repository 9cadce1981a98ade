"""The way of one attempt to its endpoint: when it may be sent, and when its place is free for another.

A place in flight is what an endpoint gives, and what a client library does before a request is sent and after its reply
was read is no part of it. So an attempt enters as late as whatever sends it can, and leaves as early: the transport of
our own connections does both (``harness.llm.transport``). Where a library has connections of its own, the attempt
enters before it is handed over and leaves when it is back.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from harness.llm.pace import Signal, signal_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from harness.llm.failures import Failure
    from harness.llm.gate import Gate, Ticket

__all__ = ["Door", "current_door", "enter_now", "passing", "time_limit"]

_WORSE = (Signal.CONGESTED, Signal.UNWELL)


class Door:
    """One attempt's leave to be sent, from one event loop.

    Args:
        gate: The endpoint's gate.
        tokens: About how many tokens the request takes.
        group: Name of the questions it is asked with.
        first: Whether it goes before those that wait.
        set_aside: Sets the most it can cost aside; may wait, and raises BudgetError if there is not enough.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        gate: Gate,
        tokens: int,
        group: str,
        *,
        first: bool = False,
        set_aside: Callable[[], Awaitable[None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gate = gate
        self._tokens = tokens
        self._group = group
        self._first = first
        self._set_aside = set_aside
        self._clock = clock
        self._ticket: Ticket | None = None
        self._told: Signal | None = None
        self._stalled = False
        self._entered_at: float | None = None
        self._landed_at: float | None = None
        self._running = False
        self._limits: list[tuple[asyncio.Timeout, float]] = []
        self._turned_away: Exception | None = None

    @property
    def entered(self) -> bool:
        """Return whether it was let through: something may have been sent, answered and billed."""
        return self._entered_at is not None

    @property
    def stalled(self) -> bool:
        """Return whether the endpoint had answered nothing but errors when this attempt was let through."""
        return self._stalled

    @property
    def seconds(self) -> float:
        """Return how long it was on its way: from being let through until its reply was read, or until now."""
        if self._entered_at is None:
            return 0.0
        return (self._clock() if self._landed_at is None else self._landed_at) - self._entered_at

    @property
    def turned_away(self) -> Exception | None:
        """Return why it was not let through: the circuit is open, or the budget used up.

        Raised by ``enter`` too, but a client library may have made something else of it on its way out.
        """
        return self._turned_away

    async def enter(self) -> None:
        """Return when the attempt's request may be sent; at once for a further request of it, as after a redirect.

        Raises:
            BrokenCircuitError: If the endpoint will not answer any more.
            BudgetError: If the call could pass a limit.
        """
        if self.entered:
            self._landed_at = None
            self._let_run(running=True)
            return
        self._let_run(running=False)
        try:
            ticket = await self._gate.admit(self._tokens, self._group, first=self._first)
            await self._pay_in(ticket)
        except Exception as error:
            self._turned_away = error
            raise
        self._ticket, self._stalled, self._entered_at = ticket, ticket.stalled, self._clock()
        self._let_run(running=True)

    def landed(self, failure: Failure | None) -> None:
        """Note that the last reply was read, and what its head says went wrong, if anything: the place is free.

        The limit of what may be in flight hears of bad news here, before the next request is let through; whether a
        good-looking reply is one is known only when it has been understood (``ended``).
        """
        if self._ticket is None or self._landed_at is not None:
            return
        self._landed_at = self._clock()
        self._let_run(running=False)
        if self._told is None:
            signal = signal_of(failure)
            self._told = signal
            self._gate.landed(self._ticket, failure if signal is not Signal.WELL else None)

    def ended(self, failure: Failure | None, tokens: int | None = None) -> None:
        """Note what became of the attempt, and its tokens where they are known."""
        ticket, self._ticket = self._ticket, None
        if ticket is None:
            if failure is not None and self._turned_away is None:
                self._gate.failed_unsent(failure, self._group)
            return
        if self._told is None:
            self._gate.came_back(ticket, failure, tokens)
            return
        final = signal_of(failure)
        if self._told is Signal.WELL or final is Signal.WELL or (final, self._told) == _WORSE:
            self._gate.heard(ticket, failure)
        self._gate.judged(ticket, failure, tokens)

    def abandon(self) -> None:
        """Note that the attempt was cancelled: nothing is known of the endpoint by it."""
        ticket, self._ticket = self._ticket, None
        if ticket is not None and self._told is None:
            self._gate.abandon(ticket)

    @asynccontextmanager
    async def within(self, seconds: float, *, before: bool = False) -> AsyncIterator[None]:
        """Bound what is done inside to ``seconds``, counted while a request is on its way.

        Args:
            seconds: The bound.
            before: Whether what is done before the attempt is let through is bounded too, by as much again. Time at the
                gate never counts.

        Raises:
            TimeoutError: If it takes longer.
        """
        async with asyncio.timeout(None) as limit:
            self._limits.append((limit, seconds))
            if self._running or (before and not self.entered):
                limit.reschedule(asyncio.get_running_loop().time() + seconds)
            try:
                yield
            finally:
                self._limits.remove((limit, seconds))

    async def _pay_in(self, ticket: Ticket) -> None:
        if self._set_aside is None:
            return
        try:
            await self._set_aside()
        except BaseException:
            self._gate.abandon(ticket)
            raise

    def _let_run(self, *, running: bool) -> None:
        self._running = running
        now = asyncio.get_running_loop().time()
        for limit, seconds in self._limits:
            if not limit.expired():
                limit.reschedule(now + seconds if running else None)


_CURRENT: ContextVar[Door | None] = ContextVar("harness_llm_door", default=None)


@contextmanager
def passing(door: Door) -> Iterator[None]:
    """Have the transport below whatever is called inside send its requests through ``door``."""
    token = _CURRENT.set(door)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current_door() -> Door | None:
    """Return the door that requests of this task go through; None for questions that nobody waits in line with."""
    return _CURRENT.get()


def time_limit(seconds: float) -> AbstractAsyncContextManager[object]:
    """Bound what is done inside to ``seconds``, time at the gate not counted; raises TimeoutError."""
    door = _CURRENT.get()
    return asyncio.timeout(seconds) if door is None else door.within(seconds, before=True)


async def enter_now() -> None:
    """Go through the current door, if there is one; see ``Door.enter``."""
    door = _CURRENT.get()
    if door is not None:
        await door.enter()
