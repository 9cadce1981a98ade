"""Where client libraries do their share of a call: a few calls at a time, with the event loop free in between.

Writing a request and reading a reply take milliseconds of a client library's CPU time, and sending the one and noticing
the other take a fraction of that. Done as it comes, the replies to a hundred requests that were sent together are all
read before the next request goes out, and an endpoint idles meanwhile. So only so many calls are written or read at a
time; whatever is ready to be sent, or has arrived, has its turn between two of them.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Desk", "Seat", "at_desk", "current_seat"]

T = TypeVar("T")

_SEATS = 2  # one in the library's own thread, one in the event loop


class Desk:
    """The seats of one process's work for an endpoint. Used from one event loop only.

    Args:
        seats: How many calls are written or read at a time.
    """

    def __init__(self, seats: int = _SEATS) -> None:
        self._free = asyncio.Semaphore(seats)

    def seat(self) -> Seat:
        """Return a seat for one call, not taken yet."""
        return Seat(self._free)


class Seat:
    """One call's seat, taken and given back as often as it needs it."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free = free
        self._taken = False

    async def take(self) -> None:
        """Return when there is a seat, in the order of asking; at once if it is taken already."""
        if not self._taken:
            await self._free.acquire()
            self._taken = True

    def give(self) -> None:
        """Let the next one have it; nothing if it is not taken."""
        if self._taken:
            self._taken = False
            self._free.release()


_CURRENT: ContextVar[Seat | None] = ContextVar("harness_llm_seat", default=None)


async def at_desk(seat: Seat, work: Callable[[], Awaitable[T]]) -> T:
    """Return the result of ``work``, done from ``seat``; whoever waits for a reply inside gives it back meanwhile."""
    token = _CURRENT.set(seat)
    try:
        await seat.take()
        return await work()
    finally:
        seat.give()
        _CURRENT.reset(token)


def current_seat() -> Seat | None:
    """Return the seat of the call this task works on, if it has one."""
    return _CURRENT.get()
