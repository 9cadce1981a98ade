"""Where the parts of a Hugging Face decoder are, whatever its family calls them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

from harness.errors import SubjectError
from harness.subjects.hooks import find_module
from harness.subjects.norms import norm_of
from harness.subjects.protocol import Hookpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "adds_to_stream",
    "attention_norm_path",
    "attention_output_path",
    "attention_path",
    "block_path",
    "block_paths",
    "down_projection_path",
    "gate_projection_path",
    "in_residual_stream",
    "input_rows",
    "is_parallel",
    "mlp_norm_path",
    "mlp_output_path",
    "mlp_path",
    "norm_after",
    "output_projection_path",
    "pre_activation_path",
    "rejoining",
    "residual_projection",
    "text_config",
    "up_projection_path",
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
_GATE = ("gate_proj",)
_UP = ("up_proj", "c_fc", "dense_h_to_4h", "fc_in", "fc1")
_BEFORE_ATTENTION = ("input_layernorm", "ln_1", "norm_1", "ln_attn")
_BEFORE_MLP = ("pre_feedforward_layernorm", "ln_2", "norm_2", "ln_mlp")
# Stands before the MLP, in spite of its name, unless the block has a norm after the MLP too.
_SECOND_NORM = "post_attention_layernorm"
# Norms of what attention and MLP put out, by family: Gemma 2 and 3 and OLMo 2, then GLM-4.
_AFTER_MLP = ("post_feedforward_layernorm", "post_mlp_layernorm")
_AFTER_ATTENTION = {"post_feedforward_layernorm": _SECOND_NORM, "post_mlp_layernorm": "post_self_attn_layernorm"}
_PARALLEL_FLAGS = ("use_parallel_residual", "parallel_attn", "new_decoder_architecture")


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
    after = _norm_after_mlp(model, layer)
    return mlp_path(model, layer) if after is None else f"{block_path(model, layer)}.{after}"


def attention_output_path(model: torch.nn.Module, layer: int) -> str:
    """Return the module whose output attention adds to the residual stream: in Gemma 2 and 3 the norm after it."""
    after = _norm_after_mlp(model, layer)
    if after is None:
        return attention_path(model, layer)
    return _child(model, block_path(model, layer), (_AFTER_ATTENTION[after],), "norm after attention")


def attention_norm_path(model: torch.nn.Module, layer: int) -> str:
    """Return the module path of the norm before the block's attention.

    Raises:
        SubjectError: If there is none, as in OLMo 2.
    """
    return _child(model, block_path(model, layer), _BEFORE_ATTENTION, "norm before its attention")


def mlp_norm_path(model: torch.nn.Module, layer: int) -> str:
    """Return the module path of the norm before the block's MLP, which attention may share, as in GPT-J and Phi.

    Raises:
        SubjectError: If there is none, as in OLMo 2.
    """
    after = _norm_after_mlp(model, layer)
    taken = None if after is None else _AFTER_ATTENTION[after]
    names = [name for name in (*_BEFORE_MLP, _SECOND_NORM) if name != taken]
    block = block_path(model, layer)
    norms = [name for name, child in find_module(model, block).named_children() if _is_norm(child)]
    # A second norm under a name unknown here must not be passed over for the first.
    return _child(model, block, [*names, *_BEFORE_ATTENTION] if len(norms) == 1 else names, "norm before its MLP")


def is_parallel(model: torch.nn.Module, layer: int) -> bool:
    """Return whether attention and MLP of a block both read the block's input, as in Pythia, GPT-J and Phi."""
    config = text_config(model)
    if any(getattr(config, flag, False) is True for flag in _PARALLEL_FLAGS):
        return True
    modules = dict(model.named_modules())
    shared = [f"{block_path(model, layer)}.{name}" for name in _BEFORE_ATTENTION]
    return any(path in modules for path in shared) and mlp_norm_path(model, layer) in shared


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


def up_projection_path(model: torch.nn.Module, layer: int) -> str:
    """Return the module path of the MLP's map to the neurons; in a gated MLP that of the ungated half.

    Raises:
        SubjectError: If the MLP has none of its own, as where both halves are one matrix.
    """
    return _child(model, mlp_path(model, layer), _UP, "up projection")


def gate_projection_path(model: torch.nn.Module, layer: int) -> str | None:
    """Return the module path of the map to a gated MLP's gates, or None if the MLP has none."""
    mlp, modules = mlp_path(model, layer), dict(model.named_modules())
    return next((f"{mlp}.{name}" for name in _GATE if f"{mlp}.{name}" in modules), None)


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


def in_residual_stream(model: torch.nn.Module, hookpoint: Hookpoint) -> bool:
    """Return whether a hookpoint is the residual stream: around a block, or between its attention and its MLP."""
    return hookpoint.module in block_paths(model) or rejoining(model, hookpoint) is not None


