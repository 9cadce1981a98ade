"""Reader of llamascopium folders (``config.json`` + ``sae_weights.safetensors``), Llama Scope R1 among them.

Thresholds are logarithms, one for each latent, and belong to inputs scaled as in training. SAELens writes the same
name of weights next to ``cfg.json``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import FeatureSourceError
from harness.subjects.weights.dataset_norms import fold, header_of
from harness.subjects.weights.folding import transpose
from harness.subjects.weights.header import read_json, shown, text
from harness.subjects.weights.reader import Layout, Reader, holds, take
from harness.subjects.weights.safetensors_header import read_scalars, read_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from harness.subjects.weights.header import SourceHeader

__all__ = ["READER"]

_CONFIG = "config.json"
_WEIGHTS = "sae_weights.safetensors"
_NORM = "dataset_average_activation_norm"
_LOG_THRESHOLD = "log_jumprelu_threshold"
_NEW_LOG_THRESHOLD = f"activation_function.{_LOG_THRESHOLD}"
_NAMES = {"w_enc": "W_E", "b_enc": "b_E", "w_dec": "W_D", "b_dec": "b_D"}
_OLD_NAMES = {"w_enc": "encoder.weight", "b_enc": "encoder.bias", "w_dec": "decoder.weight", "b_dec": "decoder.bias"}


def read_header(folder: Path) -> SourceHeader:
    """Return what the folder's config says, and the norms that lie among the weights.

    Raises:
        FeatureSourceError: If it asks for something unknown, lacks the norms, or a file is torn.
    """
    path, weights = folder / _CONFIG, folder / _WEIGHTS
    config = read_json(path)
    kind = text(config, "sae_type", path) or "sae"
    if kind != "sae":
        raise FeatureSourceError(f"a llamascopium dictionary of type {shown(kind)} is not supported", where=str(path))
    scalars, stored = read_scalars(weights), read_shapes(weights)
    thresholds = {_LOG_THRESHOLD, _NEW_LOG_THRESHOLD} & stored.keys()
    hook_in = text(config, "hook_point_in", path)
    hook_out = text(config, "hook_point_out", path) or hook_in
    return header_of(
        config,
        (scalars.get(f"{_NORM}.{hook_in}"), scalars.get(f"{_NORM}.{hook_out}")),
        path,
        name="llamascopium",
        weights=weights,
        activation=text(config, "act_fn", path) or ("jumprelu" if thresholds else "relu"),
    )


def arrays(tensors: Mapping[str, torch.Tensor], header: SourceHeader) -> dict[str, torch.Tensor]:
    """Return the tensors under the canonical names of ``Dictionary``, the norms folded in.

    Raises:
        FeatureSourceError: If a tensor is missing.
    """
    old = _OLD_NAMES["w_enc"] in tensors
    names = dict(_OLD_NAMES if old else _NAMES)
    if header.activation == "jumprelu":
        names["threshold"] = _LOG_THRESHOLD if _LOG_THRESHOLD in tensors else _NEW_LOG_THRESHOLD
    found = take(tensors, names, header, optional=["b_dec"])
    if "threshold" in found:
        # Folding divides the decoder's norms by the output's scale, and the threshold belongs to those as stored.
        scale = header.output_scale if header.gate_by_decoder_norm else None
        found["threshold"] = found["threshold"].exp() / (scale or 1.0)
    return fold(transpose(found) if old else found, header)


def _fits(path: Path) -> bool:
    return holds(_CONFIG, _WEIGHTS)(path) and not (path / "cfg.json").is_file()


READER = Reader(
    name="llamascopium",
    files=f"{_CONFIG} and {_WEIGHTS}",
    kinds="SAEs and transcoders of Llama Scope R1 and llamascopium: JumpReLU, TopK, ReLU",
    checked="files in the layout of Llama Scope R1, read and encoded by sae-lens 6.54.12 (SAEs with decoder rows of "
    "norm 1); its definition, computed by hand",
    layouts=(Layout(weights=r"sae_weights\.safetensors", beside=(_CONFIG,)),),
    fits=_fits,
    header=read_header,
    arrays=arrays,
)
