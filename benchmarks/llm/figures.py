"""How a benchmark of this folder states a figure: what was measured, the limit, and whether it is kept."""

from __future__ import annotations

import sys

__all__ = ["Figures"]


class Figures:
    """Prints figures as they come and remembers whether every limit was kept.

    Args:
        title: What is measured.
    """

    def __init__(self, title: str) -> None:
        self._missed = 0
        print(f"== {title}", flush=True)

    def at_most(self, what: str, measured: float, limit: float, unit: str = "") -> None:
        """State a figure that must not be more than ``limit``."""
        self._state(what, measured, f"<= {_number(limit)}", unit, kept=measured <= limit)

    def at_least(self, what: str, measured: float, limit: float, unit: str = "") -> None:
        """State a figure that must not be less than ``limit``."""
        self._state(what, measured, f">= {_number(limit)}", unit, kept=measured >= limit)

    def exactly(self, what: str, measured: float, expected: float, unit: str = "") -> None:
        """State a figure that must be what it is."""
        self._state(what, measured, f"= {_number(expected)}", unit, kept=measured == expected)

    def note(self, what: str, measured: str | float, unit: str = "") -> None:
        """State a figure without a limit."""
        shown = measured if isinstance(measured, str) else _number(measured)
        print(f"   {what:<58}{shown:>10} {unit}".rstrip(), flush=True)

    def end(self) -> None:
        """Leave the process with 1 if a limit was missed."""
        sys.exit(1 if self._missed else 0)

    def _state(self, what: str, measured: float, limit: str, unit: str, *, kept: bool) -> None:
        self._missed += not kept
        verdict = "kept" if kept else "MISSED"
        print(f"   {what:<58}{_number(measured):>10} {unit:<8} limit {limit:<10} {verdict}", flush=True)


def _number(value: float) -> str:
    return f"{value:,.3f}".rstrip("0").rstrip(".")
