"""Waiting for many questions at once without leaving any behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from typing import Any

__all__ = ["gather_in_order"]

T = TypeVar("T")


async def gather_in_order(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results in the order of ``work``, whatever order they complete in.

    If one raises, the others are cancelled and awaited before the error goes on, so nothing keeps asking (and paying)
    behind a failed unit.
    """
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
