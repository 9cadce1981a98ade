"""Registers the detection scorers."""

from __future__ import annotations

from harness.api import CLASSIFICATION_METRICS, ExampleNeeds, Need, ScorerSpec, hookimpl

__all__ = ["COUNTERFACTUAL", "DETECTION", "harness_scorers"]

DETECTION = ScorerSpec(
    name="detection",
    summary="Does this text activate the feature? Asked of a judge, window by window",
    factory="harness_detection.scorer:DetectionScorer",
    config="harness_detection.config:DetectionConfig",
    example_needs=ExampleNeeds(non_activating=1),
    citation="Paulo et al. 2024, arXiv 2410.13928, section 3.2 (detection)",
    metrics=CLASSIFICATION_METRICS,
    primary_metric="auroc",
    needs=frozenset({Need.JUDGE}),
    fidelity="input",
    check="harness_detection.scorer:check",
    judge_reports="log-probabilities of its answers (nothing in mode=list)",
    version=3,
)
COUNTERFACTUAL = ScorerSpec(
    name="detection_counterfactual",
    version=2,
    summary="Does this text activate the feature? Rewritten windows that the subject found silent are among the texts",
    factory="harness_detection.counterfactual:CounterfactualScorer",
    config="harness_detection.config:CounterfactualConfig",
    citation="Paulo et al. 2024, arXiv 2410.13928, section 3.2 (detection); the rewritten windows are ours",
    metrics=CLASSIFICATION_METRICS,
    primary_metric="auroc",
    needs=frozenset({Need.JUDGE, Need.SUBJECT}),
    fidelity="input",
    check="harness_detection.counterfactual:check",
    judge_reports="log-probabilities of its answers (nothing in mode=list)",
)


@hookimpl
def harness_scorers() -> tuple[ScorerSpec, ...]:
    """Return detection, and detection with rewritten windows."""
    return (DETECTION, COUNTERFACTUAL)
