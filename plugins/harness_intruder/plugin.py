"""Registers the intruder scorer."""

from __future__ import annotations

from harness.api import MetricSpec, Need, ScorerSpec, hookimpl

__all__ = ["INTRUDER", "harness_scorers"]

INTRUDER = ScorerSpec(
    name="intruder",
    version=3,
    summary="Is the window that does not belong found among windows of the feature? Reads no explanation",
    factory="harness_intruder.scorer:IntruderScorer",
    config="harness_intruder.config:IntruderConfig",
    example_needs="harness_intruder.config:example_needs",
    citation="Chang et al. 2009, Reading Tea Leaves (word intrusion), put to windows of a feature and a judge",
    metrics=(
        MetricSpec("accuracy_above_chance", "(accuracy - chance) / (1 - chance): 1 if all found", low=-1.0, chance=0.0),
        MetricSpec("accuracy", "share of answered questions whose intruder was named; chance 1 / windows shown"),
    ),
    primary_metric="accuracy_above_chance",
    needs=frozenset({Need.JUDGE}),
)


@hookimpl
def harness_scorers() -> tuple[ScorerSpec, ...]:
    """Return the intruder scorer."""
    return (INTRUDER,)
