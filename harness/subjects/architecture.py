"""Where the parts of a Hugging Face decoder are, whatever its family calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from harness.errors import SubjectError
from harness.subjects.hooks import find_module

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.subjects.protocol import Hookpoint

__all__ = [
    "attention_path",
    "block_path",
    "block_paths",
    "down_projection_path",
    "input_rows",
    "mlp_output_path",
    "mlp_path",
    "output_projection_path",
    "pre_activation_path",
    "residual_projection",
    "text_config",
    "width_at",
]

_MLP = ("mlp", "feed_forward", "ffn")
_DOWN = ("down_proj", "c_proj", "dense_4h_to_h", "fc_out", "fc2", "w2")
# The linear map into the activation function, by the name of the MLP's last one: a gate where there is one, else the
# first map of a plain MLP. In pairs, since a name alone says too little (Qwen's first w1, beside c_proj, is no gate).
_INTO_ACTIVATION = {
    "down_proj": ("gate_proj", "up_proj"),
    "c_proj": ("c_fc",),
    "dense_4h_to_h": ("dense_h_to_4h",),
    "fc_out": ("fc_in",),
    "fc2": ("fc1",),
    "w2": ("w1",),
}
_ATTENTION = ("self_attn", "attn", "attention", "self_attention")
_ATTENTION_OUT = ("o_proj", "c_proj", "dense", "out_proj")
_AFTER_MLP = "post_feedforward_layernorm"


def text_config(model: Any) -> Any:
    """Return the configuration of the model's text decoder."""
    return model.config.get_text_config()


def block_paths(model: torch.nn.Module) -> list[str]:
    """Return the module paths of the transformer blocks, in order.

    Raises:
        SubjectError: If no list of modules is as long as the configuration says.
    """
    n_blocks = int(text_config(model).num_hidden_layers)
    for path, module in model.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == n_blocks:
            return [f"{path}.{index}" for index in range(n_blocks)]
    raise SubjectError(f"no list of {n_blocks} transformer blocks in {type(model).__name__}")


def block_path(model: torch.nn.Module, layer: int) -> str:
    """Return the module path of block ``layer``.

    Raises:
        SubjectError: If there is no such block; the message gives the range.
    """
    paths = block_paths(model)
    if not 0 <= layer < len(paths):
        raise SubjectError(f"no layer {layer}: they run from 0 to {len(paths) - 1}")
    return paths[layer]


def mlp_path(model: torch.nn.Module, layer: int) -> str:
    """Return the module path of the block's MLP."""
    return _child(model, block_path(model, layer), _MLP, "MLP")


def mlp_output_path(model: torch.nn.Module, layer: int) -> str:
    """Return the module whose output the MLP adds to the residual stream: in Gemma 2 and 3 the norm after it."""
    after = f"{block_path(model, layer)}.{_AFTER_MLP}"
    return after if after in dict(model.named_modules()) else mlp_path(model, layer)


def attention_path(model: torch.nn.Module, layer: int) -> str:
    """Return the module path of the block's attention."""
    return _child(model, block_path(model, layer), _ATTENTION, "attention module")


def down_projection_path(model: torch.nn.Module, layer: int) -> str:
    """Return the module path of the MLP's last linear map, whose input are the neurons' values.

    Raises:
        SubjectError: If the block has none, as in mixtures of experts.
    """
    block = block_path(model, layer)
    names = [f"{mlp}.{down}" for mlp in _MLP for down in _DOWN]
    return _child(model, block, (*names, "fc2"), "single down projection")


def pre_activation_path(model: torch.nn.Module, layer: int) -> str:
    """Return the module path of the linear map whose output the MLP's activation function is given.

    Raises:
        SubjectError: If there is none, as where gate and up projection are one map, or no down projection either.
    """
    parent, _, down = down_projection_path(model, layer).rpartition(".")
    modules = dict(model.named_modules())
    fused = any(f"{parent}.{name}" in modules for name in ("gate_up_proj", "up_gate_proj"))
    for name in () if fused else _INTO_ACTIVATION[down]:
        if f"{parent}.{name}" in modules:
            return f"{parent}.{name}"
    # Which half of a fused map is the gate is up to the model's code, and no module says it.
    raise SubjectError(
        f"'{parent}' has no linear map of its own before its activation function", hint="take value=post"
    )


def output_projection_path(model: torch.nn.Module, layer: int) -> str:
    """Return the module path of the attention's output projection."""
    return _child(model, attention_path(model, layer), _ATTENTION_OUT, "output projection")


def input_rows(module: torch.nn.Module) -> torch.Tensor | None:
    """Return what each input of a linear map writes, [d_in, d_out], or None if ``module`` is no linear map."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, torch.Tensor) or weight.ndim != 2:  # noqa: PLR2004  -- a matrix
        return None
    if isinstance(module, torch.nn.Linear):
        return weight.detach().T
    # GPT-2's Conv1D is a linear map that stores its matrix the other way round. It may be of a class derived from it.
    return weight.detach() if any(base.__name__ == "Conv1D" for base in type(module).__mro__) else None


def width_at(model: torch.nn.Module, hookpoint: Hookpoint) -> int:
    """Return the width of the hidden states at a hookpoint."""
    rows = input_rows(find_module(model, hookpoint.module))
    if rows is None:
        return int(text_config(model).hidden_size)
    return int(rows.shape[0] if hookpoint.side == "input" else rows.shape[1])


def residual_projection(model: torch.nn.Module, hookpoint: Hookpoint) -> torch.Tensor | None:
    """Return the map [d, d_model] by which a change at a hookpoint enters the residual stream, or None.

    The identity stands for the residual stream itself and for what a block's parts add to it; the input of a linear
    map onto the stream goes through its matrix; what only feeds a computation (the input of an MLP) has no such map.
    """
    d_model = int(text_config(model).hidden_size)
    module = find_module(model, hookpoint.module)
    if hookpoint.side == "input":
        if hookpoint.module in block_paths(model):
            return torch.eye(d_model)
        rows = input_rows(module)
        writes = rows is not None and rows.shape[1] == d_model and _adds(hookpoint.module)
        return rows.float() if rows is not None and writes else None
    norm = "norm" in type(module).__name__.lower()
    if input_rows(module) is not None and not _adds(hookpoint.module):
        return None  # such as queries, which may happen to be as wide as the stream
    if width_at(model, hookpoint) != d_model or (norm and not hookpoint.module.endswith(_AFTER_MLP)):
        return None
    return torch.eye(d_model)


def _adds(path: str) -> bool:
    return path.rpartition(".")[2] in {*_DOWN, *_ATTENTION_OUT}


def _child(model: torch.nn.Module, parent: str, names: Sequence[str], what: str) -> str:
    modules = dict(model.named_modules())
    for name in names:
        if f"{parent}.{name}" in modules:
            return f"{parent}.{name}"
    raise SubjectError(f"'{parent}' has no {what} this harness knows", hint="name the hookpoint in full")
