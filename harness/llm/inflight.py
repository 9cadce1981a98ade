"""Identical questions asked at the same time are asked once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["SingleFlight"]

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs work by key, at most once at a time per key. Used from one event loop only."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[T]] = {}
        self._waiting: dict[str, int] = {}

    async def run(self, key: str, work: Callable[[], Coroutine[None, None, T]]) -> tuple[T, bool]:
        """Return the result of ``work`` and whether this caller is the one that started it.

        The work has a task of its own: a caller that is cancelled does not take it from the others, and it is cancelled
        only when nobody waits for it any more.
        """
        task = self._tasks.get(key)
        started = task is None
        if task is None:
            task = self._tasks[key] = asyncio.create_task(work())
            self._waiting[key] = 0
        self._waiting[key] += 1
        try:
            return await asyncio.shield(task), started
        finally:
            self._leave(key, task)

    def _leave(self, key: str, task: asyncio.Task[T]) -> None:
        self._waiting[key] -= 1
        if self._waiting[key] == 0:
            del self._waiting[key], self._tasks[key]
            task.cancel()  # has no effect on a finished task
