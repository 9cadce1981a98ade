"""A scorer of other people: how short an explanation is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import Item, MetricSpec, Outcome, Score, ScorerEstimate, ScorerSpec, hookimpl

if TYPE_CHECKING:
    from harness.api import ExampleShape, Explanation, Resources, ScoreRecord


@dataclass(frozen=True)
class LengthConfig:
    """``limit`` characters are as long as an explanation should be."""

    limit: int = 100


class Length:
    """One minus the share of ``limit`` characters that the explanation takes."""

    primary_metric = "brevity"

    def __init__(self, config: LengthConfig) -> None:
        self.config = config

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:  # noqa: ARG002
        """Return how short the explanation is."""
        brevity = 1.0 - min(len(explanation.text) / self.config.limit, 1.0)
        item = Item("text", "explanation", None, None, None, brevity, Outcome.OK, text=explanation.text)
        return Score(metrics={"brevity": brevity}, items=(item,))

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:  # noqa: ARG002
        """Return that nothing is asked."""
        return ScorerEstimate()


LENGTH = ScorerSpec(
    name="length",
    summary="How short is the explanation?",
    factory=Length,
    config=LengthConfig,
    metrics=(MetricSpec("brevity", "1 - length / limit"),),
    primary_metric="brevity",
)


@hookimpl
def harness_scorers() -> tuple[ScorerSpec, ...]:
    """Return the scorer."""
    return (LENGTH,)


@hookimpl
def harness_config_packages() -> tuple[str, ...]:
    """Return the package of YAML options."""
    return ("harness_length.conf",)
