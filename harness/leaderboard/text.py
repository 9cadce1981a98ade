"""Numbers and names as cells of a table. Names come from files and plugins, so they are made harmless here."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["aligned", "code", "integer", "money", "number", "percent", "safe", "signed", "width", "with_interval"]

_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}
"""Unicode categories that move the cursor, hide or reorder text, or show nothing."""


def safe(text: str) -> str:
    r"""Return ``text`` on one line with everything a terminal might obey written out (``\\x1b``)."""
    return "".join(
        char.encode("unicode_escape").decode("ascii") if unicodedata.category(char) in _HIDDEN else char
        for char in text
    )


def code(text: str) -> str:
    r"""Return ``text`` as a Markdown code span that nothing in it can leave, fit for a table cell."""
    inner = safe(text).replace("`", "\\x60").replace("|", "\\x7c")
    return f"`{inner}`" if inner.strip() else "` `"


def width(text: str) -> int:
    """Return how many columns ``text`` takes in a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def number(value: float | None) -> str:
    """Return a metric's value to two decimals, ``-`` where undefined."""
    # Adding 0.0 turns a rounded -0.0 into 0.0.
    return "-" if value is None else f"{round(value, 2) + 0.0:.2f}"


def signed(value: float | None) -> str:
    """Return a difference to two decimals with its sign, ``-`` where undefined."""
    return "-" if value is None else f"{round(value, 2) + 0.0:+.2f}"


def with_interval(mean: float | None, low: float | None, high: float | None, *, difference: bool = False) -> str:
    """Return ``0.71 [0.64, 0.78]``; without the brackets where there is no interval."""
    show = signed if difference else number
    if mean is None or low is None or high is None:
        return show(mean)
    return f"{show(mean)} [{show(low)}, {show(high)}]"


def percent(part: int, whole: int) -> str:
    """Return a share in per cent; 100% and 0% only where exact."""
    if whole == 0:
        return "-"
    share = 100 * part / whole
    rounded = min(max(round(share), 1), 99) if 0 < part < whole else round(share)
    return f"{rounded}%"


def integer(value: float | None) -> str:
    """Return a count to the nearest whole with thousands marked, ``-`` where undefined."""
    return "-" if value is None else f"{value:,.0f}"


def money(value: float | None) -> str:
    """Return dollars and cents, or two significant digits below a dollar; ``unknown`` where no price is known."""
    if value is None:
        return "unknown"
    if value == 0:
        return "0"
    return f"{value:,.2f}" if value >= 1 else f"{value:.2g}"


def aligned(table: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Return the lines of a table: the first ``left`` columns to the left, figures to the right."""
    widths = [max(width(cell) for cell in column) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = [
            cell + " " * (wide - width(cell)) if place < left else " " * (wide - width(cell)) + cell
            for place, (cell, wide) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"   {'  '.join(cells)}".rstrip())
    return lines
