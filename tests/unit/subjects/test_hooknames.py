from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from harness.checkpoints.wide_linear import WideConv1D, WideLinear
from harness.errors import ConfigError, HarnessError, SubjectError
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
    ("gemma2", "hook_attn_out"): "model.layers.1.post_attention_layernorm.output",
    ("gemma2", "mlp.hook_out"): "model.layers.1.mlp.output",
    ("gemma3", "hook_attn_out"): "model.layers.1.post_attention_layernorm.output",
    ("gemma3", "hook_mlp_out"): "model.layers.1.post_feedforward_layernorm.output",
    ("olmo2", "hook_attn_out"): "model.layers.1.post_attention_layernorm.output",
    ("olmo2", "hook_mlp_out"): "model.layers.1.post_feedforward_layernorm.output",
    ("llama", "hook_attn_out"): "model.layers.1.self_attn.output",
    ("llama", "hook_resid_mid"): "model.layers.1.post_attention_layernorm.input",
    ("qwen3", "hook_resid_mid"): "model.layers.1.post_attention_layernorm.input",
    ("gpt2", "hook_resid_mid"): "transformer.h.1.ln_2.input",
    ("gemma2", "hook_resid_mid"): "model.layers.1.pre_feedforward_layernorm.input",
    ("llama", "hook_attn_in"): "model.layers.1.input_layernorm.input",
    ("llama", "hook_mlp_in"): "model.layers.1.post_attention_layernorm.input",
    ("neox", "hook_mlp_in"): "gpt_neox.layers.1.post_attention_layernorm.input",
    ("phi", "hook_mlp_in"): "model.layers.1.input_layernorm.input",
    ("llama", "ln1.hook_normalized"): "model.layers.1.input_layernorm.input|normalized",
    ("llama", "ln2.hook_normalized"): "model.layers.1.post_attention_layernorm.input|normalized",
    ("gemma3", "ln2.hook_normalized"): "model.layers.1.pre_feedforward_layernorm.input|normalized",
    ("gpt2", "ln1.hook_normalized"): "transformer.h.1.ln_1.input|normalized",
    ("phi", "ln2.hook_normalized"): "model.layers.1.input_layernorm.input|normalized",
    ("llama", "mlp.hook_pre"): "model.layers.1.mlp.gate_proj.output",
    ("llama", "mlp.hook_pre_linear"): "model.layers.1.mlp.up_proj.output",
    ("gpt2", "mlp.hook_pre"): "transformer.h.1.mlp.c_fc.output",
    ("neox", "mlp.hook_pre"): "gpt_neox.layers.1.mlp.dense_h_to_4h.output",
    ("phi", "mlp.hook_pre"): "model.layers.1.mlp.fc1.output",
    ("gpt2", "hook_resid_pre|centred"): "transformer.h.1.input|centred",
    ("neox", "hook_mlp_out|centred"): "gpt_neox.layers.1.mlp.output|centred",
}


@pytest.mark.parametrize(("family", "hook"), EXPECTED)
def test_transformer_lens_names_per_family(family: str, hook: str, make_model: Callable[[str], Any]) -> None:
    assert str(to_hookpoint(f"blocks.1.{hook}", make_model(family))) == EXPECTED[family, hook]


@pytest.mark.parametrize(
    ("family", "hook", "message"),
    [
        ("llama", "hook_mlp_scale", "no module of its own.*hooks that are translated: hook_resid_pre"),
        ("llama", "attn.hook_pattern", "no module of its own"),
        ("neox", "hook_resid_mid", "no residual stream between them"),
        ("phi", "hook_resid_mid", "no residual stream between them"),
        ("gpt2", "mlp.hook_pre_linear", "no gate projection of its own"),
        ("llama", "hook_resid_pre|centred", "a model with RMSNorm cannot have"),
        ("gemma2", "hook_resid_post|centred", "a model with RMSNorm cannot have"),
        ("gpt2", "attn.hook_z|centred", "in the residual stream only"),
        ("gpt2", "hook_mlp_in|other", "after the bar write"),
        ("gpt2", "hook_resid_post|normalized", "after the bar write"),
        ("gpt2", "ln1.hook_normalized|centred", "not a hookpoint"),
        ("olmo2", "ln2.hook_normalized", "no norm before its MLP"),
        ("olmo2", "hook_resid_mid", "no norm before its MLP"),
    ],
)
def test_hooks_without_a_place_in_the_model_are_refused(
    family: str, hook: str, message: str, make_model: Callable[[str], Any]
) -> None:
    with pytest.raises(HarnessError, match=message):
        to_hookpoint(f"blocks.1.{hook}", make_model(family))


