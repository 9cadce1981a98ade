"""Writing to the terminal: the only room that prints. Text of strangers is made harmless first."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from harness.identity import plain
from harness.text import for_terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.registry.catalogue import Catalogue

__all__ = ["warn_of_broken", "write", "write_error", "write_json", "write_note", "write_table"]

_LINE = 2000


def write(text: str) -> None:
    """Write one text and a newline to standard output."""
    sys.stdout.write(f"{text}\n")


def write_json(value: Any) -> None:
    """Write a value as indented JSON."""
    write(json.dumps(plain(value), indent=2, ensure_ascii=True, allow_nan=False))


def write_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write aligned columns; the last one is not padded."""
    table = [list(header), *([for_terminal(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def write_note(text: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(f"harness: {for_terminal(text, limit=_LINE)}\n")


def write_error(message: str) -> None:
    """Write an error as one line to standard error."""
    write_note(f"error: {message}")


def warn_of_broken(catalogue: Catalogue) -> None:
    """Write one line to standard error for every plugin that does not work."""
    for record in catalogue.broken:
        write_note(f"warning: {record}")
