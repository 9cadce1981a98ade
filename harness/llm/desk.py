"""Where client libraries do their share of a call: one call at a time, with the event loop free in between.

Writing a request and reading a reply take milliseconds of a client library's CPU time, and sending the one and noticing
the other take a fraction of that. Done as it comes, the replies to a hundred requests that were sent together are all
read before the next request goes out, and an endpoint idles meanwhile. So calls are written or read one after another,
and whatever is ready to be sent, or has arrived, has its turn between two of them.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Desk", "Seat", "at_desk", "current_seat", "note_sent"]

T = TypeVar("T")

# From bytes that have arrived to the next request on its way takes the loop so many rounds.
_ROUNDS = 4


class Desk:
    """The one seat at which calls to an endpoint are written and read. Used from one event loop only."""

    def __init__(self) -> None:
        self._free = asyncio.Lock()

    def seat(self) -> Seat:
        """Return the seat as one call knows it, not taken yet."""
        return Seat(self._free)


class Seat:
    """The seat as one call knows it: taken and given back as often as the call needs it.

    Args:
        free: Held by the call that has it.

    Attributes:
        sent: Whether a request of the call came by our own connections.
    """

    def __init__(self, free: asyncio.Lock) -> None:
        self._free = free
        self._taken = False
        self.sent = False

    async def take(self) -> None:
        """Return when it is this call's turn, in the order of asking; at once if the call has the seat already."""
        if self._taken:
            return
        await self._free.acquire()
        self._taken = True
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)

    def give(self) -> None:
        """Let the next one have it; nothing if this call does not have it."""
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


def note_sent() -> None:
    """Note that a request of this task's call comes by our own connections."""
    seat = _CURRENT.get()
    if seat is not None:
        seat.sent = True
