"""Configs of OpenMOSS' library (Language-Model-SAEs, now llamascopium), whose inputs are scaled by a data set's norm.

Weights trained ``dataset-wise`` read ``x * sqrt(d_model) / norm_in`` and write ``y * sqrt(d_model) / norm_out``, where
the norms are averages over the training data (He et al. 2024, Llama Scope).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from harness.errors import FeatureSourceError
from harness.subjects.weights.folding import fold_scales
from harness.subjects.weights.header import SourceHeader, integer, number, shown, text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from harness.subjects.weights.header import ActivationKind, InputNorm

__all__ = ["fold", "header_of"]

_ACTIVATIONS: dict[str, ActivationKind] = {"jumprelu": "jumprelu", "topk": "topk", "relu": "relu"}


def header_of(
    config: Mapping[str, Any],
    norms: tuple[float | None, float | None],
    path: Path,
    *,
    name: str,
    weights: Path,
    activation: str,
) -> SourceHeader:
    """Return the header of a folder.

    Args:
        config: Its config.
        norms: The average norms of the inputs and of the outputs, where the files say them.
        path: File of the config, for messages.
        name: Name of the reader.
        weights: File of the tensors.
        activation: The library's name of the activation function.

    Raises:
        FeatureSourceError: If the config asks for something this harness cannot compute, or lacks a number it needs.
    """
    if activation.lower() not in _ACTIVATIONS:
        hint = "convert it to JumpReLU with the library that trained it" if "topk" in activation.lower() else None
        raise FeatureSourceError(
            f"activation function {shown(activation)} is not supported", where=str(path), hint=hint
        )
    if config.get("use_glu_encoder"):
        raise FeatureSourceError("gated linear encoders (use_glu_encoder) are not supported", where=str(path))
    kind = _ACTIVATIONS[activation.lower()]
    k = integer(config, "top_k", path) if kind == "topk" else None
    if kind == "topk" and k is None:
        raise FeatureSourceError("a topk SAE without top_k", where=str(path))
    hook_in = text(config, "hook_point_in", path)
    hook_out = text(config, "hook_point_out", path) or hook_in
    transcoder = hook_out != hook_in
    d_model = integer(config, "d_model", path)
    input_norm, scale_in, scale_out = _scales(config, norms, d_model, path)
    subtract = bool(config.get("apply_decoder_bias_to_pre_encoder")) and bool(config.get("use_decoder_bias", True))
    if transcoder and (subtract or input_norm != "none"):
        raise FeatureSourceError("a transcoder with an SAE's input bias or token-wise norm is unknown", where=str(path))
    by_norm = bool(config.get("sparsity_include_decoder_norm", True))
    return SourceHeader(
        format=name,
        weights=weights,
        activation=kind,
        k=k,
        d_in=d_model,
        n_features=_n_features(config, d_model, path),
        transcoder=transcoder,
        subtract_b_dec=subtract,
        input_norm=input_norm,
        input_scale=scale_in,
        output_scale=scale_out,
        # The largest k are those of the products with the decoder's norms; JumpReLU compares the products only.
        rescale_by_decoder_norm=by_norm and kind == "topk",
        gate_by_decoder_norm=by_norm and kind == "jumprelu",
        hook_in=hook_in,
        hook_out=hook_out if transcoder else None,
    )


def fold(found: dict[str, torch.Tensor], header: SourceHeader) -> dict[str, torch.Tensor]:
    """Return the tensors for plain hidden states; a decoder without a bias gets one of zeros."""
    if "b_dec" not in found:
        found["b_dec"] = found["w_dec"].new_zeros(found["w_dec"].shape[-1])
    return fold_scales(
        found, header.input_scale, header.input_scale if header.output_scale is None else header.output_scale
    )


def _scales(
    config: Mapping[str, Any], norms: tuple[float | None, float | None], d_model: int | None, path: Path
) -> tuple[InputNorm, float, float]:
    mode = config.get("norm_activation", "dataset-wise")
    if mode is None or mode in ("inference", "no-norm"):
        return "none", 1.0, 1.0
    if mode == "token-wise":
        return "constant_norm_rescale", 1.0, 1.0
    if mode != "dataset-wise":
        hint = "inputs must be normalised dataset-wise, token-wise or not at all (inference)"
        raise FeatureSourceError(f"norm_activation {shown(mode)} is not supported", where=str(path), hint=hint)
    before, after = norms
    after = before if after is None else after
    if d_model is None or not before or not after or min(before, after) <= 0 or not math.isfinite(before + after):
        missing = "dataset_average_activation_norm" if d_model else "d_model"
        raise FeatureSourceError(f"dataset-wise norms need {missing}, and the files lack it", where=str(path))
    return "none", math.sqrt(d_model) / before, math.sqrt(d_model) / after


def _n_features(config: Mapping[str, Any], d_model: int | None, path: Path) -> int | None:
    factor = number(config, "expansion_factor", path)
    stated = integer(config, "d_sae", path)
    if stated is not None or d_model is None or factor is None:
        return stated
    return int(d_model * factor)
