"""Parameters of the built-in kinds of feature source."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING

from harness.config.schema import ModelConfig
from harness.identity import LATER

__all__ = [
    "AttentionHeadsConfig",
    "DirectionsConfig",
    "MlpNeuronsConfig",
    "PlantedConfig",
    "PlantedOutputConfig",
    "SaeConfig",
    "TranscoderConfig",
]


@dataclass
class SaeConfig:
    """A sparse autoencoder on one hookpoint.

    Attributes:
        model: The subject model.
        source: The weights, a folder or file in any known format: a path, ``hub://owner/name@revision/path``,
            ``demo://...`` or ``wheel://...``.
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
        source: The weights, a folder or file in any known format: a path, ``hub://owner/name@revision/path``,
            ``demo://...`` or ``wheel://...``.
        hookpoint: Where it reads, as in ``model.layers.14.mlp.input``; None takes what the weights' own config says.
        hookpoint_out: Where it writes, as in ``model.layers.14.mlp.output``; None likewise.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    source: str = MISSING
    hookpoint: str | None = None
    hookpoint_out: str | None = None


@dataclass
class MlpNeuronsConfig:
    """The neurons of one MLP layer; a neuron's value is the input of the down projection, or its pre-activation.

    Exactly one of ``top_k`` and ``threshold`` says which active values are kept; the others are counted.

    Attributes:
        model: The subject model.
        layer: Index of the block, from 0.
        top_k: Keep the k largest active neurons of each token.
        threshold: Keep every neuron whose value is above this.
        polarity: ``positive`` (the feature is ``max(value, 0)``), ``negative`` (``max(-value, 0)``) or ``absolute``.
        value: ``post`` (the input of the down projection) or ``pre`` (what the activation function is given: the gate
            projection's output, or that of the first linear map of a plain MLP).
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    layer: int = MISSING
    top_k: int | None = 32
    threshold: float | None = None
    polarity: str = "positive"
    value: str = field(default="post", metadata=LATER)


@dataclass
class AttentionHeadsConfig:
    """The outputs of one layer's attention heads, at the input of the output projection.

    Exactly one of ``top_k`` and ``threshold`` says which active values are kept; the others are counted.

    Attributes:
        model: The subject model.
        layer: Index of the block, from 0.
        value: ``dimension`` (a feature is one dimension of one head, ``head * d_head + dimension``; can be steered) or
            ``norm`` (a feature is the norm of one head's output; cannot be steered).
        top_k: Keep the k largest active features of each token; of norms, which are all active, fewer than there are.
        threshold: Keep every feature whose value is above this.
        polarity: ``positive`` (the feature is ``max(value, 0)``), ``negative`` (``max(-value, 0)``) or ``absolute``;
            a norm is ``positive``.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    layer: int = MISSING
    value: str = "dimension"
    top_k: int | None = 32
    threshold: float | None = None
    polarity: str = "positive"


@dataclass
class DirectionsConfig:
    """Directions, such as probes or steering vectors; a feature's value is ``x . direction + bias``.

    Exactly one of ``top_k`` and ``threshold`` says which active values are kept; the others are counted. A direction is
    positive at about half of all tokens, so that it takes a threshold to make active mean something: it has no default.

    Attributes:
        model: The subject model.
        source: A ``.npy`` file with a matrix [n, d] or a vector [d], or a ``.safetensors`` file with one such tensor or
            several vectors, in order of name, and perhaps a tensor ``bias`` [n]: a path,
            ``hub://owner/name@revision/path`` or ``wheel://...``.
        hookpoint: Where they are read, as in ``model.layers.14.output``.
        bias: A file with the biases [n] alone; None takes those in ``source``, or else none.
        normalise: Divide every direction and its bias by the direction's norm, so that a value is a distance.
        top_k: Keep the k largest active features of each token.
        threshold: Keep every feature whose value is above this; null where ``top_k`` is set.
        polarity: ``positive`` (the feature is ``max(value, 0)``), ``negative`` (``max(-value, 0)``) or ``absolute``.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    source: str = MISSING
    hookpoint: str = MISSING
    bias: str | None = None
    normalise: bool = False
    top_k: int | None = None
    threshold: float | None = MISSING
    polarity: str = "positive"


@dataclass
class PlantedConfig:
    """Planted features that read text.

    Attributes:
        model: The model whose tokenizer cuts the text; its weights are not asked.
    """

    model: ModelConfig = field(default_factory=ModelConfig)


@dataclass
class PlantedOutputConfig:
    """Planted output features: directions of the residual stream that promote known tokens.

    Attributes:
        model: The subject model.
        layer: Index of the block after which they are read and written, from 0.
        density: Share of the tokens on which each fires, as measured on a few texts of the demo corpus.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    layer: int = MISSING
    density: float = 0.005
