"""What the embedder reads for the explanation."""

from __future__ import annotations

from harness.api import part_shown

__all__ = ["query_text"]


def query_text(instruction: str, explanation: str) -> str:
    """Return the explanation as a query: the instruction, exactly as configured, then as much as prompts show of it."""
    return f"{instruction}{part_shown(explanation).strip()}"