def adds_to_stream(model: torch.nn.Module, hookpoint: Hookpoint) -> bool:
    """Return whether a hookpoint is what a block's attention or MLP adds to the residual stream."""
    block, _, _ = hookpoint.module.rpartition(".")
    paths = block_paths(model)
    if hookpoint.side != "output" or block not in paths:
        return False
    for find in (attention_output_path, mlp_output_path):
        with suppress(SubjectError):  # a block without one of the two may have the other
            if find(model, paths.index(block)) == hookpoint.module:
                return True
    return False


def rejoining(model: torch.nn.Module, hookpoint: Hookpoint) -> Hookpoint | None:
    """Return where a change at a hookpoint must be made again to be one of the residual stream, or None.

    Between attention and MLP a Hugging Face block has the stream in one place only, the input of the norm before the
    MLP. What is changed there reaches the MLP, while the block adds the MLP's output to the state as it was: the same
    change at the block's output makes up for that.
    """
    block, _, _ = hookpoint.module.rpartition(".")
    paths = block_paths(model)
    if hookpoint.side != "input" or hookpoint.transform == "normalized" or block not in paths:
        return None
    layer = paths.index(block)
    with suppress(SubjectError):  # no norm before the MLP: nothing to be the input of
        if hookpoint.module == mlp_norm_path(model, layer) and not is_parallel(model, layer):
            return Hookpoint(block, "output")
    return None


def residual_projection(model: torch.nn.Module, hookpoint: Hookpoint) -> torch.Tensor | None:
    """Return the map [d, d_model] by which a change at a hookpoint enters the residual stream, or None.

    The identity stands for the residual stream itself and for what a block's parts add to it; the input of a linear
    map onto the stream goes through its matrix; what only feeds a computation (the input of an MLP) has no such map.

    Where a norm stands between the place and the stream, as in Gemma 2 and 3, the map goes on through the norm's gain,
    up to a positive scale: at a token where the norm is given ``x`` of scale ``s``, a small change ``d`` enters as
    ``gain * (d - x <x, d> / <x, x>) / s`` (epsilon aside). The scale ``1 / s`` is left out, which no ranking by logits
    and no cosine sees, and so is the second term, the part of ``d`` along ``x``, which is another one at every token.
    """
    direct = _up_to_norm(model, hookpoint)
    after = norm_after(model, hookpoint)
    if direct is None or after is None:
        return direct
    try:
        norm = norm_of(find_module(model, after), after)
    except SubjectError:
        return None  # of a formula that is not known: so is what becomes of a direction
    direct = direct.to(norm.gain.device)
    return (direct - direct.mean(dim=-1, keepdim=True) if norm.centres else direct) * norm.gain


def norm_after(model: torch.nn.Module, hookpoint: Hookpoint) -> str | None:
    """Return the path of the norm between a place in a block's attention or MLP and the residual stream, or None."""
    modules = dict(model.named_modules())
    for layer, block in enumerate(block_paths(model)):
        after_mlp = _norm_after_mlp(model, layer)
        if after_mlp is None or not hookpoint.module.startswith(f"{block}."):
            continue
        for name, parts in ((after_mlp, _MLP), (_AFTER_ATTENTION[after_mlp], _ATTENTION)):
            norm = f"{block}.{name}"
            inside = hookpoint.module.removeprefix(f"{block}.").partition(".")[0] in parts
            if norm in modules and (inside or hookpoint == Hookpoint(norm, "input")):
                return norm
    return None


def _up_to_norm(model: torch.nn.Module, hookpoint: Hookpoint) -> torch.Tensor | None:
    """Return the map from a hookpoint to the residual stream, or to the norm in between if there is one."""
    d_model = int(text_config(model).hidden_size)
    module = find_module(model, hookpoint.module)
    if hookpoint.transform == "normalized":
        return None
    if in_residual_stream(model, hookpoint):
        return torch.eye(d_model)
    if hookpoint.side == "input":
        rows = input_rows(module)
        if rows is None:
            return torch.eye(d_model) if norm_after(model, hookpoint) == hookpoint.module else None
        return rows.float() if rows.shape[1] == d_model and _adds(hookpoint.module) else None
    # Queries, say, may happen to be as wide as the stream.
    feeds = not _adds(hookpoint.module) if input_rows(module) is not None else _is_norm(module)
    if width_at(model, hookpoint) != d_model or (feeds and not adds_to_stream(model, hookpoint)):
        return None
    return torch.eye(d_model)


def _is_norm(module: torch.nn.Module) -> bool:
    return "norm" in type(module).__name__.lower()


def _norm_after_mlp(model: torch.nn.Module, layer: int) -> str | None:
    modules, block = dict(model.named_modules()), block_path(model, layer)
    return next((name for name in _AFTER_MLP if f"{block}.{name}" in modules), None)


def _adds(path: str) -> bool:
    return path.rpartition(".")[2] in {*_DOWN, *_ATTENTION_OUT}


def _child(model: torch.nn.Module, parent: str, names: Sequence[str], what: str) -> str:
    modules = dict(model.named_modules())
    for name in names:
        if f"{parent}.{name}" in modules:
            return f"{parent}.{name}"
    raise SubjectError(f"'{parent}' has no {what} this harness knows", hint="name the hookpoint in full")
