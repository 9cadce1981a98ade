"""Progress on a terminal: bars with rate and time left. Where nobody watches: one line per finished task."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from harness.text import for_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Task, TaskID

    import harness.progress

__all__ = ["LineProgress", "RichProgress", "terminal_progress"]


def terminal_progress() -> harness.progress.Progress:
    """Return bars if standard error is a terminal, else plain lines."""
    return RichProgress(Console(stderr=True)) if sys.stderr.isatty() else LineProgress()


class _Rate(ProgressColumn):
    """Units per second."""

    def render(self, task: Task) -> Text:
        """Return the rate, or nothing before there is one."""
        speed = task.finished_speed or task.speed
        unit = task.fields.get("unit", "")
        return Text("" if speed is None else f"{speed:,.1f} {unit}/s", style="dim")


class _RichTask:
    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars, self._task = bars, task

    def advance(self, amount: int = 1, *, note: str | None = None) -> None:
        """Move the bar."""
        self._bars.advance(self._task, amount)
        if note is not None:
            self._bars.update(self._task, note=for_terminal(note))


class RichProgress:
    """Bars on a terminal, one under the other; those that have ended stay until the last one does."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Progress | None = None
        self._open = 0

    @contextmanager
    def task(self, label: str, total: int | None, unit: str) -> Iterator[_RichTask]:
        """Yield a bar that is shown while the task lasts. Tasks may overlap and end in any order."""
        # One display for all: a terminal has one bottom.
        if self._bars is None:
            self._bars = self._display()
            self._bars.start()
        bars = self._bars
        self._open += 1
        task = bars.add_task(label, total=total, unit=unit, note="")
        try:
            yield _RichTask(bars, task)
        finally:
            bars.stop_task(task)
            self._open -= 1
            if not self._open:
                self._bars = None
                bars.stop()

    def say(self, message: str) -> None:
        """Write one line above the bars."""
        self._console.print(for_terminal(message), markup=False, highlight=False)

    def _display(self) -> Progress:
        return Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
        )


class _LineTask:
    def __init__(self) -> None:
        self.done = 0
        self.note = ""

    def advance(self, amount: int = 1, *, note: str | None = None) -> None:
        """Count, and keep the latest note."""
        self.done += amount
        self.note = note or self.note


class LineProgress:
    """One line on standard error when a task ends."""

    @contextmanager
    def task(self, label: str, total: int | None, unit: str) -> Iterator[_LineTask]:  # noqa: ARG002
        """Yield a counter and write what it counted."""
        task = _LineTask()
        begun = time.monotonic()
        yield task
        seconds = time.monotonic() - begun
        note = f" ({task.note})" if task.note else ""
        self.say(f"{label}: {task.done:,} {unit} in {seconds:.1f} s{note}")

    def say(self, message: str) -> None:
        """Write one line."""
        sys.stderr.write(f"{for_terminal(message)}\n")
