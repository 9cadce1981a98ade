"""The kinds of feature source that come with the harness."""

from __future__ import annotations

from harness.registry.specs import SubjectSpec

__all__ = ["SUBJECTS"]

SUBJECTS: tuple[SubjectSpec, ...] = (
    SubjectSpec(
        name="sae",
        summary="Latents of a sparse autoencoder.",
        factory="harness.subjects.sae:build",
        config="harness.subjects.configs:SaeConfig",
        source_identity="harness.subjects.identity:sae_identity",
        citation="Cunningham et al. 2023, Sparse Autoencoders Find Highly Interpretable Features in Language Models",
    ),
    SubjectSpec(
        name="transcoder",
        summary="Latents of a transcoder, with or without a skip connection.",
        factory="harness.subjects.transcoder:build",
        config="harness.subjects.configs:TranscoderConfig",
        source_identity="harness.subjects.identity:transcoder_identity",
        citation="Dunefsky et al. 2024, Transcoders Find Interpretable LLM Feature Circuits",
    ),
    SubjectSpec(
        name="mlp_neurons",
        summary="Neurons of an MLP layer, kept by per-token top-k or above a threshold.",
        factory="harness.subjects.mlp_neurons:build",
        config="harness.subjects.configs:MlpNeuronsConfig",
        source_identity="harness.subjects.identity:mlp_neurons_identity",
        citation="Paulo et al. 2024, Automatically Interpreting Millions of Features in LLMs (neuron baseline)",
    ),
    SubjectSpec(
        name="attention_heads",
        summary="Outputs of a layer's attention heads: single dimensions, or one norm per head.",
        factory="harness.subjects.attention_heads:build",
        config="harness.subjects.configs:AttentionHeadsConfig",
        source_identity="harness.subjects.identity:attention_heads_identity",
    ),
    SubjectSpec(
        name="directions",
        summary="Directions such as probes or steering vectors, from a safetensors or NumPy file.",
        factory="harness.subjects.directions:build",
        config="harness.subjects.configs:DirectionsConfig",
        source_identity="harness.subjects.identity:directions_identity",
    ),
    SubjectSpec(
        name="planted",
        summary="Features defined by rules on text, whose true explanations are known.",
        factory="harness.subjects.planted.source:build",
        config="harness.subjects.configs:PlantedConfig",
        source_identity="harness.subjects.planted.identity:planted_identity",
        writes=False,
        has_directions=False,
    ),
    SubjectSpec(
        name="planted_output",
        summary="Directions of the residual stream that promote known tokens.",
        factory="harness.subjects.planted.promoters:build",
        config="harness.subjects.configs:PlantedOutputConfig",
        source_identity="harness.subjects.planted.identity:promoters_identity",
    ),
)
