"""Reader of circuit-tracer's cross-layer transcoders (``config.yaml`` + ``W_enc_0.safetensors``, ``W_dec_0...``).

A source is one layer's encoder: the path of its file, or a folder that holds only that one. Its features are read like
those of any transcoder. They write to the output of every MLP from their own layer on, through decoders that lie in
``W_dec_<i>.safetensors``; a change in one layer alone would not be a change of the feature, so that the decoders are
not read and the features cannot be written: ``write_directions`` and ``intervene`` say so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.subjects.weights.circuit_tracer import (
    fits_layers,
    hook,
    layer_file,
    matrix,
    read_config,
    thresholds,
)
from harness.subjects.weights.header import SourceHeader
from harness.subjects.weights.reader import Layout, Reader, take
from harness.subjects.weights.safetensors_header import read_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

__all__ = ["READER"]

_LAYER = re.compile(r"W_enc_(\d+)\.safetensors")


def read_header(path: Path) -> SourceHeader:
    """Return what the transcoder's config and the layer's file name say.

    Raises:
        FeatureSourceError: If the folder holds several layers, or the config is of another kind of model.
    """
    weights, layer = layer_file(path, _LAYER)
    where = weights.parent / "config.yaml"
    config = read_config(where, "cross_layer_transcoder")
    return SourceHeader(
        format="circuit-tracer-clt",
        weights=weights,
        activation="jumprelu" if f"threshold_{layer}" in read_shapes(weights) else "relu",
        transcoder=True,
        subtract_b_dec=False,
        hook_in=hook(config, "feature_input_hook", layer, where, "hook_resid_mid"),
        hook_out=hook(config, "feature_output_hook", layer, where, "hook_mlp_out"),
    )


def arrays(tensors: Mapping[str, torch.Tensor], header: SourceHeader) -> dict[str, torch.Tensor]:
    """Return the encoder's tensors under the canonical names of ``Dictionary``, with a decoder of width 0.

    Raises:
        FeatureSourceError: If a tensor is missing, is no matrix, or would let negative values through.
    """
    _, layer = layer_file(header.weights, _LAYER)
    names = {"w_enc": f"W_enc_{layer}", "b_enc": f"b_enc_{layer}"}
    if header.activation == "jumprelu":
        names["threshold"] = f"threshold_{layer}"
    found = take(tensors, names, header)
    n_features = found["b_enc"].numel()
    found["w_enc"] = matrix(found["w_enc"], n_features).T.contiguous()
    nothing = found["b_enc"].new_zeros(0)
    return thresholds(found, header) | {"w_dec": nothing.expand(found["w_enc"].shape[1], 0), "b_dec": nothing}


READER = Reader(
    name="circuit-tracer-clt",
    files="config.yaml and W_enc_<i>.safetensors, of which one is named",
    kinds="cross-layer transcoders, whose features can be read but not written: ReLU, JumpReLU",
    checked="files written and encoded by circuit-tracer 0.5.0",
    layouts=(Layout(weights=_LAYER.pattern, beside=("config.yaml",)),),
    fits=fits_layers(_LAYER),
    header=read_header,
    arrays=arrays,
)
