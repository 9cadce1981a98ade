"""Reader of dictionary_learning folders (``ae.pt`` + ``config.json``; Marks, Karvonen and Mueller 2024).

The library's own loader rescales an ``AutoEncoder`` so that its decoder's columns have norm 1, which multiplies every
latent's values by a factor of its own. Here the weights mean what the file says, unless ``"normalize_decoder": true``
stands under ``trainer`` in ``config.json``; which of the two holds is part of the source's identity. ``BatchTopKSAE``
and ``MatryoshkaBatchTopKSAE`` are read as the library runs them after training: with their one threshold, not a batch's
top k.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.errors import FeatureSourceError
from harness.subjects.weights.folding import transpose
from harness.subjects.weights.header import SourceHeader, integer, read_json, shown, text
from harness.subjects.weights.reader import Layout, Reader, holds, take

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from harness.subjects.weights.header import ActivationKind

__all__ = ["READER"]

_CONFIG = "config.json"
_WEIGHTS = "ae.pt"
_MOST_LAYERS = 10_000

_LINEAR = {"w_enc": "encoder.weight", "b_enc": "encoder.bias", "w_dec": "decoder.weight"}
_PLAIN = {"w_enc": "W_enc", "b_enc": "b_enc", "w_dec": "W_dec", "b_dec": "b_dec", "threshold": "threshold"}


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """How one of the library's classes computes, and under which names it stores what.

    Attributes:
        activation: Activation function.
        subtract_b_dec: Whether the decoder bias is subtracted from the input.
        names: Its names by ours.
        transposed: Whether its matrices are those of ``torch.nn.Linear``, [outputs, inputs].
    """

    activation: ActivationKind
    subtract_b_dec: bool = True
    names: Mapping[str, str] = field(default_factory=lambda: _PLAIN)
    transposed: bool = False


_CLASSES: Mapping[str, _Layout] = {
    "AutoEncoder": _Layout(activation="relu", names={**_LINEAR, "b_dec": "bias"}, transposed=True),
    "AutoEncoderNew": _Layout(
        activation="relu", subtract_b_dec=False, names={**_LINEAR, "b_dec": "decoder.bias"}, transposed=True
    ),
    "GatedAutoEncoder": _Layout(
        activation="gated",
        names={
            **_LINEAR,
            "b_enc": "mag_bias",
            "b_gate": "gate_bias",
            "magnitude_scale": "r_mag",
            "b_dec": "decoder_bias",
        },
        transposed=True,
    ),
    "JumpReluAutoEncoder": _Layout(activation="jumprelu", subtract_b_dec=False),
    "AutoEncoderTopK": _Layout(activation="topk", names={**_LINEAR, "b_dec": "b_dec"}, transposed=True),
    "BatchTopKSAE": _Layout(
        activation="jumprelu", names={**_LINEAR, "b_dec": "b_dec", "threshold": "threshold"}, transposed=True
    ),
    "MatryoshkaBatchTopKSAE": _Layout(activation="jumprelu"),
}
_NOT_READ = {
    "CrossCoder": "it reads several models or layers at once",
    "BatchTopKCrossCoder": "it reads several models or layers at once",
    "IdentityDict": "it has no weights; its features are the hidden states themselves",
}

# ``resid_post_layer_8`` as the library's scripts write it, ``mlp_out_layer3`` as its first published folders are named.
_PLACE = re.compile(r"(resid_post|resid_out|resid_pre|mlp_out|attn_out)(?:_layer_?(\d+))?")
_STREAM = {"resid_post": "hook_resid_post", "resid_out": "hook_resid_post", "resid_pre": "hook_resid_pre"}
_MODULE = re.compile(r"(?:\w+\.)*(?:layers|h)\.(\d+)(?:\.\w+)*")
# Which list holds a model's blocks and what its attention is called, by a part of the model's name. A place inside a
# block is given as a module path, for it is a module's own output that was trained on, whatever norms come after it.
_FAMILIES = {
    "gpt2": ("h", "attn"),
    "pythia": ("layers", "attention"),
    "gpt-neox": ("layers", "attention"),
    "gemma": ("layers", "self_attn"),
    "llama": ("layers", "self_attn"),
    "mistral": ("layers", "self_attn"),
    "qwen": ("layers", "self_attn"),
}


def read_header(folder: Path) -> SourceHeader:
    """Return what the folder's config says.

    Raises:
        FeatureSourceError: If it names no class, or one that is not read; if k is missing; or if it was trained to
            predict a module's output from its input.
    """
    path = folder / _CONFIG
    config = read_json(path)
    trainer, buffer = _section(config, "trainer", path), _section(config, "buffer", path)
    name = _class_name(trainer, path)
    layout = _CLASSES[name]
    if buffer.get("io") == "in_and_out":
        raise FeatureSourceError("trained from a module's input to its output, which is not read", where=str(path))
    k = integer(trainer, "k", path) if layout.activation == "topk" else None
    if layout.activation == "topk" and k is None:
        raise FeatureSourceError(f"{name} without k", where=str(path))
    return SourceHeader(
        format="dictionary_learning",
        weights=folder / _WEIGHTS,
        activation=layout.activation,
        k=k,
        d_in=integer(trainer, "activation_dim", path),
        n_features=integer(trainer, "dict_size", path),
        subtract_b_dec=layout.subtract_b_dec,
        rescale_by_decoder_norm=_normalised(trainer, name, path),
        hook_in=_hook(trainer, buffer, folder),
    )


def arrays(tensors: Mapping[str, torch.Tensor], header: SourceHeader) -> dict[str, torch.Tensor]:
    """Return the tensors under the canonical names of ``Dictionary``.

    Raises:
        FeatureSourceError: If a tensor is missing, or k is not the config's.
    """
    config = header.weights.parent / _CONFIG
    layout = _CLASSES[_class_name(_section(read_json(config), "trainer", config), config)]
    found = take(tensors, layout.names, header)
    if layout.transposed:
        found = transpose(found)
    if layout.activation == "gated":
        found["magnitude_scale"] = found["magnitude_scale"].exp()
    stored = tensors.get("k")
    if header.k is not None and stored is not None and (stored.numel() != 1 or float(stored) != header.k):
        said = f"{float(stored):g}" if stored.numel() == 1 else f"of shape {tuple(stored.shape)}"
        message = f"k is {said} in {_WEIGHTS} and {header.k} in {_CONFIG}"
        raise FeatureSourceError(message, where=str(header.weights), hint="see which of the two belongs to this folder")
    return found


def _section(config: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    value = config.get(key, {})
    if not isinstance(value, dict):
        raise FeatureSourceError(f"{key} should be an object, not {shown(value)}", where=str(path))
    return value


def _class_name(trainer: Mapping[str, Any], path: Path) -> str:
    name = trainer.get("dict_class")
    if isinstance(name, str) and name in _CLASSES:
        return name
    hint = f"one of: {', '.join(_CLASSES)}"
    if name is None:
        message = "does not say which class its weights are of"
        raise FeatureSourceError(message, where=str(path), hint=f"set dict_class under trainer to {hint}")
    why = f": {_NOT_READ[name]}" if isinstance(name, str) and name in _NOT_READ else ""
    raise FeatureSourceError(f"dictionary_learning's {shown(name)} is not read{why}", where=str(path), hint=hint)


def _normalised(trainer: Mapping[str, Any], name: str, path: Path) -> bool:
    value = trainer.get("normalize_decoder", False)
    if not isinstance(value, bool):
        raise FeatureSourceError(f"normalize_decoder should be true or false, not {shown(value)}", where=str(path))
    if value and name != "AutoEncoder":
        message = f"normalize_decoder is known for AutoEncoder only, not for {name}"
        raise FeatureSourceError(message, where=str(path))
    return value


def _hook(trainer: Mapping[str, Any], buffer: Mapping[str, Any], folder: Path) -> str | None:
    """Return the place that was trained on, or None if neither the config nor the folders' names say it."""
    stated = trainer.get("submodule_name")
    side = "input" if buffer.get("io") == "in" else "output"
    if isinstance(stated, str) and _MODULE.fullmatch(stated):
        return f"{stated}.{side}"
    names = [stated] if isinstance(stated, str) and stated else list(reversed(folder.absolute().parts))
    match = next((found for name in names if (found := _PLACE.fullmatch(name))), None)
    if match is None or side == "input":
        return None
    layer = _layer(match[2], trainer, folder)
    if layer is None:
        return None
    if match[1] in _STREAM:
        return f"blocks.{layer}.{_STREAM[match[1]]}"
    model = (text(trainer, "lm_name", folder / _CONFIG) or "").lower()
    family = next((parts for name, parts in _FAMILIES.items() if name in model), None)
    if family is None:
        return None
    blocks, attention = family
    return f"{blocks}.{layer}.{'mlp' if match[1] == 'mlp_out' else attention}.output"


def _layer(named: str | None, trainer: Mapping[str, Any], folder: Path) -> int | None:
    stated = trainer.get("layer")
    stated = stated if isinstance(stated, int) and not isinstance(stated, bool) and 0 <= stated < _MOST_LAYERS else None
    if named is None:
        return stated
    if stated is not None and stated != int(named):
        message = f"layer is {stated}, but its place is named layer {named}"
        raise FeatureSourceError(message, where=str(folder / _CONFIG), hint="correct layer or submodule_name")
    return int(named)


READER = Reader(
    name="dictionary_learning",
    files=f"{_WEIGHTS} and {_CONFIG}",
    kinds=f"SAEs: {', '.join(_CLASSES)}",
    checked="files written and encoded by dictionary-learning 0.1.0",
    layouts=(Layout(weights=r"ae\.pt", beside=(_CONFIG,)),),
    fits=holds(_WEIGHTS, _CONFIG),
    header=read_header,
    arrays=arrays,
)
