from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ConfigError, FeatureSourceError, SubjectError
from harness.subjects.architecture import block_paths, residual_projection, width_at
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
    ],
)
def test_what_writes_to_the_residual_stream(place: str, writes: bool, make_model: Callable[[str], Any]) -> None:
    projection = residual_projection(make_model("llama"), Hookpoint.parse(place))
    assert (projection is not None) == writes
    assert projection is None or projection.shape[1] == 16
