"""Registers the intervention and the output-token scorer."""

from __future__ import annotations

from harness.api import CLASSIFICATION_METRICS, MetricSpec, Need, ScorerSpec, hookimpl

__all__ = ["INTERVENTION", "OUTPUT_TOKENS", "harness_scorers"]

INTERVENTION = ScorerSpec(
    name="intervention",
    version=2,
    summary="Does steering the feature make the subject write what the explanation says? At a fixed KL divergence",
    factory="harness_intervention.scorer:InterventionScorer",
    config="harness_intervention.config:InterventionConfig",
    citation="Paulo et al. 2024, arXiv 2410.13928 (intervention scoring)",
    metrics=(
        MetricSpec(
            "surprisal_reduction",
            "nats by which steered text makes the explanation less surprising than clean text, mean over prompts",
            low=None,
            high=None,
            chance=0.0,
        ),
        MetricSpec(
            "reduction_per_word",
            "surprisal_reduction over the number of words of the explanation",
            low=None,
            high=None,
            chance=0.0,
        ),
        MetricSpec("win_rate", "P(steered text shows the explanation more than clean text), ties half", chance=0.5),
        MetricSpec(
            "baseline_margin",
            "surprisal_reduction less that of other directions of the same source at the same KL divergence",
            low=None,
            high=None,
            chance=0.0,
        ),
    ),
    primary_metric="surprisal_reduction",
    needs=frozenset({Need.JUDGE, Need.SUBJECT, Need.WRITES}),
    fidelity="output",
    check="harness_intervention.scorer:check",
)

OUTPUT_TOKENS = ScorerSpec(
    name="output_tokens",
    version=3,
    summary="Does the explanation name the tokens that the feature promotes? Asked of a judge, token by token",
    factory="harness_intervention.output_tokens:OutputTokensScorer",
    config="harness_intervention.config:OutputTokensConfig",
    citation="Gur-Arieh et al. 2025, arXiv 2501.08319 (output-centric evaluation); the design is this harness's own",
    metrics=CLASSIFICATION_METRICS,
    primary_metric="auroc",
    needs=frozenset({Need.JUDGE, Need.SUBJECT, Need.WRITES}),
    fidelity="output",
    check="harness_intervention.output_tokens:check",
)


@hookimpl
def harness_scorers() -> tuple[ScorerSpec, ...]:
    """Return the intervention and the output-token scorer."""
    return (INTERVENTION, OUTPUT_TOKENS)
