"""The first request of every shared prefix goes ahead alone, where a provider's prompt cache wants it so.

Such a cache holds a prefix only once an answer to it has begun. Twenty questions about one explanation sent at the same
moment would all be billed for writing the prefix, and none for reading it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from harness.identity import text_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from harness.llm.backend import Reply
    from harness.llm.protocol import CompletionRequest

__all__ = ["Pioneers", "prefix_of"]

_KEPT_S = 240.0  # providers keep a prefix for five minutes after its last use


def prefix_of(request: CompletionRequest) -> str | None:
    """Return a name for what the request's prompt shares with others, None if nothing is known to be shared."""
    if not request.shared_prefix:
        return None
    *before, last = request.messages
    texts = [f"{message.role}\n{message.content}" for message in before]
    return text_sha256("\0".join([*texts, last.content[: request.shared_prefix]]))


class Pioneers:
    """Lets one request per prefix go ahead. Used from one event loop only.

    Args:
        clock: Seconds, monotonic; a fake one in tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._warm_until: dict[str, float] = {}
        self._under_way: dict[str, asyncio.Event] = {}

    async def run(self, prefix: str, work: Callable[[], Coroutine[None, None, Reply]]) -> Reply:
        """Return the result of ``work``, begun when ``prefix`` was answered once or nobody is asking it."""
        while (ahead := self._under_way.get(prefix)) is not None:
            await ahead.wait()
        if self._warm_until.get(prefix, 0.0) > self._clock():
            return await self._warmed(prefix, work)
        gone = self._under_way[prefix] = asyncio.Event()
        try:
            return await self._warmed(prefix, work)
        finally:
            # Whatever became of it: the next one in line goes ahead then.
            del self._under_way[prefix]
            gone.set()

    async def _warmed(self, prefix: str, work: Callable[[], Coroutine[None, None, Reply]]) -> Reply:
        reply = await work()
        if reply.answered:
            now = self._clock()
            self._warm_until = {name: until for name, until in self._warm_until.items() if until > now}
            self._warm_until[prefix] = now + _KEPT_S
        return reply
