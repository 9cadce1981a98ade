"""What a reader of one weight format is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import FeatureSourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import torch

    from harness.subjects.weights.header import SourceHeader

__all__ = ["ANY_TORCH_FILE", "Layout", "Reader", "holds", "take"]

ANY_TORCH_FILE = r"[^/]+\.pt"
"""Pattern of the weights of formats that are told by what is in a PyTorch file, whatever it is called."""

_SHOWN, _LONGEST_NAME = 20, 60
_GATES_AND_SKIPS = {"b_gate", "b_mag", "r_mag", "W_gate", "gate_bias", "mag_bias", "W_skip", "affine_skip_connection"}
_THRESHOLDS = {"threshold", "log_threshold", "log_jumprelu_threshold", "activation_function.log_jumprelu_threshold"}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Names of the files a source consists of, by which it is found in a list of files.

    Attributes:
        weights: Pattern of the path of the file of weights in the source's folder.
        beside: Files of that folder without which it is no source of this format.
        optional: Files that are read too where they are there; ``{stem}`` stands for the weights' name without ending.
    """

    weights: str
    beside: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One format of weights: how to recognise it, what it says of itself, and its tensors in canonical form.

    Attributes:
        name: Its name in headers, identities and documentation.
        files: The files it consists of, in words, for messages: ``cfg.json and sae_weights.safetensors``.
        kinds: What it may hold, in words: ``SAEs``, ``SAEs and transcoders``.
        checked: What its values were checked against, in words.
        layouts: Its files, by name; what a repository on the hub is searched for.
        fits: Whether a folder or file is in this format, by names alone or a look into a small config.
        header: What the format says of itself, without reading weights; raises FeatureSourceError.
        arrays: From the tensors as stored to those of ``Dictionary`` (float32, canonical names and shapes, everything
            folded in that can be); raises FeatureSourceError if one is missing.
        tensors: Reads the tensors of a header's file, where opening it is not enough.
    """

    name: str
    files: str
    kinds: str
    checked: str
    layouts: tuple[Layout, ...]
    fits: Callable[[Path], bool]
    header: Callable[[Path], SourceHeader]
    arrays: Callable[[Mapping[str, torch.Tensor], SourceHeader], dict[str, torch.Tensor]]
    tensors: Callable[[Path], dict[str, torch.Tensor]] | None = None


def holds(*names: str) -> Callable[[Path], bool]:
    """Return a test whether a path is a folder that holds all these files."""
    return lambda path: all((path / name).is_file() for name in names)


def take(
    tensors: Mapping[str, torch.Tensor],
    names: Mapping[str, str],
    header: SourceHeader,
    optional: Iterable[str] = (),
    *,
    decoder_dims: int = 2,
) -> dict[str, torch.Tensor]:
    """Return tensors in float32 under our names.

    Args:
        tensors: As stored.
        names: Their name by ours.
        header: Names the file in errors.
        optional: Those of ours that may be missing.
        decoder_dims: How many dimensions ``w_dec`` has in the file.

    Raises:
        FeatureSourceError: If others are missing (the message lists what there is), if there are some that a source of
            this kind would not be right without, or if one is empty, holds no floating-point numbers, or has not as
            many dimensions as its kind.
    """
    wanted = {ours: theirs for ours, theirs in names.items() if theirs in tensors or ours not in set(optional)}
    missing = [theirs for theirs in wanted.values() if theirs not in tensors]
    if missing:
        message = f"lacks {', '.join(missing)} (it has {_listed(tensors)})"
        raise FeatureSourceError(message, where=str(header.weights))
    _check_others(tensors, wanted.values(), header)
    dims = {"w_enc": 2, "w_skip": 2, "w_dec": decoder_dims}
    for ours, theirs in wanted.items():
        _check(tensors[theirs], theirs, dims.get(ours, 1), header, alone=ours == "threshold")
    return {ours: tensors[theirs].float() for ours, theirs in wanted.items()}


def _check_others(tensors: Iterable[str], taken: Iterable[str], header: SourceHeader) -> None:
    """Refuse tensors that would be left out and decide values; others, such as counts of a training run, are not."""
    decisive = _GATES_AND_SKIPS | (_THRESHOLDS if header.activation == "relu" else set())
    extra = sorted(decisive & set(tensors) - set(taken))
    if extra:
        what = f"holds {', '.join(extra)}, which weights with the activation {header.activation} would leave out"
        hint = "see what its config says of its architecture"
        raise FeatureSourceError(what, where=str(header.weights), hint=hint)


def _check(tensor: torch.Tensor, name: str, dims: int, header: SourceHeader, *, alone: bool) -> None:
    where, kind = str(header.weights), str(tensor.dtype).removeprefix("torch.")
    if not tensor.is_floating_point():
        hint = "weights are floating-point numbers; undo a quantisation before saving them"
        raise FeatureSourceError(f"{name} is of type {kind}", where=where, hint=hint)
    shape = tuple(tensor.shape)
    if tensor.numel() == 0:
        raise FeatureSourceError(f"{name} has shape {shape} and is empty", where=where)
    if tensor.ndim != dims and not (alone and tensor.ndim == 0):
        expected = {1: "a vector", 2: "a matrix"}.get(dims, f"{dims} dimensions")
        raise FeatureSourceError(f"{name} has shape {shape}, expected {expected}", where=where)


def _listed(names: Iterable[str]) -> str:
    found = sorted(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..." for name in names)
    return (", ".join(found[:_SHOWN]) + (f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")) or "none"
