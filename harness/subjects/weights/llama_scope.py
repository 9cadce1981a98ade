"""Reader of Llama Scope (He et al. 2024): ``hyperparams.json`` and ``checkpoints/final.safetensors``.

The one threshold of all latents is a number of ``hyperparams.json``. The library that trained the weights divides the
input scale ``s`` out of the pre-activations when it loads them, takes them times the norms of the decoder's rows (with
``sparsity_include_decoder_norm``) and compares that with the threshold. Here the same latents fire, but their values
keep the size they had in training, as in SAELens, which multiplies the threshold by ``s``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import FeatureSourceError
from harness.subjects.weights.dataset_norms import fold, header_of
from harness.subjects.weights.folding import transpose
from harness.subjects.weights.header import number, read_json, text
from harness.subjects.weights.reader import Layout, Reader, holds, take

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from harness.subjects.weights.header import SourceHeader

__all__ = ["READER"]

_CONFIG = "hyperparams.json"
_WEIGHTS = str(Path("checkpoints") / "final.safetensors")
_NAMES = {"w_enc": "encoder.weight", "b_enc": "encoder.bias", "w_dec": "decoder.weight", "b_dec": "decoder.bias"}


def read_header(folder: Path) -> SourceHeader:
    """Return what the folder's hyperparameters say.

    Raises:
        FeatureSourceError: If they ask for something unknown, or lack the threshold or the norms.
    """
    path = folder / _CONFIG
    config = read_json(path)
    threshold = number(config, "jump_relu_threshold", path)
    activation = text(config, "act_fn", path) or "jumprelu"
    if activation == "topk" and threshold:
        # Trained with the k largest, released to be used with a threshold.
        activation = "jumprelu"
    if activation == "jumprelu" and threshold is None:
        raise FeatureSourceError("lacks jump_relu_threshold", where=str(path))
    norms = config.get("dataset_average_activation_norm")
    norms = norms if isinstance(norms, dict) else {}
    header = header_of(
        config,
        (number(norms, "in", path), number(norms, "out", path)),
        path,
        name="llama_scope",
        weights=folder / _WEIGHTS,
        activation=activation,
    )
    if header.activation != "jumprelu" or threshold is None:
        return header
    # Folding divides the decoder, and so its norms, by the output's scale: there the threshold is the library's own.
    return replace(header, threshold=threshold * (1.0 if header.gate_by_decoder_norm else header.input_scale))


def arrays(tensors: Mapping[str, torch.Tensor], header: SourceHeader) -> dict[str, torch.Tensor]:
    """Return the tensors under the canonical names of ``Dictionary``, the norms folded in.

    Raises:
        FeatureSourceError: If a tensor is missing.
    """
    found = fold(transpose(take(tensors, _NAMES, header, optional=["b_dec"])), header)
    if header.threshold is not None:
        found["threshold"] = found["b_enc"].new_tensor([header.threshold])
    return found


READER = Reader(
    name="llama_scope",
    files=f"{_CONFIG} and {_WEIGHTS}",
    kinds="SAEs and transcoders: JumpReLU with one threshold, TopK, ReLU",
    checked="files in its layout, read and encoded by sae-lens 6.54.12 (SAEs with decoder rows of norm 1); its "
    "definition, computed by hand",
    layouts=(Layout(weights=r"checkpoints/final\.safetensors", beside=(_CONFIG,)),),
    fits=holds(_CONFIG, _WEIGHTS),
    header=read_header,
    arrays=arrays,
)
