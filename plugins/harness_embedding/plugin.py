"""Registers the embedding scorer."""

from __future__ import annotations

from harness.api import MetricSpec, Need, ScorerSpec, hookimpl

__all__ = ["EMBEDDING", "harness_scorers"]

EMBEDDING = ScorerSpec(
    name="embedding",
    summary="Is the explanation nearer to activating than to other windows in embedding space? No judge",
    factory="harness_embedding.scorer:EmbeddingScorer",
    config="harness_embedding.config:EmbeddingConfig",
    citation="Paulo et al. 2024, arXiv 2410.13928, section 3.2 (embedding)",
    metrics=(MetricSpec("auroc", "P(an activating window is nearer than another one), ties half", chance=0.5),),
    primary_metric="auroc",
    needs=frozenset({Need.EMBEDDER}),
    fidelity="input",
)


@hookimpl
def harness_scorers() -> tuple[ScorerSpec, ...]:
    """Return the embedding scorer."""
    return (EMBEDDING,)
