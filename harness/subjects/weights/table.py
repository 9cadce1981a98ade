"""The table of formats, as the documentation shows it: made from the readers themselves."""

from __future__ import annotations

from harness.subjects.weights.formats import READERS

__all__ = ["format_table"]


def format_table() -> str:
    """Return a Markdown table: a row for each format, with its files, what they hold, what it was checked against."""
    rows = [f"| `{reader.name}` | {reader.files} | {reader.kinds} | {reader.checked} |" for reader in READERS]
    return "\n".join(("| format | files | holds | checked against |", "|---|---|---|---|", *rows)) + "\n"
