"""Doing units as they become ready, in plan order, as many at once as there is room for."""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["Flow", "Lane"]

T = TypeVar("T")

_MOST = 256


class Lane(Generic[T]):
    """Units that take up the same room, waiting in plan order.

    Args:
        work: Does one unit; decides itself what is a failure of that unit and what ends everything.
        room: The load up to which further units are started.
        load: What one unit takes of it; None for 1 each.
        least: Units that are started whatever their load.
        most: Units at once at most.
    """

    def __init__(
        self,
        work: Callable[[T], Awaitable[None]],
        room: float,
        *,
        load: Callable[[T], float] | None = None,
        least: int = 1,
        most: int = _MOST,
    ) -> None:
        self.work = work
        self.is_open = True
        self._room = room
        self._load_of = load or (lambda _: 1.0)
        self._least = least
        self._most = most
        self._ready: list[tuple[tuple[int, ...], T]] = []
        self._load = 0.0
        self._running = 0

    def add(self, order: tuple[int, ...], unit: T) -> None:
        """Let a unit wait. ``order`` is its place in the plan, which no other unit of the lane has."""
        heappush(self._ready, (order, unit))

    def take(self) -> tuple[T, float] | None:
        """Return the next unit and its load, which is given back with ``leave``; None if none may start now."""
        room = self._running < self._least or self._load < self._room
        if not (self.is_open and self._ready and room and self._running < self._most):
            return None
        unit = heappop(self._ready)[1]
        load = self._load_of(unit)
        self._load += load
        self._running += 1
        return unit, load

    def leave(self, load: float) -> None:
        """Give back what a unit took."""
        self._load -= load
        self._running -= 1


class Flow:
    """Runs the units of several lanes until none is waiting or under way. Used from one event loop only.

    Units may be added to the lanes while it runs, by the units under way.

    Args:
        lanes: Where units wait; of two that could start, the one of the earlier lane is started first.
    """

    def __init__(self, lanes: Sequence[Lane[Any]]) -> None:
        self._lanes = tuple(lanes)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._error: BaseException | None = None

    async def run(self) -> None:
        """Do all units.

        The first exception stops new units from starting, cancels those under way and is raised here.
        """
        try:
            while self._start():
                await self._ended.wait()
                self._ended.clear()
                if self._error is not None:
                    raise self._error
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self) -> bool:
        """Start what there is room for; return whether anything is under way."""
        for lane in self._lanes:
            while (taken := lane.take()) is not None:
                unit, load = taken
                task = asyncio.ensure_future(_do(lane, unit, load))
                self._tasks.add(task)
                task.add_done_callback(self._finished)
        return bool(self._tasks)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error: BaseException | None = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._error = self._error or error
        self._ended.set()


async def _do(lane: Lane[T], unit: T, load: float) -> None:
    try:
        await lane.work(unit)
    finally:
        lane.leave(load)
