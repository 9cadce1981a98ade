"""Registers the embedding scorers."""

from __future__ import annotations

from harness.api import ExampleNeeds, MetricSpec, Need, ScorerSpec, hookimpl

__all__ = ["EMBEDDING", "EXAMPLE_EMBEDDING", "harness_scorers"]

EMBEDDING = ScorerSpec(
    name="embedding",
    version=2,
    summary="Is the explanation nearer to activating than to other windows in embedding space? No judge",
    factory="harness_embedding.scorer:EmbeddingScorer",
    config="harness_embedding.config:EmbeddingConfig",
    example_needs=ExampleNeeds(non_activating=1),
    citation="Paulo et al. 2024, arXiv 2410.13928, section 3.2 (embedding)",
    metrics=(MetricSpec("auroc", "P(an activating window is nearer than another one), ties half", chance=0.5),),
    primary_metric="auroc",
    needs=frozenset({Need.EMBEDDER}),
    fidelity="input",
)

EXAMPLE_EMBEDDING = ScorerSpec(
    name="example_embedding",
    version=2,
    summary="Are activating windows nearer to each other than to silent ones? No judge; reads no explanation",
    factory="harness_embedding.example_scorer:ExampleEmbeddingScorer",
    config="harness_embedding.config:ExampleEmbeddingConfig",
    example_needs=ExampleNeeds(activating=2, non_activating=1),
    citation="EleutherAI, Delphi (example embedding scorer)",
    metrics=(
        MetricSpec("auroc", "P(an activating window is nearer to another than to a silent one), ties half", chance=0.5),
        MetricSpec("mean_difference", "mean cosine with activating minus with silent windows", -2.0, 2.0, chance=0.0),
    ),
    primary_metric="auroc",
    needs=frozenset({Need.EMBEDDER}),
)


@hookimpl
def harness_scorers() -> tuple[ScorerSpec, ...]:
    """Return the embedding scorers."""
    return (EMBEDDING, EXAMPLE_EMBEDDING)
