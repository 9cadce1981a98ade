"""The progress bars of scoring: one for each scorer, shown from its first unit on."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness.runner.notes import progress_note

if TYPE_CHECKING:
    from contextlib import ExitStack

    from harness.llm.protocol import Spending
    from harness.progress import Progress, ProgressTask

__all__ = ["Bars"]


class Bars:
    """Bars that are opened when there is something to show.

    Args:
        progress: Where they are shown.
        shown: Closes them in the end.
    """

    def __init__(self, progress: Progress, shown: ExitStack) -> None:
        self._progress = progress
        self._shown = shown
        self._bars: dict[str, ProgressTask] = {}
        self._before: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()

    def was_done(self, label: str) -> None:
        """Count a unit that an earlier process has done."""
        if label in self._bars:
            self._bars[label].advance(1)
        else:
            self._before[label] += 1

    def open(self, label: str, total: int, unit: str) -> None:
        """Show the bar ``label``, if it is not shown yet."""
        if label not in self._bars:
            self._bars[label] = self._shown.enter_context(self._progress.task(label, total, unit))
            if self._before[label]:
                self._bars[label].advance(self._before[label])

    def done(self, label: str, spending: Spending | None, *, failed: bool) -> None:
        """Count a unit that is done, with what was spent so far."""
        self._failed[label] += failed
        self._bars[label].advance(1, note=progress_note(self._failed[label], spending))
