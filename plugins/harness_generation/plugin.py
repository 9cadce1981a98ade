"""Registers the generation scorer."""

from __future__ import annotations

from harness.api import MetricSpec, Need, ScorerSpec, hookimpl

__all__ = ["GENERATION", "harness_scorers"]

GENERATION = ScorerSpec(
    name="generation",
    summary="Do texts a judge writes after the explanation activate the feature, and near-misses not?",
    factory="harness_generation.scorer:GenerationScorer",
    config="harness_generation.config:GenerationConfig",
    citation="EleutherAI 2024, Open Source Automated Interpretability for Sparse Autoencoder Features (generation)",
    metrics=(
        MetricSpec("auroc", "P(a text that should activate does so more than a near-miss), ties half", chance=0.5),
        MetricSpec("share_activating", "share of texts that should activate and do"),
        MetricSpec("share_above_lowest_decile", "the same, as strongly as all but a tenth of activating windows"),
        MetricSpec("share_above_median", "the same, as strongly as half of the activating windows"),
        MetricSpec("mode_coverage", "of the activating windows in a mode, the share whose mode a text reaches"),
        MetricSpec("near_misses_activating", "share of near-misses that activate", higher_is_better=False),
    ),
    primary_metric="auroc",
    needs=frozenset({Need.JUDGE, Need.SUBJECT}),
    fidelity="input",
)


@hookimpl
def harness_scorers() -> tuple[ScorerSpec, ...]:
    """Return the generation scorer."""
    return (GENERATION,)
