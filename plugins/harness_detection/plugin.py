"""Registers the detection scorer."""

from __future__ import annotations

from harness.api import CLASSIFICATION_METRICS, Need, ScorerSpec, hookimpl

__all__ = ["DETECTION", "harness_scorers"]

DETECTION = ScorerSpec(
    name="detection",
    summary="Does this text activate the feature? Asked of a judge, window by window",
    factory="harness_detection.scorer:DetectionScorer",
    config="harness_detection.config:DetectionConfig",
    citation="Paulo et al. 2024, arXiv 2410.13928, section 3.2 (detection)",
    metrics=CLASSIFICATION_METRICS,
    primary_metric="auroc",
    needs=frozenset({Need.JUDGE}),
    fidelity="input",
    check="harness_detection.scorer:check",
    version=2,
)


@hookimpl
def harness_scorers() -> tuple[ScorerSpec, ...]:
    """Return the detection scorer."""
    return (DETECTION,)
