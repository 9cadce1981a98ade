"""``empty``: the control that says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.explainers.protocol import Draft, ExplainerEstimate
from harness.llm.counting import APPROXIMATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.examples.record import ExplainRecord
    from harness.explainers.config import EmptyConfig
    from harness.explainers.protocol import Explanation
    from harness.llm.counting import TokenCounter

__all__ = ["Empty"]


class Empty:
    """Gives every feature the empty text."""

    def __init__(self, config: EmptyConfig) -> None:
        self._config = config

    def estimate(
        self,
        n_examples: int,  # noqa: ARG002 -- the seam
        window_tokens: int,  # noqa: ARG002 -- the seam
        counter: TokenCounter = APPROXIMATE,  # noqa: ARG002 -- the seam
    ) -> ExplainerEstimate:
        """Return that nothing is asked, and nothing said."""
        return ExplainerEstimate(0, 0, 0, explanation_tokens=0)

    def build(
        self,
        records: Sequence[ExplainRecord],
        explanations: Mapping[int, Explanation],  # noqa: ARG002 -- the seam
        seed: int,  # noqa: ARG002 -- nothing is drawn
    ) -> dict[int, Draft]:
        """Return the empty text for every feature."""
        return {record.feature: Draft("") for record in records}
