"""Registers the surprisal scorer."""

from __future__ import annotations

from harness.api import ExampleNeeds, MetricSpec, Need, ScorerSpec, hookimpl

__all__ = ["SURPRISAL", "harness_scorers"]

SURPRISAL = ScorerSpec(
    name="surprisal",
    version=2,
    summary="Does the explanation make activating windows more probable to a language model than other windows?",
    factory="harness_surprisal.scorer:SurprisalScorer",
    config="harness_surprisal.config:SurprisalConfig",
    example_needs=ExampleNeeds(non_activating=1),
    citation="Paulo et al. 2024, arXiv 2410.13928, section 3.2 (surprisal)",
    metrics=(
        MetricSpec("auroc", "P(an activating window gains more than another one), ties half", chance=0.5),
        MetricSpec(
            "nats_per_token",
            "what the explanation adds to a token's log-probability in activating windows, less what it adds in others",
            low=None,
            high=None,
            chance=0.0,
        ),
    ),
    primary_metric="auroc",
    needs=frozenset({Need.JUDGE}),
    fidelity="input",
    check="harness_surprisal.scorer:check",
    judge_reports="log-probabilities of prompts",
)


@hookimpl
def harness_scorers() -> tuple[ScorerSpec, ...]:
    """Return the surprisal scorer."""
    return (SURPRISAL,)
