"""Reader of sparsify folders (``cfg.json`` + ``sae.safetensors``), each named after its module (``layers.3.mlp``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import FeatureSourceError
from harness.subjects.weights.header import SourceHeader, integer, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

__all__ = ["CONFIG", "WEIGHTS", "arrays", "read_header"]

CONFIG = "cfg.json"
WEIGHTS = "sae.safetensors"

_NAMES = {"w_enc": "encoder.weight", "b_enc": "encoder.bias", "w_dec": "W_dec", "b_dec": "b_dec"}


def read_header(folder: Path) -> SourceHeader:
    """Return what the folder's config and name say: an SAE reads its module's output, a transcoder spans the module.

    Raises:
        FeatureSourceError: If the activation is unknown or k is missing.
    """
    path = folder / CONFIG
    config = read_json(path)
    activation = config.get("activation", "topk")
    if activation not in {"topk", "groupmax"}:
        raise FeatureSourceError(f"sparsify activation '{activation}' is not supported", where=str(path))
    k, d_in = integer(config, "k", path), integer(config, "d_in", path)
    if k is None:
        raise FeatureSourceError("a sparse coder without k", where=str(path))
    factor = integer(config, "expansion_factor", path)
    # Skip connections are read from the file: an SAE trained with one is a transcoder from a point to itself.
    transcoder = bool(config.get("transcode", False))
    module = folder.name
    return SourceHeader(
        format="sparsify",
        weights=folder / WEIGHTS,
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
    missing = [name for name in _NAMES.values() if name not in tensors]
    if missing:
        message = f"lacks {', '.join(missing)} (it has {', '.join(sorted(tensors))})"
        raise FeatureSourceError(message, where=str(header.weights))
    found = {ours: tensors[theirs].float() for ours, theirs in _NAMES.items()}
    found["w_enc"] = found["w_enc"].T.contiguous()
    if "W_skip" in tensors:
        found["w_skip"] = tensors["W_skip"].float()
    return found
