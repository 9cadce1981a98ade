"""What is known of planted features: the true explanation as an explainer, its distortions as controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from harness.explainers.protocol import Draft, ExplainerEstimate
from harness.llm.counting import APPROXIMATE
from harness.outcome import Outcome
from harness.planted.catalogue import CATALOGUES, believed
from harness.planted.features import BROAD, NARROW, OTHER, RELATED, TRUE, WRONG_TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.examples.record import ExplainRecord
    from harness.explainers.config import PlantedTextConfig
    from harness.explainers.protocol import ExplainerResources, Explanation
    from harness.llm.counting import TokenCounter

__all__ = [
    "PlantedBroad",
    "PlantedNarrow",
    "PlantedOther",
    "PlantedRelated",
    "PlantedTrue",
    "PlantedWrongToken",
]


class PlantedTrue:
    """Writes one of the explanations that every planted feature has; the true one."""

    set_name: ClassVar[str] = TRUE

    def __init__(self, config: PlantedTextConfig) -> None:
        self._features = CATALOGUES[config.catalogue]
        self._reads = config.catalogue == "input"

    async def explain(self, record: ExplainRecord, resources: ExplainerResources) -> Draft:  # noqa: ARG002 -- the seam
        """Return the explanation of ``record``'s feature."""
        return self._draft(record)

    def estimate(
        self,
        n_examples: int,  # noqa: ARG002 -- the seam
        window_tokens: int,  # noqa: ARG002 -- the seam
        counter: TokenCounter = APPROXIMATE,
    ) -> ExplainerEstimate:
        """Return that nothing is asked, and how long the explanations are on average."""
        texts = [believed(self._features, place, self.set_name).text for place in range(len(self._features))]
        return ExplainerEstimate(0, 0, 0, explanation_tokens=round(sum(map(counter.text, texts)) / len(texts)))

    def build(
        self,
        records: Sequence[ExplainRecord],
        explanations: Mapping[int, Explanation],  # noqa: ARG002 -- the seam
        seed: int,  # noqa: ARG002 -- nothing is drawn
    ) -> dict[int, Draft]:
        """Return the explanation of every feature."""
        return {record.feature: self._draft(record) for record in records}

    def _draft(self, record: ExplainRecord) -> Draft:
        if not self._is_planted(record):
            what = f"feature {record.feature} of '{record.subject}' is no planted feature of this catalogue"
            return Draft(None, Outcome.ERROR, error=what)
        return Draft(believed(self._features, record.feature, self.set_name).text)

    def _is_planted(self, record: ExplainRecord) -> bool:
        """Return whether the feature can be the planted one of its number: another subject's would not follow the rule.

        Most windows of a feature that reads text hold a match; one at the edge of a window may have lost its context.
        """
        if not 0 <= record.feature < len(self._features):
            return False
        windows = record.examples.activating
        rule = self._features[record.feature].rule
        return not self._reads or 2 * sum(bool(rule.strengths(one.text)) for one in windows) >= len(windows)


class PlantedBroad(PlantedTrue):
    """Takes in what the feature fires on, and more."""

    set_name = BROAD


class PlantedNarrow(PlantedTrue):
    """Names a part of what the feature fires on."""

    set_name = NARROW


class PlantedRelated(PlantedTrue):
    """Goes near what the feature fires on, and is wrong."""

    set_name = RELATED


class PlantedWrongToken(PlantedTrue):
    """Names the right places and the wrong token."""

    set_name = WRONG_TOKEN


class PlantedOther(PlantedTrue):
    """Gives the true explanation of a feature of another family."""

    set_name = OTHER
