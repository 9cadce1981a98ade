"""What all language models of one run share: the gate of each endpoint, and the budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.llm.budget import Budget
from harness.llm.estimator import TokenEstimator
from harness.llm.gate import Gate, GateSettings

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Traffic"]


class Traffic:
    """Shared by the roles of one run. Used from one event loop only.

    Args:
        budget: What the run may spend; None for no limit.
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self._gates: dict[Hashable, tuple[Gate, TokenEstimator]] = {}

    def gate(self, endpoint: Hashable, settings: GateSettings) -> tuple[Gate, TokenEstimator]:
        """Return the gate of an endpoint and what was learnt of its tokens; of several limits the strictest hold."""
        known = self._gates.get(endpoint)
        if known is None:
            known = self._gates[endpoint] = (Gate(settings), TokenEstimator())
        else:
            known[0].tighten(settings)
        return known
