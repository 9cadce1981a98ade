"""Reader of sparsify folders (``cfg.json`` + ``sae.safetensors``), each named after its module (``layers.3.mlp``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import FeatureSourceError
from harness.subjects.weights.folding import transpose
from harness.subjects.weights.header import SourceHeader, integer, read_json, shown, text
from harness.subjects.weights.reader import Layout, Reader, holds, take

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

__all__ = ["READER"]

_CONFIG = "cfg.json"
_WEIGHTS = "sae.safetensors"

_NAMES = {"w_enc": "encoder.weight", "b_enc": "encoder.bias", "w_dec": "W_dec", "b_dec": "b_dec", "w_skip": "W_skip"}


def read_header(folder: Path) -> SourceHeader:
    """Return what the folder's config and name say: an SAE reads its module's output, a transcoder spans the module.

    Raises:
        FeatureSourceError: If the activation is unknown or k is missing.
    """
    path = folder / _CONFIG
    config = read_json(path)
    activation = text(config, "activation", path) or "topk"
    if activation not in {"topk", "groupmax"}:
        raise FeatureSourceError(f"sparsify activation {shown(activation)} is not supported", where=str(path))
    k, d_in = integer(config, "k", path), integer(config, "d_in", path)
    if k is None:
        raise FeatureSourceError("a sparse coder without k", where=str(path))
    factor = integer(config, "expansion_factor", path)
    # Skip connections are read from the file: an SAE trained with one is a transcoder from a point to itself.
    transcoder = bool(config.get("transcode", False))
    module = folder.name
    return SourceHeader(
        format="sparsify",
        weights=folder / _WEIGHTS,
        activation="topk" if activation == "topk" else "groupmax",
        k=k,
        d_in=d_in,
        n_features=integer(config, "num_latents", path) or (d_in * factor if d_in and factor else None),
        transcoder=transcoder,
        subtract_b_dec=not transcoder,
        hook_in=f"{module}.{'input' if transcoder else 'output'}" if "." in module else None,
        hook_out=f"{module}.output" if transcoder and "." in module else None,
    )


def arrays(tensors: Mapping[str, torch.Tensor], header: SourceHeader) -> dict[str, torch.Tensor]:
    """Return the tensors under the canonical names of ``Dictionary``.

    Raises:
        FeatureSourceError: If a tensor is missing.
    """
    return transpose(take(tensors, _NAMES, header, optional=["w_skip"]), names=("w_enc",))


READER = Reader(
    name="sparsify",
    files=f"{_CONFIG} and {_WEIGHTS}",
    kinds="SAEs and transcoders, with or without a skip connection: TopK, GroupMax",
    checked="files written and encoded by eai-sparsify",
    layouts=(Layout(weights=r"sae\.safetensors", beside=(_CONFIG,)),),
    fits=holds(_CONFIG, _WEIGHTS),
    header=read_header,
    arrays=arrays,
)
