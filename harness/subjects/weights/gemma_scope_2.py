"""Reader of Gemma Scope 2: ``config.json`` + ``params.safetensors``, or one ``params_layer_L.safetensors`` per layer.

The folders are ``resid_post/layer_17_width_16k_l0_small``, ``attn_out/...``, ``mlp_out/...``, ``transcoder/...``, each
also with ``_all``, and ``_affine`` at the end where there is a skip connection; ``clt/width_262k_l0_small`` holds the
layers of a cross-layer transcoder. Some folders lack the config, and the path says what it would.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.errors import FeatureSourceError
from harness.subjects.weights.folding import transpose
from harness.subjects.weights.header import SourceHeader, integer, read_json, shown, text
from harness.subjects.weights.names import gemma_width, holds_like, in_path, one_file
from harness.subjects.weights.reader import Layout, Reader, take
from harness.subjects.weights.safetensors_header import read_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

__all__ = ["READER"]

_CONFIG = "config.json"
_FILE = re.compile(r"params(?:_layer_\d+)?\.safetensors")
_LAYER = re.compile(r"(?:^|_)layer_(\d+)(?:[_.]|$)")
_SITE = re.compile(r"^(resid_post|attn_out|mlp_out|transcoder|clt)(?:_all)?$")
_CROSS_LAYER = 3  # [n, layers, d], where an ordinary decoder is [n, d]

_BEFORE_MLP, _AFTER_MLP = "pre_feedforward_layernorm.output", "post_feedforward_layernorm.output"
_PLACES: Mapping[str, tuple[str, str | None]] = {
    "resid_post": ("output", None),
    "attn_out": ("self_attn.o_proj.input", None),
    "mlp_out": (_AFTER_MLP, None),
    "transcoder": (_BEFORE_MLP, _AFTER_MLP),
    "clt": (_BEFORE_MLP, None),
}
_NAMES = {name: name for name in ("w_enc", "b_enc", "w_dec", "b_dec", "threshold")}


def read_header(path: Path) -> SourceHeader:
    """Return what the config says, and where there is none, the path.

    Raises:
        FeatureSourceError: If the architecture is unknown, the file torn, or the path holds several sources.
    """
    weights = one_file(path, _FILE)
    shapes = read_shapes(weights)
    config_path = weights.parent / _CONFIG
    config = read_json(config_path) if config_path.is_file() else {}
    architecture = text(config, "architecture", config_path) or "jump_relu"
    if architecture != "jump_relu":
        raise FeatureSourceError(
            f"Gemma Scope 2 architecture {shown(architecture)} is not supported",
            where=str(config_path),
            hint="jump_relu",
        )
    cross_layer = len(shapes.get("w_dec", ())) == _CROSS_LAYER
    inferred = _places(weights, cross_layer=cross_layer)
    # The one config of a cross-layer transcoder can name no layer's place.
    hook_in, hook_out = inferred if cross_layer else _stated(config, inferred, config_path)
    skip = "affine_skip_connection" in shapes
    return SourceHeader(
        format="gemma_scope_2",
        weights=weights,
        activation="jumprelu",
        n_features=integer(config, "width", config_path) or gemma_width(weights),
        transcoder=cross_layer or skip or hook_out is not None,
        subtract_b_dec=False,
        hook_in=hook_in,
        hook_out=hook_out,
        encode_only=cross_layer,
    )


def arrays(tensors: Mapping[str, torch.Tensor], header: SourceHeader) -> dict[str, torch.Tensor]:
    """Return the tensors under the canonical names of ``Dictionary``; the skip connection is stored [d_in, d_out].

    A layer of a cross-layer transcoder gets the sum of its decoders, which stands for nothing a model computes: such
    a source is read, never written (see ``SourceHeader.encode_only``).

    Raises:
        FeatureSourceError: If a tensor is missing.
    """
    found = take(
        tensors,
        {**_NAMES, "w_skip": "affine_skip_connection"},
        header,
        optional=["w_skip"],
        decoder_dims=_CROSS_LAYER if header.encode_only else 2,
    )
    if header.encode_only:
        found["w_dec"] = found["w_dec"].sum(dim=1)
    return transpose(found, names=("w_skip",)) if "w_skip" in found else found


def _places(weights: Path, *, cross_layer: bool) -> tuple[str | None, str | None]:
    layer, site = in_path(weights, _LAYER), in_path(weights, _SITE)
    if layer is None or (site is None and not cross_layer):
        return None, None
    read, written = _PLACES["clt" if cross_layer or site is None else site[1]]
    block = f"model.layers.{layer[1]}"
    return f"{block}.{read}", f"{block}.{written}" if written else None


def _stated(
    config: Mapping[str, Any], inferred: tuple[str | None, str | None], path: Path
) -> tuple[str | None, str | None]:
    hook_in, hook_out = text(config, "hf_hook_point_in", path), text(config, "hf_hook_point_out", path)
    if not hook_in:
        return inferred
    # An SAE's config may name its one place twice.
    return hook_in, hook_out if hook_out and hook_out != hook_in else None


READER = Reader(
    name="gemma_scope_2",
    files="params.safetensors, with config.json or a path that says the rest; or params_layer_L.safetensors",
    kinds="JumpReLU SAEs and transcoders, with or without a skip connection; layers of cross-layer transcoders, which "
    "can be read but not steered",
    checked="files in its layout, read and encoded by sae-lens 6.54.12; its definition, computed by hand",
    layouts=(Layout(weights=_FILE.pattern, optional=(_CONFIG,)),),
    fits=holds_like(_FILE),
    header=read_header,
    arrays=arrays,
)
