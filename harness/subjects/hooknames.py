"""From the names that weights give their hookpoints to module paths of the model at hand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.errors import FeatureSourceError
from harness.subjects.architecture import (
    attention_path,
    block_path,
    down_projection_path,
    mlp_output_path,
    mlp_path,
    output_projection_path,
)
from harness.subjects.hooks import find_module
from harness.subjects.protocol import Hookpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

__all__ = ["to_hookpoint"]

_BLOCK_HOOK = re.compile(r"blocks\.(\d+)\.(.+)")

_PLACES: Mapping[str, tuple[Callable[[torch.nn.Module, int], str], str]] = {
    "hook_resid_pre": (block_path, "input"),
    "hook_resid_post": (block_path, "output"),
    "mlp.hook_in": (mlp_path, "input"),
    "mlp.hook_post": (down_projection_path, "input"),
    "hook_mlp_out": (mlp_output_path, "output"),
    "attn.hook_z": (output_projection_path, "input"),
    "hook_attn_out": (attention_path, "output"),
}


def to_hookpoint(name: str, model: torch.nn.Module) -> Hookpoint:
    """Return the hookpoint of ``model`` that ``name`` means.

    ``name`` is a module path and a side (``model.layers.14.output``; the base model's prefix may be left out, as
    sparsify does) or a TransformerLens hook (``blocks.14.hook_resid_post``).

    Raises:
        FeatureSourceError: If a TransformerLens hook has no module of its own in a Hugging Face model.
        ConfigError: If the text is neither.
        SubjectError: If the model has no such module.
    """
    match = _BLOCK_HOOK.fullmatch(name)
    if match is not None and "hook_" in match[2]:
        return _from_transformer_lens(name, int(match[1]), match[2], model)
    hookpoint = Hookpoint.parse(name)
    modules = dict(model.named_modules())
    prefix = getattr(model, "base_model_prefix", "")
    if hookpoint.module not in modules and f"{prefix}.{hookpoint.module}" in modules:
        return Hookpoint(f"{prefix}.{hookpoint.module}", hookpoint.side)
    find_module(model, hookpoint.module)
    return hookpoint


def _from_transformer_lens(name: str, layer: int, hook: str, model: torch.nn.Module) -> Hookpoint:
    if hook not in _PLACES:
        # Such as ln2.hook_normalized: the normalised stream before the norm's weight, which no module puts out.
        raise FeatureSourceError(
            f"the hook '{name}' has no module of its own in a Hugging Face model",
            hint=f"give the hookpoint as a module path; hooks that are translated: {', '.join(_PLACES)}",
        )
    find, side = _PLACES[hook]
    return Hookpoint(find(model, layer), "input" if side == "input" else "output")
