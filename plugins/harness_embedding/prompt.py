"""What the embedder reads for the explanation."""

from __future__ import annotations

__all__ = ["query_text"]


def query_text(instruction: str, explanation: str) -> str:
    """Return the explanation as a query: the instruction, exactly as configured, then the text."""
    return f"{instruction}{explanation.strip()}"
