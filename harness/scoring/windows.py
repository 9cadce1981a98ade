"""Scorers that read no explanation: they say what the windows of a feature have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.examples.record import ScoreRecord
    from harness.explainers.protocol import Explanation
    from harness.scoring.protocol import Resources, Score

__all__ = ["WindowScorer"]


class WindowScorer(ABC):
    """Scores the windows of a record: all explanations of a feature get the same score, what any could reach."""

    async def score(
        self,
        record: ScoreRecord,
        explanation: Explanation,  # noqa: ARG002  -- the protocol's signature
        resources: Resources,
    ) -> Score:
        """Return the score of the record's windows; the explanation is not read.

        Raises:
            ConfigError: If something that is needed is missing.
            LLMError: If a judge is needed and cannot be asked at all.
        """
        return await self.score_windows(record, resources)

    @abstractmethod
    async def score_windows(self, record: ScoreRecord, resources: Resources) -> Score:
        """Return the score of the record's windows."""
