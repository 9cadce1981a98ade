"""The short text beside a progress bar: what failed so far, and what was spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.llm.protocol import Spending

__all__ = ["progress_note"]


def progress_note(failed: int, spending: Spending | None) -> str | None:
    """Return for instance ``2 failed, $0.31``; None if there is nothing to say."""
    parts = [f"{failed} failed"] if failed else []
    if spending is not None and spending.billed.calls:
        usd = spending.billed.usd
        if usd is None:
            parts.append("price unknown")
        elif usd > 0:
            parts.append(f"${usd:.2f}")
    return ", ".join(parts) or None
