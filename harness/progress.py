"""Progress of long work: the seam, and the silent implementation. The terminal one is in ``harness.cli``."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

__all__ = ["SILENT", "Progress", "ProgressTask", "SilentProgress"]


class ProgressTask(Protocol):
    """One bar."""

    def advance(self, amount: int = 1, *, note: str | None = None) -> None:
        """Move the bar by ``amount``; ``note`` replaces the short text beside it (cost, failures)."""


class Progress(Protocol):
    """Makes bars and says what happens."""

    def task(self, label: str, total: int | None, unit: str) -> AbstractContextManager[ProgressTask]:
        """Return a context manager for a bar of ``total`` units (None if not known)."""

    def say(self, message: str) -> None:
        """Tell the user one line."""


class _SilentTask:
    def advance(self, amount: int = 1, *, note: str | None = None) -> None:
        """Do nothing."""


class SilentProgress:
    """Shows nothing."""

    @contextmanager
    def task(self, label: str, total: int | None, unit: str) -> Iterator[ProgressTask]:  # noqa: ARG002
        """Yield a bar that nobody sees."""
        yield _SilentTask()

    def say(self, message: str) -> None:
        """Do nothing."""


SILENT = SilentProgress()
