"""Reader of transcoder_circuits' transcoders (Dunefsky et al. 2024), once their tensors are out of the training pickle.

As published, a file pickles the object of a training run's configuration, and such a file is never unpickled here: it
is refused with the command that converts it. The converted folder holds ``transcoder.safetensors`` (or
``transcoder.pt``, with tensors only) under the names of the state dict, and ``cfg.json`` with ``hook_point`` and
``out_hook_point``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import FeatureSourceError
from harness.subjects.weights.header import SourceHeader, integer, read_json
from harness.subjects.weights.reader import Reader, holds, take
from harness.subjects.weights.torchfile import pickled_globals, torch_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

__all__ = ["READER"]

_CONFIG = "cfg.json"
_WEIGHTS = ("transcoder.safetensors", "transcoder.pt")
_PACKAGE = "sae_training."
_KEPT = ("hook_point", "out_hook_point", "is_transcoder", "d_in", "d_out", "d_sae", "model_name")

_NAMES = {"w_enc": "W_enc", "b_enc": "b_enc", "w_dec": "W_dec", "b_in": "b_dec", "b_dec": "b_dec_out"}

# The configuration's class is stood in for by an empty one, so that PyTorch reads the file without running any of it.
_CONVERT = (
    'python -c "import json, torch; from safetensors.torch import save_file; '
    "torch.serialization.add_safe_globals([(type('Config', (), {{}}), name) for name in {classes}]); "
    "found = torch.load({file!r}, map_location='cpu', weights_only=True); "
    "tensors = {{name: tensor.contiguous() for name, tensor in found['state_dict'].items()}}; "
    "save_file(tensors, 'transcoder.safetensors'); "
    "config = vars(found['cfg']); "
    "json.dump({{key: config.get(key) for key in {kept}}}, open('cfg.json', 'w'))\" "
    "and give the folder that then holds transcoder.safetensors and cfg.json"
)


def read_header(path: Path) -> SourceHeader:
    """Return what a converted folder's config says.

    Raises:
        FeatureSourceError: If this is a file as published (the message says how to convert it), if the config names no
            hook points, or if it is an autoencoder's.
    """
    if raw := torch_files(path, _is_raw):
        raise _refusal(raw[0])
    config_path = path / _CONFIG
    config = read_json(config_path)
    if config.get("is_transcoder") is False:
        hint = "rename the weights to sae_weights.safetensors, and the folder is read as SAELens'"
        raise FeatureSourceError("an autoencoder, not a transcoder", where=str(config_path), hint=hint)
    return SourceHeader(
        format="transcoder_circuits",
        weights=next(path / name for name in _WEIGHTS if (path / name).is_file()),
        activation="relu",
        d_in=integer(config, "d_in", config_path),
        n_features=integer(config, "d_sae", config_path),
        transcoder=True,
        subtract_b_dec=False,
        hook_in=_text(config, "hook_point", config_path),
        hook_out=_text(config, "out_hook_point", config_path),
    )


def arrays(tensors: Mapping[str, torch.Tensor], header: SourceHeader) -> dict[str, torch.Tensor]:
    """Return the tensors under the canonical names of ``Dictionary``.

    The bias taken off the input goes into the encoder's: ``(x - b) W + c`` is ``x W + (c - b W)``.

    Raises:
        FeatureSourceError: If a tensor is missing, or the input's bias does not fit the encoder.
    """
    found = take(tensors, _NAMES, header)
    b_in, b_enc, w_enc = found.pop("b_in"), found["b_enc"], found["w_enc"]
    if tuple(w_enc.shape) != (*b_in.shape, *b_enc.shape) or b_in.ndim != 1:
        shapes = f"W_enc {tuple(w_enc.shape)}, b_dec {tuple(b_in.shape)} and b_enc {tuple(b_enc.shape)}"
        message = f"shapes that do not belong together: {shapes}"
        raise FeatureSourceError(message, where=str(header.weights), hint="W_enc is [d_in, n], b_dec [d_in], b_enc [n]")
    return found | {"b_enc": (b_enc.double() - b_in.double() @ w_enc.double()).float()}


def _text(config: Mapping[str, Any], key: str, path: Path) -> str:
    value = config.get(key)
    if not isinstance(value, str) or not value:
        hint = f'set "{key}", as in blocks.8.ln2.hook_normalized or blocks.8.hook_mlp_out'
        raise FeatureSourceError(f"does not say {key}", where=str(path), hint=hint)
    return value


def _is_raw(file: Path) -> bool:
    return any(name.startswith(_PACKAGE) for name in pickled_globals(file))


def _refusal(file: Path) -> FeatureSourceError:
    classes = sorted(name for name in pickled_globals(file) if name.startswith(_PACKAGE))
    command = _CONVERT.format(classes=classes, file=file.name, kept=_KEPT)
    message = "holds the pickled configuration of a training run, and is not unpickled"
    return FeatureSourceError(message, where=str(file), hint=f"convert it once in its folder: {command}")


def _fits(path: Path) -> bool:
    return any(holds(_CONFIG, name)(path) for name in _WEIGHTS) or bool(torch_files(path, _is_raw))


READER = Reader(
    name="transcoder_circuits",
    files=f"{_CONFIG} and {_WEIGHTS[0]}, converted from the published .pt",
    kinds="transcoders: ReLU",
    checked="its definition, computed by hand in NumPy",
    fits=_fits,
    header=read_header,
    arrays=arrays,
)
