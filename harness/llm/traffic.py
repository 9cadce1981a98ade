"""What all language models of one run share: the gate of each endpoint, and the budget."""

from __future__ import annotations

from harness.llm.budget import Budget

__all__ = ["Traffic"]


class Traffic:
    """Shared by the roles of one run. Used from one event loop only.

    Args:
        budget: What the run may spend; None for no limit.
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
