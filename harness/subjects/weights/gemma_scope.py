"""Readers of Gemma Scope (Lieberum et al. 2024): ``params.npz``, and a path that says the rest.

The releases differ in the last word of their name: ``gemma-scope-2b-pt-res``, ``-mlp``, ``-att``, ``-transcoders``;
below it, ``layer_20/width_16k/average_l0_71`` or, for the SAEs of the embedding, ``embedding/width_4k/average_l0_21``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.subjects.weights.header import SourceHeader
from harness.subjects.weights.names import gemma_width, holds_like, in_path, one_file
from harness.subjects.weights.reader import Layout, Reader, take

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

__all__ = ["EMBEDDINGS", "READER"]

_FILE = re.compile(r"params\.npz")
_LAYER = re.compile(r"^layer_(\d+)$")
_EMBEDDING = re.compile(r"^embedding$")
_RELEASE = re.compile(r"(?:gemma[-_]scope.*[-_]|^)(res|mlp|att|transcoder)s?$")

# The transcoders read what TransformerLens calls ln2.hook_normalized: the stream before the norm's own weight.
_HOOKS: Mapping[str, tuple[str, str | None]] = {
    "res": ("hook_resid_post", None),
    "mlp": ("hook_mlp_out", None),
    "att": ("attn.hook_z", None),
    "transcoder": ("ln2.hook_normalized", "hook_mlp_out"),
}
_NAMES = {name: name for name in ("w_enc", "b_enc", "w_dec", "b_dec", "threshold")}


def read_header(path: Path) -> SourceHeader:
    """Return what the path says: the layer, the width, and by the release's name the place.

    Raises:
        FeatureSourceError: If the path holds several sources.
    """
    weights = one_file(path, _FILE)
    layer, release = in_path(weights, _LAYER), in_path(weights, _RELEASE)
    hook_in, hook_out = _HOOKS[release[1]] if release else (None, None)
    return SourceHeader(
        format="gemma_scope",
        weights=weights,
        activation="jumprelu",
        n_features=gemma_width(weights),
        transcoder=hook_out is not None,
        subtract_b_dec=False,
        hook_in=f"blocks.{layer[1]}.{hook_in}" if layer and hook_in else None,
        hook_out=f"blocks.{layer[1]}.{hook_out}" if layer and hook_out else None,
    )


def read_embedding_header(path: Path) -> SourceHeader:
    """Return what the path of an embedding's SAE says. It reads what enters the first block.

    Raises:
        FeatureSourceError: If the path holds several sources.
    """
    weights = one_file(path, _FILE)
    return SourceHeader(
        format="gemma_scope_embedding",
        weights=weights,
        activation="jumprelu",
        n_features=gemma_width(weights),
        subtract_b_dec=False,
        hook_in="blocks.0.hook_resid_pre",
    )


def arrays(tensors: Mapping[str, torch.Tensor], header: SourceHeader) -> dict[str, torch.Tensor]:
    """Return the tensors under the canonical names of ``Dictionary``; files write ``W_enc`` or ``w_enc``.

    Raises:
        FeatureSourceError: If a tensor is missing.
    """
    return take({name.lower(): tensor for name, tensor in tensors.items()}, _NAMES, header)


def embedding_arrays(tensors: Mapping[str, torch.Tensor], header: SourceHeader) -> dict[str, torch.Tensor]:
    """Return the tensors of an SAE that was trained on embeddings before Gemma multiplies them by ``sqrt(d_model)``.

    Raises:
        FeatureSourceError: If a tensor is missing.
    """
    found = arrays(tensors, header)
    root = found["w_enc"].shape[0] ** 0.5
    return {**found, "w_enc": found["w_enc"] / root, "w_dec": found["w_dec"] * root, "b_dec": found["b_dec"] * root}


def _is_embedding(path: Path) -> bool:
    return in_path(path, _EMBEDDING) is not None and in_path(path, _LAYER) is None


_CHECKED = "files in its layout, read and encoded by sae-lens 6.54.12; its definition, computed by hand"

EMBEDDINGS = Reader(
    name="gemma_scope_embedding",
    files="embedding/width_W/average_l0_X/params.npz",
    kinds="JumpReLU SAEs of the embedding",
    checked=_CHECKED,
    layouts=(Layout(weights=_FILE.pattern),),
    fits=lambda path: holds_like(_FILE)(path) and _is_embedding(path),
    header=read_embedding_header,
    arrays=embedding_arrays,
)
READER = Reader(
    name="gemma_scope",
    files="layer_L/width_W/average_l0_X/params.npz",
    kinds="JumpReLU SAEs and transcoders",
    checked=_CHECKED,
    layouts=(Layout(weights=_FILE.pattern),),
    fits=lambda path: holds_like(_FILE)(path) and not _is_embedding(path),
    header=read_header,
    arrays=arrays,
)
