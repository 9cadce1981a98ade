from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from harness.checkpoints.wide_linear import WideConv1D, WideLinear
from harness.errors import ConfigError, FeatureSourceError, SubjectError
from harness.subjects.architecture import block_paths, input_rows, pre_activation_path, residual_projection, width_at
from harness.subjects.hooknames import to_hookpoint
from harness.subjects.protocol import Hookpoint

if TYPE_CHECKING:
    from collections.abc import Callable

EXPECTED = {
    ("llama", "hook_resid_post"): "model.layers.1.output",
    ("llama", "hook_resid_pre"): "model.layers.1.input",
    ("llama", "mlp.hook_in"): "model.layers.1.mlp.input",
    ("llama", "mlp.hook_post"): "model.layers.1.mlp.down_proj.input",
    ("llama", "hook_mlp_out"): "model.layers.1.mlp.output",
    ("llama", "attn.hook_z"): "model.layers.1.self_attn.o_proj.input",
    ("gpt2", "hook_resid_post"): "transformer.h.1.output",
    ("gpt2", "mlp.hook_post"): "transformer.h.1.mlp.c_proj.input",
    ("gpt2", "attn.hook_z"): "transformer.h.1.attn.c_proj.input",
    ("neox", "hook_resid_post"): "gpt_neox.layers.1.output",
    ("neox", "mlp.hook_post"): "gpt_neox.layers.1.mlp.dense_4h_to_h.input",
    ("neox", "attn.hook_z"): "gpt_neox.layers.1.attention.dense.input",
    ("gemma2", "hook_mlp_out"): "model.layers.1.post_feedforward_layernorm.output",
    ("gemma2", "hook_attn_out"): "model.layers.1.self_attn.output",
}


@pytest.mark.parametrize(("family", "hook"), EXPECTED)
def test_transformer_lens_names_per_family(family: str, hook: str, make_model: Callable[[str], Any]) -> None:
    assert str(to_hookpoint(f"blocks.1.{hook}", make_model(family))) == EXPECTED[family, hook]


@pytest.mark.parametrize("hook", ["ln2.hook_normalized", "hook_resid_mid", "mlp.hook_pre"])
def test_hooks_without_a_module_of_their_own_are_refused(hook: str, make_model: Callable[[str], Any]) -> None:
    with pytest.raises(FeatureSourceError, match="no module of its own"):
        to_hookpoint(f"blocks.1.{hook}", make_model("llama"))


def test_module_paths_with_and_without_the_base_models_prefix(make_model: Callable[[str], Any]) -> None:
    model = make_model("llama")
    expected = Hookpoint("model.layers.2.mlp", "input")
    assert to_hookpoint("model.layers.2.mlp.input", model) == expected
    assert to_hookpoint("layers.2.mlp.input", model) == expected


def test_what_is_no_hookpoint_of_the_model(make_model: Callable[[str], Any]) -> None:
    model = make_model("llama")
    with pytest.raises(SubjectError, match="no module"):
        to_hookpoint("model.layers.7.output", model)
    with pytest.raises(SubjectError, match=r"no layer 7: they run from 0 to 2"):
        to_hookpoint("blocks.7.hook_resid_post", model)
    with pytest.raises(ConfigError, match="not a hookpoint"):
        to_hookpoint("model.layers.1", model)


def test_widths(make_model: Callable[[str], Any]) -> None:
    for family in ("llama", "gpt2", "neox", "gemma2"):
        model = make_model(family)
        assert width_at(model, to_hookpoint("blocks.0.mlp.hook_post", model)) == 24
        assert width_at(model, to_hookpoint("blocks.0.hook_resid_post", model)) == 16
        assert len(block_paths(model)) == 3


@pytest.mark.parametrize(
    ("place", "writes"),
    [
        ("model.layers.1.output", True),
        ("model.layers.1.input", True),
        ("model.layers.1.mlp.output", True),
        ("model.layers.1.mlp.down_proj.input", True),
        ("model.layers.1.self_attn.o_proj.input", True),
        ("model.layers.1.mlp.input", False),
        ("model.layers.1.input_layernorm.output", False),
        ("model.layers.1.mlp.gate_proj.input", False),
        ("model.layers.1.self_attn.o_proj.output", True),
        ("model.layers.1.self_attn.q_proj.output", False),  # as wide as the stream, and not added to it
        ("model.embed_tokens.output", True),
    ],
)
def test_what_writes_to_the_residual_stream(place: str, writes: bool, make_model: Callable[[str], Any]) -> None:
    projection = residual_projection(make_model("llama"), Hookpoint.parse(place))
    assert (projection is not None) == writes
    assert projection is None or projection.shape[1] == 16


@pytest.mark.parametrize(("family", "wide"), [("gpt2", WideConv1D), ("llama", WideLinear)])
def test_linear_maps_stay_so_where_products_are_widened(
    family: str, wide: type, make_model: Callable[[str], Any]
) -> None:
    model = make_model(family)
    place = to_hookpoint("blocks.0.mlp.hook_post", model)
    before = input_rows(model.get_submodule(place.module))
    model.get_submodule(place.module).__class__ = wide
    after = input_rows(model.get_submodule(place.module))
    assert before is not None
    assert after is not None
    assert torch.equal(before, after)
    assert width_at(model, place) == 24


@pytest.mark.parametrize(
    ("family", "path"),
    [
        ("llama", "model.layers.1.mlp.gate_proj"),
        ("gemma2", "model.layers.1.mlp.gate_proj"),
        ("qwen3", "model.layers.1.mlp.gate_proj"),
        ("gpt2", "transformer.h.1.mlp.c_fc"),
        ("neox", "gpt_neox.layers.1.mlp.dense_h_to_4h"),
    ],
)
def test_what_the_activation_function_is_given(family: str, path: str, make_model: Callable[[str], Any]) -> None:
    assert pre_activation_path(make_model(family), 1) == path


@pytest.mark.parametrize(
    ("children", "path"),
    [
        (("up_proj", "down_proj"), "up_proj"),  # Nemotron, MPT
        (("w1", "w2", "w3"), "w1"),  # LFM2
        (("fc1", "fc2"), "fc1"),  # Phi
        (("fc_in", "fc_out"), "fc_in"),  # GPT-J
        (("gate_up_proj", "down_proj"), None),  # Phi-3: one map for both
        (("w1", "w2", "c_proj"), None),  # Qwen: w2 is the gate
    ],
)
def test_the_first_map_is_known_by_the_last_one(
    children: tuple[str, ...], path: str | None, make_model: Callable[[str], Any]
) -> None:
    model = make_model("llama")
    mlp = torch.nn.Module()
    for name in children:
        mlp.add_module(name, torch.nn.Linear(2, 2))
    model.model.layers[1].mlp = mlp
    if path is not None:
        assert pre_activation_path(model, 1) == f"model.layers.1.mlp.{path}"
    else:
        with pytest.raises(SubjectError, match=r"'model\.layers\.1\.mlp' has no linear map of its own.*value=post"):
            pre_activation_path(model, 1)
