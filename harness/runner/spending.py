"""Puts on disk what is spent while it is spent, so that a process that is killed loses about a second of its bill."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from harness.runner.events import EventLog

__all__ = ["SpendingLog"]

_EVERY_S = 1.0


class SpendingLog:
    """Writes a ``spent`` event whenever the bill has changed, and with the last one the bill at the end.

    Args:
        bill: Returns the bill over all processes as plain data.
        log: Where events are written.
        every_s: Seconds between looks at the bill.
    """

    def __init__(self, bill: Callable[[], dict[str, Any]], log: EventLog, every_s: float = _EVERY_S) -> None:
        self._bill = bill
        self._log = log
        self._every_s = every_s
        self._told: dict[str, Any] = {}

    def tell(self) -> dict[str, Any]:
        """Return the bill, which the caller writes into an event of its own."""
        self._told = self._bill()
        return self._told

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep the bill on disk while the block runs, and as it ends, whichever way it ends.

        Raises:
            OSError: If it cannot be written.
        """
        self.tell()
        task = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            task.cancel()
            (ended,) = await asyncio.gather(task, return_exceptions=True)
            if isinstance(ended, Exception):
                raise ended
            self._note()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            self._note()

    def _note(self) -> None:
        told = self._told
        if self.tell() != told:
            self._log.write("spent", **self._told)
