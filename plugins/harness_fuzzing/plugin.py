"""Registers the fuzzing scorer."""

from __future__ import annotations

from harness.api import CLASSIFICATION_METRICS, Need, ScorerSpec, hookimpl

__all__ = ["FUZZING", "harness_scorers"]

FUZZING = ScorerSpec(
    name="fuzzing",
    summary="Are the marked tokens the ones the feature responds to? Asked of a judge, window by window",
    factory="harness_fuzzing.scorer:FuzzingScorer",
    config="harness_fuzzing.config:FuzzingConfig",
    example_needs="harness_fuzzing.config:example_needs",
    citation="Paulo et al. 2024, arXiv 2410.13928, section 3.2 (fuzzing)",
    metrics=CLASSIFICATION_METRICS,
    primary_metric="auroc",
    needs=frozenset({Need.JUDGE}),
    fidelity="input",
    check="harness_fuzzing.scorer:check",
    judge_reports="log-probabilities of its answers (nothing in mode=list)",
    version=3,
)


@hookimpl
def harness_scorers() -> tuple[ScorerSpec, ...]:
    """Return the fuzzing scorer."""
    return (FUZZING,)
