"""Reader of SAEs in one PyTorch file named after its layer: Goodfire's of Llama 3, qresearch's of DeepSeek R1."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.subjects.weights.folding import transpose
from harness.subjects.weights.header import SourceHeader
from harness.subjects.weights.names import holds_like, in_path, one_file
from harness.subjects.weights.reader import Layout, Reader, take

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

__all__ = ["READER"]

# As in Llama-3.3-70B-Instruct-SAE-l50.pt and DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt.
_FILE = re.compile(r"(?:.*-)?SAE-l(\d+)\.pth?")
_GOODFIRE, _QRESEARCH = ("encoder_linear", "decoder_linear"), ("encoder", "decoder")


def read_header(path: Path) -> SourceHeader:
    """Return what the file's name says: its layer.

    Raises:
        FeatureSourceError: If the folder holds several such files.
    """
    weights = one_file(path, _FILE)
    layer = in_path(weights, _FILE)
    return SourceHeader(
        format="goodfire",
        weights=weights,
        activation="relu",
        subtract_b_dec=False,
        hook_in=f"blocks.{layer[1]}.hook_resid_post" if layer else None,
    )


def arrays(tensors: Mapping[str, torch.Tensor], header: SourceHeader) -> dict[str, torch.Tensor]:
    """Return the tensors under the canonical names of ``Dictionary``.

    Raises:
        FeatureSourceError: If a tensor is missing.
    """
    encoder, decoder = _QRESEARCH if "encoder.weight" in tensors else _GOODFIRE
    names = {
        "w_enc": f"{encoder}.weight",
        "b_enc": f"{encoder}.bias",
        "w_dec": f"{decoder}.weight",
        "b_dec": f"{decoder}.bias",
    }
    return transpose(take(tensors, names, header))


READER = Reader(
    name="goodfire",
    files="a file like ...-SAE-l{N}.pt or .pth",
    kinds="ReLU SAEs of Goodfire and qresearch",
    checked="files in its layouts, read and encoded by sae-lens 6.54.12; its definition, computed by hand",
    layouts=(Layout(weights=_FILE.pattern),),
    fits=holds_like(_FILE),
    header=read_header,
    arrays=arrays,
)
