"""Reader of SAELens folders (``cfg.json`` + ``sae_weights.safetensors``), version 6 and the flat configs before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import FeatureSourceError
from harness.subjects.weights.folding import fold_scales
from harness.subjects.weights.header import SourceHeader, integer, number, read_json, shown, text
from harness.subjects.weights.reader import Layout, Reader, holds, take

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from harness.subjects.weights.header import ActivationKind, InputNorm

__all__ = ["READER"]

_CONFIG = "cfg.json"
_WEIGHTS = "sae_weights.safetensors"

_ARCHITECTURES: dict[str, ActivationKind] = {
    "standard": "relu",
    "topk": "topk",
    "jumprelu": "jumprelu",
    "gated": "gated",
    "transcoder": "relu",
    "skip_transcoder": "relu",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}


def read_header(folder: Path) -> SourceHeader:
    """Return what the folder's config says.

    Raises:
        FeatureSourceError: If the architecture or normalisation is one this reader does not know.
    """
    path = folder / _CONFIG
    config = _flatten(read_json(path))
    architecture = text(config, "architecture", path) or "standard"
    if architecture not in _ARCHITECTURES:
        raise FeatureSourceError(
            f"SAELens architecture {shown(architecture)} is not supported",
            where=str(path),
            hint=f"one of: {', '.join(sorted(_ARCHITECTURES))}",
        )
    activation, k = _activation(architecture, config, path)
    norm, scale = _normalisation(config, path)
    return SourceHeader(
        format="saelens",
        weights=folder / _WEIGHTS,
        activation=activation,
        k=k,
        d_in=integer(config, "d_in", path),
        n_features=integer(config, "d_sae", path),
        transcoder="transcoder" in architecture,
        subtract_b_dec=_flag(config, "apply_b_dec_to_input", default=True, path=path),
        input_norm=norm,
        input_scale=scale,
        rescale_by_decoder_norm=_flag(config, "rescale_acts_by_decoder_norm", default=False, path=path),
        centred=_centred(config),
        hook_in=text(config, "hf_hook_name", path) or text(config, "hook_name", path),
        hook_out=text(config, "hf_hook_name_out", path) or text(config, "hook_name_out", path),
    )


def arrays(tensors: Mapping[str, torch.Tensor], header: SourceHeader) -> dict[str, torch.Tensor]:
    """Return the tensors under the canonical names of ``Dictionary``, all foldable factors folded in.

    Raises:
        FeatureSourceError: If a tensor is missing.
    """
    names = {"w_enc": "W_enc", "w_dec": "W_dec", "b_dec": "b_dec"}
    names |= {"b_enc": "b_mag", "b_gate": "b_gate"} if header.activation == "gated" else {"b_enc": "b_enc"}
    if header.activation == "jumprelu":
        names["threshold"] = "threshold"
    if header.activation == "gated":
        names["magnitude_scale"] = "r_mag"
    names |= {"w_skip": "W_skip", "scaling_factor": "scaling_factor"}
    found = take(tensors, names, header, optional=["w_skip", "scaling_factor"])
    if header.activation == "gated":
        found["magnitude_scale"] = found["magnitude_scale"].exp()
    if (factor := found.pop("scaling_factor", None)) is not None:
        # The finetuning factor of old files acts on the decoding only.
        if len(factor) != len(found["w_dec"]):
            what = f"scaling_factor has shape {tuple(factor.shape)}, and W_dec {tuple(found['w_dec'].shape)}"
            raise FeatureSourceError(what, where=str(header.weights))
        found["w_dec"] = found["w_dec"] * factor[:, None]
    return fold_scales(found, header.input_scale, header.input_scale)


def _flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a flat config of version 6 keys: metadata lifted, the names of older versions replaced."""
    metadata = config.get("metadata")
    flat = {**(metadata if isinstance(metadata, dict) else {}), **config}
    for old, new in (
        ("hook_point", "hook_name"),
        ("activation_fn_str", "activation_fn"),
        ("hook_point_out", "hook_name_out"),
    ):
        if old in flat:
            flat.setdefault(new, flat[old])
    kwargs = flat.get("activation_fn_kwargs")
    if flat.get("activation_fn") == "topk" and isinstance(kwargs, dict) and kwargs.get("k") is not None:
        flat |= {"architecture": "topk", "k": kwargs["k"]}
    return flat


def _centred(config: Mapping[str, Any]) -> bool:
    """Return whether it was trained on a model whose residual stream was made mean-free, as TransformerLens can do."""
    kwargs = config.get("model_from_pretrained_kwargs")
    return isinstance(kwargs, dict) and bool(kwargs.get("center_writing_weights"))


def _activation(architecture: str, config: Mapping[str, Any], path: Path) -> tuple[ActivationKind, int | None]:
    activation = _ARCHITECTURES[architecture]
    stated = config.get("activation_fn", "relu")
    if activation == "relu" and stated != "relu":
        raise FeatureSourceError(f"activation function {shown(stated)} is not supported", where=str(path))
    k = integer(config, "k", path) if activation == "topk" else None
    if activation == "topk" and k is None:
        raise FeatureSourceError("a topk SAE without k", where=str(path))
    return activation, k


def _normalisation(config: Mapping[str, Any], path: Path) -> tuple[InputNorm, float]:
    stated = config.get("normalize_activations")
    if stated is True:
        stated = "expected_average_only_in"
    if stated is None or stated is False or stated == "none":
        return "none", 1.0
    if stated == "layer_norm":
        return "layer_norm", 1.0
    if stated == "constant_norm_rescale":
        return "constant_norm_rescale", 1.0
    scale = number(config, "norm_scaling_factor", path)
    if stated == "expected_average_only_in" and scale is not None and scale > 0:
        return "none", scale
    raise FeatureSourceError(
        f"trained on inputs normalised by {shown(stated)}, whose factor is not in the file",
        where=str(path),
        hint='for expected_average_only_in add "norm_scaling_factor" to cfg.json, or fold it into the weights',
    )


def _flag(config: Mapping[str, Any], key: str, *, default: bool, path: Path) -> bool:
    value = config.get(key, default)
    if not isinstance(value, bool):
        raise FeatureSourceError(f"{key} should be true or false, not {shown(value)}", where=str(path))
    return value


READER = Reader(
    name="saelens",
    files=f"{_CONFIG} and {_WEIGHTS}",
    kinds="SAEs and transcoders, with or without a skip connection: standard, gated, JumpReLU, TopK",
    checked="files written and encoded by sae-lens 6.54.12",
    layouts=(Layout(weights=r"sae_weights\.safetensors", beside=(_CONFIG,)),),
    fits=holds(_CONFIG, _WEIGHTS),
    header=read_header,
    arrays=arrays,
)
