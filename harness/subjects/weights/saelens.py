"""Reader of SAELens folders (``cfg.json`` + ``sae_weights.safetensors``), version 6 and the flat configs before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import FeatureSourceError
from harness.subjects.weights.header import SourceHeader, integer, read_json
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
    architecture = str(config.get("architecture", "standard"))
    if architecture not in _ARCHITECTURES:
        raise FeatureSourceError(
            f"SAELens architecture '{architecture}' is not supported",
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
        hook_in=_text(config, "hf_hook_name", "hook_name"),
        hook_out=_text(config, "hf_hook_name_out", "hook_name_out"),
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
    names["w_skip"] = "W_skip"
    found = take(tensors, names, header, optional=["w_skip"])
    if header.activation == "gated":
        found["magnitude_scale"] = _r_mag(tensors, header).exp()
    if (factor := tensors.get("scaling_factor")) is not None:
        # The finetuning factor of old files acts on the decoding only.
        found["w_dec"] = found["w_dec"] * factor.float()[:, None]
    return _fold_scale(found, header.input_scale)


def _r_mag(tensors: Mapping[str, torch.Tensor], header: SourceHeader) -> torch.Tensor:
    if "r_mag" not in tensors:
        raise FeatureSourceError("lacks r_mag", where=str(header.weights))
    return tensors["r_mag"].float()


def _fold_scale(found: dict[str, torch.Tensor], scale: float) -> dict[str, torch.Tensor]:
    if scale == 1.0:
        return found
    scaled = {"w_enc": found["w_enc"] * scale, "w_dec": found["w_dec"] / scale, "b_dec": found["b_dec"] / scale}
    return {**found, **scaled}


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
        raise FeatureSourceError(f"activation function '{stated}' is not supported", where=str(path))
    k = integer(config, "k", path) if activation == "topk" else None
    if activation == "topk" and k is None:
        raise FeatureSourceError("a topk SAE without k", where=str(path))
    return activation, k


def _normalisation(config: Mapping[str, Any], path: Path) -> tuple[InputNorm, float]:
    stated = config.get("normalize_activations")
    if stated is True:
        stated = "expected_average_only_in"
    if stated in {None, False, "none"}:
        return "none", 1.0
    if stated == "layer_norm":
        return "layer_norm", 1.0
    if stated == "constant_norm_rescale":
        return "constant_norm_rescale", 1.0
    scale = config.get("norm_scaling_factor")
    if stated == "expected_average_only_in" and isinstance(scale, (int, float)) and scale > 0:
        return "none", float(scale)
    raise FeatureSourceError(
        f"trained on inputs normalised by '{stated}', whose factor is not in the file",
        where=str(path),
        hint='for expected_average_only_in add "norm_scaling_factor" to cfg.json, or fold it into the weights',
    )


def _flag(config: Mapping[str, Any], key: str, *, default: bool, path: Path) -> bool:
    value = config.get(key, default)
    if not isinstance(value, bool):
        raise FeatureSourceError(f"{key} should be true or false, not {value!r}", where=str(path))
    return value


def _text(config: Mapping[str, Any], *keys: str) -> str | None:
    return next((str(config[key]) for key in keys if config.get(key)), None)


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
