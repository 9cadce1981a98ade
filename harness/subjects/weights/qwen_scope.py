"""Reader of Qwen Scope: ``layer{N}.sae.pt`` in a folder whose name says width and k (``...-W32K-L0_50``)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.errors import FeatureSourceError
from harness.subjects.weights.folding import transpose
from harness.subjects.weights.header import SourceHeader
from harness.subjects.weights.names import holds_like, in_path, one_file
from harness.subjects.weights.reader import Layout, Reader, take

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

__all__ = ["READER"]

_FILE = re.compile(r"layer(\d+)\.sae\.pt")
_RELEASE = re.compile(r"SAE-Res-.+-W(\d+)K-L0_(\d+)")
_NAMES = {"w_enc": "W_enc", "b_enc": "b_enc", "w_dec": "W_dec", "b_dec": "b_dec"}


def read_header(path: Path) -> SourceHeader:
    """Return what the path says: the layer from the file, width and k from the folder.

    Raises:
        FeatureSourceError: If no folder's name says them, or the folder holds several layers.
    """
    weights = one_file(path, _FILE)
    release = in_path(weights.parent, _RELEASE)
    if release is None or not int(release[2]):
        raise FeatureSourceError(
            "a Qwen Scope file does not say its k, and no folder above it does",
            where=str(weights),
            hint="keep it in a folder with its release's name, as in SAE-Res-Qwen3-8B-Base-W64K-L0_50",
        )
    layer = _FILE.fullmatch(weights.name)
    return SourceHeader(
        format="qwen_scope",
        weights=weights,
        activation="topk",
        k=int(release[2]),
        n_features=int(release[1]) * 1024,
        subtract_b_dec=False,
        hook_in=f"blocks.{layer[1]}.hook_resid_post" if layer else None,
    )


def arrays(tensors: Mapping[str, torch.Tensor], header: SourceHeader) -> dict[str, torch.Tensor]:
    """Return the tensors under the canonical names of ``Dictionary``; both matrices are stored the other way round.

    Raises:
        FeatureSourceError: If a tensor is missing.
    """
    return transpose(take(tensors, _NAMES, header))


READER = Reader(
    name="qwen_scope",
    files="SAE-Res-...-W{width}K-L0_{k}/layer{N}.sae.pt",
    kinds="TopK SAEs",
    checked="files in its layout, read and encoded by sae-lens 6.54.12; its definition, computed by hand",
    layouts=(Layout(weights=_FILE.pattern),),
    fits=holds_like(_FILE),
    header=read_header,
    arrays=arrays,
)
