"""Registers the SAEBench scorer."""

from __future__ import annotations

from harness.api import CLASSIFICATION_METRICS, ExampleNeeds, MetricSpec, Need, ScorerSpec, hookimpl
from harness_saebench.config import N_RANDOM, N_SHOWN, N_TOP, N_WEIGHTED

__all__ = ["SAEBENCH", "harness_scorers"]

_ACCURACY = MetricSpec(
    "accuracy",
    f"share of windows judged rightly, the protocol's number; naming none gives {N_RANDOM}/{N_SHOWN}",
    chance=N_RANDOM / N_SHOWN,
)

SAEBENCH = ScorerSpec(
    name="saebench",
    version=2,
    summary="Which of 14 windows activate the feature? One question to a judge, as in SAEBench",
    factory="harness_saebench.scorer:SAEBenchScorer",
    config="harness_saebench.config:SAEBenchConfig",
    example_needs=ExampleNeeds(activating=N_TOP + N_WEIGHTED, random=N_RANDOM),
    citation="Karvonen et al. 2025, SAEBench, arXiv 2503.09532 (automated interpretability)",
    metrics=(_ACCURACY, *(metric for metric in CLASSIFICATION_METRICS if metric.name != "auroc")),
    primary_metric="balanced_accuracy",
    needs=frozenset({Need.JUDGE}),
    fidelity="input",
)


@hookimpl
def harness_scorers() -> tuple[ScorerSpec, ...]:
    """Return the SAEBench scorer."""
    return (SAEBENCH,)
