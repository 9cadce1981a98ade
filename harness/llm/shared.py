"""Engines that several roles of a process share: opened by the first user, closed by the last."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SharedPool"]

K = TypeVar("K")
V = TypeVar("V")


@dataclass
class _Shared(Generic[V]):
    value: V
    users: int


class SharedPool(Generic[K, V]):
    """Values by key, counted by their users. Its methods block; call them in a thread.

    Args:
        close: Ends a value that nobody uses any more.
    """

    def __init__(self, close: Callable[[V], None]) -> None:
        self._close = close
        self._lock = threading.Lock()
        self._values: dict[K, _Shared[V]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def acquire(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of ``key``, made by its first user."""
        with self._lock:
            shared = self._values.get(key)
            if shared is None:
                shared = self._values[key] = _Shared(make(), 0)
            shared.users += 1
            return shared.value

    def release(self, key: K) -> None:
        """Give a value back; the last user closes it."""
        with self._lock:
            shared = self._values[key]
            shared.users -= 1
            if not shared.users:
                del self._values[key]
                self._close(shared.value)
