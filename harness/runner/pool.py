"""Doing many units at once, with a bound, in order of their start."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

__all__ = ["run_bounded"]

T = TypeVar("T")


async def run_bounded(units: Iterable[T], work: Callable[[T], Awaitable[None]], limit: int) -> None:
    """Call ``work`` on every unit, at most ``limit`` at once, started in the order given.

    The first exception stops new units from starting, cancels those under way and is raised here; ``work`` itself
    decides what is a failure of one unit and what ends the run.
    """
    queue = iter(units)

    async def worker() -> None:
        for unit in queue:
            await work(unit)

    workers = [asyncio.ensure_future(worker()) for _ in range(limit)]
    try:
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
