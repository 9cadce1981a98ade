"""Parameters of the built-in kinds of feature source."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING

from harness.config.schema import ModelConfig

__all__ = ["MlpNeuronsConfig", "SaeConfig", "TranscoderConfig"]


@dataclass
class SaeConfig:
    """A sparse autoencoder on one hookpoint.

    Attributes:
        model: The subject model.
        source: Folder of the weights (SAELens or sparsify): a path, ``demo://...`` or ``wheel://...``.
        hookpoint: Where it reads, as in ``model.layers.14.output``; None takes what the weights' own config says.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    source: str = MISSING
    hookpoint: str | None = None


@dataclass
class TranscoderConfig:
    """A transcoder: reads one hookpoint and stands in for the computation up to another.

    Attributes:
        model: The subject model.
        source: Folder of the weights (SAELens or sparsify): a path, ``demo://...`` or ``wheel://...``.
        hookpoint: Where it reads, as in ``model.layers.14.mlp.input``; None takes what the weights' own config says.
        hookpoint_out: Where it writes, as in ``model.layers.14.mlp.output``; None likewise.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    source: str = MISSING
    hookpoint: str | None = None
    hookpoint_out: str | None = None


@dataclass
class MlpNeuronsConfig:
    """The neurons of one MLP layer; a neuron's value is the input of the down projection.

    Exactly one of ``top_k`` and ``threshold`` says which active values are kept; the others are counted.

    Attributes:
        model: The subject model.
        layer: Index of the block, from 0.
        top_k: Keep the k largest active neurons of each token.
        threshold: Keep every neuron whose value is above this.
        polarity: ``positive`` (the feature is ``max(value, 0)``), ``negative`` (``max(-value, 0)``) or ``absolute``.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    layer: int = MISSING
    top_k: int | None = 32
    threshold: float | None = None
    polarity: str = "positive"