def test_a_second_norm_of_unknown_name_is_not_passed_over(make_model: Callable[[str], Any]) -> None:
    model = make_model("llama")
    block = model.model.layers[1]
    block.norm_of_another_name = block.post_attention_layernorm
    del block.post_attention_layernorm
    with pytest.raises(SubjectError, match="no norm before its MLP"):
        to_hookpoint("blocks.1.ln2.hook_normalized", model)


def test_gates_and_neurons_in_one_matrix_have_no_place(make_model: Callable[[str], Any]) -> None:
    model = make_model("llama")
    mlp = model.model.layers[1].mlp
    mlp.gate_up_proj = mlp.gate_proj
    del mlp.gate_proj, mlp.up_proj
    with pytest.raises(SubjectError, match="no up projection"):
        to_hookpoint("blocks.1.mlp.hook_pre", model)


def test_module_paths_with_and_without_the_base_models_prefix(make_model: Callable[[str], Any]) -> None:
    model = make_model("llama")
    expected = Hookpoint("model.layers.2.mlp", "input")
    assert to_hookpoint("model.layers.2.mlp.input", model) == expected
    assert to_hookpoint("layers.2.mlp.input", model) == expected
    norm = to_hookpoint("layers.2.input_layernorm.input|normalized", model)
    assert norm == Hookpoint("model.layers.2.input_layernorm", "input", "normalized")


def test_what_is_no_hookpoint_of_the_model(make_model: Callable[[str], Any]) -> None:
    model = make_model("llama")
    with pytest.raises(SubjectError, match="no module"):
        to_hookpoint("model.layers.7.output", model)
    with pytest.raises(SubjectError, match=r"no layer 7: they run from 0 to 2"):
        to_hookpoint("blocks.7.hook_resid_post", model)
    with pytest.raises(SubjectError, match="does not compute LayerNorm or RMSNorm"):
        to_hookpoint("model.layers.1.mlp.input|normalized", model)
    for text in ("model.layers.1", "model.layers.1.output|", "model.layers.1.output|normalized"):
        with pytest.raises(ConfigError, match="not a hookpoint"):
            to_hookpoint(text, model)


@pytest.mark.parametrize("text", ["a.b.input", "a.b.output", "a.b.input|normalized", "a.b.output|centred"])
def test_a_hookpoint_and_its_written_form(text: str) -> None:
    hookpoint = Hookpoint.parse(text)
    assert str(hookpoint) == text
    assert str(hookpoint.plain) == text.partition("|")[0]


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
        ("model.layers.1.post_attention_layernorm.input", True),
        ("model.layers.1.post_attention_layernorm.input|normalized", False),
        ("model.layers.1.input_layernorm.input", False),
        ("model.layers.1.post_attention_layernorm.output", False),
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


@pytest.mark.parametrize(
    ("family", "place", "writes"),
    [
        ("gemma2", "model.layers.1.post_attention_layernorm.output", True),
        ("gemma2", "model.layers.1.post_feedforward_layernorm.output", True),
        ("gemma2", "model.layers.1.pre_feedforward_layernorm.output", False),
        ("neox", "gpt_neox.layers.1.post_attention_layernorm.input", False),
    ],
)
def test_norms_that_write_to_the_residual_stream(
    family: str, place: str, writes: bool, make_model: Callable[[str], Any]
) -> None:
    assert (residual_projection(make_model(family), Hookpoint.parse(place)) is not None) == writes
