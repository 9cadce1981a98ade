"""Reader of transcoder_circuits' transcoders (Dunefsky et al. 2024).

As published, a file holds the tensors and, pickled, the object of a training run's configuration. PyTorch's restricted
reader takes it with an empty object in that one's place (``torchfile.read_with_stand_ins``); any other object in it is
refused. A folder with the tensors alone is read too: ``transcoder.safetensors`` (or ``transcoder.pt``) under the names
of the state dict, and ``cfg.json`` with ``hook_point`` and ``out_hook_point``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.errors import FeatureSourceError
from harness.subjects.weights.header import SourceHeader, integer, read_json, text
from harness.subjects.weights.reader import ANY_TORCH_FILE, Layout, Reader, holds, take
from harness.subjects.weights.torchfile import only_file, pickled_globals, read_with_stand_ins, torch_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

__all__ = ["READER"]

_CONFIG = "cfg.json"
_WEIGHTS = ("transcoder.safetensors", "transcoder.pt")
# The classes that a published file names: of one package, by identifiers.
_CLASS = re.compile(r"sae_training(?:\.[A-Za-z_]\w*)+")

_NAMES = {"w_enc": "W_enc", "b_enc": "b_enc", "w_dec": "W_dec", "b_in": "b_dec", "b_dec": "b_dec_out"}


def read_header(path: Path) -> SourceHeader:
    """Return what the configuration says, in the published file or beside the tensors.

    Raises:
        FeatureSourceError: If it is an autoencoder's, or there are several published files.
    """
    weights = next((path / name for name in _WEIGHTS if holds(_CONFIG, name)(path)), None)
    if weights is not None:
        where, config = path / _CONFIG, read_json(path / _CONFIG)
    else:
        weights = where = only_file(path, torch_files(path, _is_published))
        config = _published(weights)[0]
    if config.get("is_transcoder") is False:
        hint = "save its tensors as sae_weights.safetensors beside a cfg.json, and it is read as SAELens'"
        raise FeatureSourceError("an autoencoder, not a transcoder", where=str(where), hint=hint)
    return SourceHeader(
        format="transcoder_circuits",
        weights=weights,
        activation="relu",
        d_in=integer(config, "d_in", where),
        n_features=integer(config, "d_sae", where),
        transcoder=True,
        subtract_b_dec=False,
        hook_in=text(config, "hook_point", where),
        hook_out=text(config, "out_hook_point", where),
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


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    if path.name in _WEIGHTS:
        from harness.subjects.weights.containers import read_tensors  # noqa: PLC0415  -- imports torch

        return read_tensors(path)
    return _published(path)[1]


def _published(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return the configuration's attributes and the tensors of a published file."""
    found = read_with_stand_ins(path, _classes(path))
    state = found.get("state_dict") if isinstance(found, dict) else None
    config = getattr(found.get("cfg"), "__dict__", None) if isinstance(found, dict) else None
    if not isinstance(state, dict) or not isinstance(config, dict):
        raise FeatureSourceError("holds no state_dict and cfg, as a published file does", where=str(path))
    from harness.subjects.weights.containers import plain_tensors  # noqa: PLC0415  -- imports torch

    return {name: value for name, value in config.items() if isinstance(name, str)}, plain_tensors(state, path)


def _classes(file: Path) -> list[str]:
    return sorted(name for name in pickled_globals(file) if _CLASS.fullmatch(name))


def _is_published(file: Path) -> bool:
    return bool(_classes(file))


def _fits(path: Path) -> bool:
    return any(holds(_CONFIG, name)(path) for name in _WEIGHTS) or bool(torch_files(path, _is_published))


READER = Reader(
    name="transcoder_circuits",
    files=f"a published .pt, or {_CONFIG} and {_WEIGHTS[0]}",
    kinds="transcoders: ReLU",
    checked="its definition, computed by hand in NumPy",
    # A published file may have any name.
    layouts=(
        *(Layout(weights=re.escape(name), beside=(_CONFIG,)) for name in _WEIGHTS),
        Layout(weights=ANY_TORCH_FILE),
    ),
    fits=_fits,
    header=read_header,
    arrays=arrays,
    tensors=_tensors,
)
