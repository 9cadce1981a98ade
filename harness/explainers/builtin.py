"""The explainers and controls that come with the harness, as specs. Imports nothing heavy."""

from __future__ import annotations

from harness.explainers.config import (
    ContrastiveConfig,
    DefaultConfig,
    EmptyConfig,
    ImportedConfig,
    LogitTokensConfig,
    MaxActivationLogitsConfig,
    NgramConfig,
    PlantedTextConfig,
    RefinedConfig,
    ShuffledConfig,
    TokenActivationsConfig,
    TopTokensConfig,
)
from harness.registry.specs import ControlSpec, ExplainerSpec

__all__ = ["CONTROLS", "EXPLAINERS"]

_TOP_TOKENS = "harness.explainers.top_tokens:TopTokens"
_PLANTED = "harness.explainers.planted"

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
        name="refined",
        summary="As default, then rewritten from its own failures on a part of the explain half; the best stays.",
        factory="harness.explainers.refined:Refined",
        config=RefinedConfig,
        needs_llm=True,
        needs_silent=True,
    ),
    ExplainerSpec(
        name="contrastive",
        summary="A language model sees active windows beside silent ones and says what makes the difference.",
        factory="harness.explainers.contrastive:Contrastive",
        config=ContrastiveConfig,
        citation="Paulo et al. 2024, arXiv 2410.13928, reference code (contrastive explainer)",
        needs_llm=True,
        needs_silent=True,
    ),
    ExplainerSpec(
        name="token_activations",
        summary="A language model sees every token with its strength, 0 to 10, and completes a sentence.",
        factory="harness.explainers.token_activations:TokenActivations",
        config=TokenActivationsConfig,
        citation="Bills et al. 2023, Language models can explain neurons in language models, step 1",
        needs_llm=True,
    ),
    ExplainerSpec(
        name="max_activation_logits",
        version=2,
        summary="A language model sees strongest tokens, next tokens and promoted tokens and gives a short label.",
        factory="harness.explainers.max_activation_logits:MaxActivationLogits",
        config=MaxActivationLogitsConfig,
        citation="Neuronpedia, explanation type np_max-act-logits",
        needs_llm=True,
    ),
    ExplainerSpec(
        name="logit_tokens",
        version=2,
        summary="A language model sees the tokens a feature promotes and nothing else; for output features.",
        factory="harness.explainers.logit_tokens:LogitTokens",
        config=LogitTokensConfig,
        needs_llm=True,
    ),
    ExplainerSpec(
        name="ngram",
        summary="Names the n-grams that best tell activating windows from silent ones; asks no language model.",
        factory="harness.explainers.ngram:Ngrams",
        config=NgramConfig,
        needs_silent=True,
    ),
    ExplainerSpec(
        name="imported",
        summary="Explanations from a JSONL or CSV file, or of an earlier run.",
        factory="harness.explainers.imported:ImportedExplainer",
        config=ImportedConfig,
        identity="harness.explainers.imported:imported_identity",
    ),
    ExplainerSpec(
        name="planted",
        summary="The true explanations of planted features.",
        factory=f"{_PLANTED}:PlantedTrue",
        config=PlantedTextConfig,
        identity="harness.planted.catalogue:texts_identity",
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
    ControlSpec(
        name="planted_broad",
        summary="Of a planted feature: a description that takes in more than it fires on.",
        factory=f"{_PLANTED}:PlantedBroad",
        config=PlantedTextConfig,
        rank="below the true explanation, above a related one",
    ),
    ControlSpec(
        name="planted_narrow",
        summary="Of a planted feature: a description of a part of what it fires on.",
        factory=f"{_PLANTED}:PlantedNarrow",
        config=PlantedTextConfig,
        rank="below the true explanation, above a related one",
    ),
    ControlSpec(
        name="planted_related",
        summary="Of a planted feature: a description that goes near what it fires on, and is wrong.",
        factory=f"{_PLANTED}:PlantedRelated",
        config=PlantedTextConfig,
        rank="below a broad or narrow explanation; near chance unless nearness of topic counts",
    ),
    ControlSpec(
        name="planted_wrong_token",
        summary="Of a planted feature: the right places, and the wrong token.",
        factory=f"{_PLANTED}:PlantedWrongToken",
        config=PlantedTextConfig,
        rank="as the true explanation where only texts are judged, below it where tokens are",
    ),
    ControlSpec(
        name="planted_other",
        summary="Of a planted feature: the true explanation of a feature of another family.",
        factory=f"{_PLANTED}:PlantedOther",
        config=PlantedTextConfig,
        rank="no better than chance",
    ),
)
"""The built-in controls."""
