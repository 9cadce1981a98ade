"""From the names that weights give their hookpoints to module paths of the model at hand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.errors import FeatureSourceError
from harness.subjects.architecture import (
    adds_to_stream,
    attention_norm_path,
    attention_output_path,
    block_path,
    down_projection_path,
    gate_projection_path,
    in_residual_stream,
    is_parallel,
    mlp_norm_path,
    mlp_output_path,
    mlp_path,
    output_projection_path,
    up_projection_path,
)
from harness.subjects.hooks import find_module, reading
from harness.subjects.norms import norm_of
from harness.subjects.protocol import Hookpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from harness.subjects.protocol import Side, Transform

__all__ = ["centred", "to_hookpoint"]

_BLOCK_HOOK = re.compile(r"blocks\.(\d+)\.(.+)")


def _at(
    find: Callable[[torch.nn.Module, int], str], side: Side, transform: Transform | None = None
) -> Callable[[torch.nn.Module, int], Hookpoint]:
    return lambda model, layer: Hookpoint(find(model, layer), side, transform)


def _between(model: torch.nn.Module, layer: int) -> Hookpoint:
    if is_parallel(model, layer):
        raise FeatureSourceError(
            f"attention and MLP of block {layer} both read the block's input: there is no residual stream between them",
            hint="weights that read hook_resid_mid cannot be this model's",
        )
    return Hookpoint(mlp_norm_path(model, layer), "input")


def _before_activation(model: torch.nn.Module, layer: int) -> Hookpoint:
    gate = gate_projection_path(model, layer)
    return Hookpoint(up_projection_path(model, layer) if gate is None else gate, "output")


def _gated(model: torch.nn.Module, layer: int) -> Hookpoint:
    if gate_projection_path(model, layer) is None:
        raise FeatureSourceError(
            f"the MLP of block {layer} has no gate projection of its own, and so no hook_pre_linear",
            hint="in an MLP without gates the neurons' values are mlp.hook_pre and mlp.hook_post",
        )
    return Hookpoint(up_projection_path(model, layer), "output")


# TransformerLens' names. ``hook_normalized`` is meant as it is where its RMSNorm and, by default, its folded LayerNorm
# have it, before weight and bias; in a LayerNorm model loaded without processing it is the norm module's output.
_PLACES: Mapping[str, Callable[[torch.nn.Module, int], Hookpoint]] = {
    "hook_resid_pre": _at(block_path, "input"),
    "hook_attn_in": _at(attention_norm_path, "input"),
    "ln1.hook_normalized": _at(attention_norm_path, "input", "normalized"),
    "attn.hook_z": _at(output_projection_path, "input"),
    "hook_attn_out": _at(attention_output_path, "output"),
    "hook_resid_mid": _between,
    "hook_mlp_in": _at(mlp_norm_path, "input"),
    "ln2.hook_normalized": _at(mlp_norm_path, "input", "normalized"),
    "mlp.hook_in": _at(mlp_path, "input"),
    "mlp.hook_pre": _before_activation,
    "mlp.hook_pre_linear": _gated,
    "mlp.hook_post": _at(down_projection_path, "input"),
    "mlp.hook_out": _at(mlp_path, "output"),
    "hook_mlp_out": _at(mlp_output_path, "output"),
    "hook_resid_post": _at(block_path, "output"),
}


def to_hookpoint(name: str, model: torch.nn.Module) -> Hookpoint:
    """Return the hookpoint of ``model`` that ``name`` means.

    ``name`` is a module path and a side (``model.layers.14.output``; the base model's prefix may be left out, as
    sparsify does) or a TransformerLens hook (``blocks.14.hook_resid_post``); both may end in a transform
    (``blocks.6.hook_resid_pre|centred``).

    Raises:
        FeatureSourceError: If a TransformerLens hook is not known or has no place in this model, or the model's hidden
            states are not centred by any processing.
        ConfigError: If the text is neither.
        SubjectError: If the model has no such module, or it is no norm where one is needed.
    """
    place, _, transform = name.partition("|")
    match = _BLOCK_HOOK.fullmatch(place)
    if match is not None and "hook_" in match[2]:
        found = _from_transformer_lens(name, int(match[1]), match[2], model)
        if transform:
            found = Hookpoint.parse(f"{found}|{transform}")
    else:
        found = _from_path(name, model)
    reading(model, found)
    return centred(found.plain, model) if found.transform == "centred" else found


def centred(hookpoint: Hookpoint, model: torch.nn.Module) -> Hookpoint:
    """Return where weights read that were trained on ``model`` with its writing weights centred.

    TransformerLens can take the mean over the width off everything that is written to the residual stream of a
    LayerNorm model. The model's outputs stay as they are, for every LayerNorm takes that mean off itself; its hidden
    states, and what is added to them, are those of the published model minus their mean. What a norm has over its
    scale is the same in both.

    Raises:
        FeatureSourceError: If the model is no LayerNorm model, or the hookpoint is neither in its residual stream nor
            what attention or an MLP adds to it, nor a norm's input over its scale.
    """
    norm = attention_norm_path(model, 0)
    if not norm_of(find_module(model, norm), norm).centres:
        raise FeatureSourceError(
            "trained on a model with centred writing weights, which a model with RMSNorm cannot have",
            where=str(hookpoint),
            hint="check that the weights were trained on this model",
        )
    if hookpoint.transform == "normalized":
        return hookpoint
    if not in_residual_stream(model, hookpoint) and not adds_to_stream(model, hookpoint):
        raise FeatureSourceError(
            "trained on a model with centred writing weights, which is supported in the residual stream only",
            where=str(hookpoint),
            hint="use weights trained without TransformerLens' processing",
        )
    return Hookpoint(hookpoint.module, hookpoint.side, "centred")


def _from_path(name: str, model: torch.nn.Module) -> Hookpoint:
    hookpoint = Hookpoint.parse(name)
    modules = dict(model.named_modules())
    prefix = getattr(model, "base_model_prefix", "")
    if hookpoint.module not in modules and f"{prefix}.{hookpoint.module}" in modules:
        return Hookpoint(f"{prefix}.{hookpoint.module}", hookpoint.side, hookpoint.transform)
    find_module(model, hookpoint.module)
    return hookpoint


def _from_transformer_lens(name: str, layer: int, hook: str, model: torch.nn.Module) -> Hookpoint:
    if hook not in _PLACES:
        raise FeatureSourceError(
            f"the hook '{name}' has no module of its own in a Hugging Face model",
            hint=f"give the hookpoint as a module path; hooks that are translated: {', '.join(_PLACES)}",
        )
    return _PLACES[hook](model, layer)
