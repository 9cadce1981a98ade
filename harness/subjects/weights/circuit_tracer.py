"""Reader of circuit-tracer's per-layer transcoders (``config.yaml`` + ``layer_0.safetensors``, ``layer_1...``).

A source is one layer: the path of its file, or a folder that holds only that one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.errors import FeatureSourceError
from harness.subjects.weights.header import SourceHeader, read_yaml, shown, text
from harness.subjects.weights.reader import Layout, Reader, take
from harness.subjects.weights.safetensors_header import read_shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import torch

__all__ = ["READER", "fits_layers", "hook", "layer_file", "matrix", "read_config", "thresholds"]

_CONFIG = "config.yaml"
_LAYER = re.compile(r"layer_(\d+)\.safetensors")
_THRESHOLD = "activation_function.threshold"
_SHOWN = 8


def read_header(path: Path) -> SourceHeader:
    """Return what the set's config and the layer's file name say.

    Raises:
        FeatureSourceError: If the folder holds several layers, or the config is of another kind of model.
    """
    weights, layer = layer_file(path, _LAYER)
    config = read_config(weights.parent / _CONFIG, "transcoder_set")
    return SourceHeader(
        format="circuit-tracer",
        weights=weights,
        activation="jumprelu" if _THRESHOLD in read_shapes(weights) else "relu",
        transcoder=True,
        subtract_b_dec=False,
        hook_in=hook(config, "feature_input_hook", layer, weights.parent / _CONFIG),
        hook_out=hook(config, "feature_output_hook", layer, weights.parent / _CONFIG),
    )


def arrays(tensors: Mapping[str, torch.Tensor], header: SourceHeader) -> dict[str, torch.Tensor]:
    """Return the tensors under the canonical names of ``Dictionary``.

    The first files of the format have ``W_dec`` transposed, which its shape tells. Where width and number of latents
    are equal it does not, and the later form is meant.

    Raises:
        FeatureSourceError: If a tensor is missing, is no matrix, or would let negative values through.
    """
    names = {"w_enc": "W_enc", "b_enc": "b_enc", "w_dec": "W_dec", "b_dec": "b_dec", "w_skip": "W_skip"}
    if header.activation == "jumprelu":
        names["threshold"] = _THRESHOLD
    found = take(tensors, names, header, optional=["w_skip"])
    n_features = found["b_enc"].numel()
    found["w_enc"] = matrix(found["w_enc"], n_features).T.contiguous()
    found["w_dec"] = matrix(found["w_dec"], n_features)
    return thresholds(found, header)


def fits_layers(pattern: re.Pattern[str]) -> Callable[[Path], bool]:
    """Return a test whether a path is a file of a layer beside a ``config.yaml``, or a folder that holds both."""

    def fits(path: Path) -> bool:
        if path.is_dir():
            return (path / _CONFIG).is_file() and bool(_layers(path, pattern))
        return pattern.fullmatch(path.name) is not None and (path.parent / _CONFIG).is_file()

    return fits


def layer_file(path: Path, pattern: re.Pattern[str]) -> tuple[Path, int]:
    """Return the file of the one layer at ``path``, and the layer's number.

    Raises:
        FeatureSourceError: If a folder holds several.
    """
    files = _layers(path, pattern) if path.is_dir() else [path]
    if len(files) > 1:
        names = ", ".join(file.name for file in files[:_SHOWN]) + (", ..." if len(files) > _SHOWN else "")
        raise FeatureSourceError(f"holds {len(files)} layers", where=str(path), hint=f"add one of: {names}")
    return files[0], _layer(files[0], pattern)


def read_config(path: Path, kind: str) -> dict[str, Any]:
    """Return the set's config.

    Raises:
        FeatureSourceError: If it is no YAML mapping, or its ``model_kind`` is not ``kind``.
    """
    config = read_yaml(path)
    if config.get("model_kind") != kind:
        what = f"model_kind is {shown(config.get('model_kind'))}, where these files are of a {kind}"
        raise FeatureSourceError(what, where=str(path), hint=f"set model_kind: {kind}, if that is what they are")
    return config


def hook(config: Mapping[str, Any], key: str, layer: int, where: Path, default: str | None = None) -> str | None:
    """Return the TransformerLens name, in this layer, of the hook at ``key``.

    Raises:
        FeatureSourceError: If it is no text.
    """
    name = text(config, key, where) or default
    return None if name is None else f"blocks.{layer}.{name}"


def matrix(tensor: torch.Tensor, n_rows: int) -> torch.Tensor:
    """Return a matrix that should have ``n_rows`` rows, turned where only its columns are as many."""
    return tensor.T.contiguous() if tensor.shape[0] != n_rows and tensor.shape[1] == n_rows else tensor


def thresholds(found: dict[str, torch.Tensor], header: SourceHeader) -> dict[str, torch.Tensor]:
    """Return the arrays, after a look at their thresholds.

    Raises:
        FeatureSourceError: If one is negative: the library's jump function has negative values there, which no feature
            of the harness has.
    """
    if "threshold" in found and bool((found["threshold"] < 0).any()):
        what = f"{int((found['threshold'] < 0).sum())} thresholds are negative, and would let negative values through"
        raise FeatureSourceError(what, where=str(header.weights))
    return found


def _layers(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    found = [file for file in folder.iterdir() if pattern.fullmatch(file.name)]
    return sorted(found, key=lambda file: _layer(file, pattern))


def _layer(file: Path, pattern: re.Pattern[str]) -> int:
    match = pattern.fullmatch(file.name)
    if match is None:
        raise FeatureSourceError(f"is not named {pattern.pattern}", where=str(file))
    return int(match[1])


READER = Reader(
    name="circuit-tracer",
    files=f"{_CONFIG} and layer_<i>.safetensors, of which one is named",
    kinds="transcoders of one layer, with or without a skip connection: ReLU, JumpReLU",
    checked="files written and encoded by circuit-tracer 0.5.0",
    layouts=(Layout(weights=_LAYER.pattern, beside=(_CONFIG,)),),
    fits=fits_layers(_LAYER),
    header=read_header,
    arrays=arrays,
)
