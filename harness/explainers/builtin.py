"""The explainers and controls that come with the harness, as specs. Imports nothing heavy."""

from __future__ import annotations

from harness.explainers.config import DefaultConfig, EmptyConfig, ImportedConfig, ShuffledConfig, TopTokensConfig
from harness.registry.specs import ControlSpec, ExplainerSpec

__all__ = ["CONTROLS", "EXPLAINERS"]

_TOP_TOKENS = "harness.explainers.top_tokens:TopTokens"

EXPLAINERS = (
    ExplainerSpec(
        name="default",
        summary="A language model sees windows with the active tokens marked and says what they share.",
        factory="harness.explainers.default:DefaultExplainer",
        config=DefaultConfig,
        citation="Paulo et al. 2024, Automatically Interpreting Millions of Features in LLMs, section 3.1",
        needs_llm=True,
    ),
    ExplainerSpec(
        name="imported",
        summary="Explanations from a JSONL or CSV file, or of an earlier run.",
        factory="harness.explainers.imported:ImportedExplainer",
        config=ImportedConfig,
        identity="harness.explainers.imported:imported_identity",
    ),
    ExplainerSpec(
        name="top_tokens",
        summary="Names the tokens on which the feature fires most; asks no language model.",
        factory=_TOP_TOKENS,
        config=TopTokensConfig,
    ),
)
"""The built-in explainers."""

CONTROLS = (
    ControlSpec(
        name="shuffled",
        summary="Another feature's explanation, drawn within the subject.",
        factory="harness.explainers.shuffled:Shuffled",
        config=ShuffledConfig,
        rank="no better than chance",
        uses_explanations=True,
    ),
    ControlSpec(
        name="top_tokens",
        summary="Names the tokens on which the feature fires most.",
        factory=_TOP_TOKENS,
        config=TopTokensConfig,
        rank="above chance; a useful explanation beats it",
    ),
    ControlSpec(
        name="empty",
        summary="The empty text.",
        factory="harness.explainers.empty:Empty",
        config=EmptyConfig,
        rank="no better than chance",
    ),
)
"""The built-in controls."""
