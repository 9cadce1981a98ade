from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from harness.checkpoints import wide_linear
from harness.checkpoints.wide_linear import WideConv1D, WideLinear, widen_slow_products
from harness.subjects.architecture import input_rows


class Own(nn.Linear):
    """A layer of a model's own making."""


def model_of(dtype: torch.dtype) -> nn.ModuleDict:
    torch.manual_seed(0)
    made: Any = Conv1D  # transformers leaves it without types
    layers = {"bias": nn.Linear(24, 40), "none": nn.Linear(24, 40, bias=False), "gpt2": made(40, 24)}
    return nn.ModuleDict({**layers, "own": Own(24, 40), "norm": nn.LayerNorm(24)}).to(dtype)


def slow(monkeypatch: pytest.MonkeyPatch, *, yes: bool) -> None:
    monkeypatch.setattr(wide_linear, "_is_slow", lambda weight: yes and weight.dtype is not torch.float32)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_products_are_those_of_float32_rounded_once(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, yes=True)
    model, exact = model_of(dtype), model_of(dtype).float()
    inputs = torch.randn(3, 5, 24).to(dtype)
    widen_slow_products(model)
    for name in ("bias", "none", "gpt2"):
        made = model[name](inputs)
        assert made.dtype is dtype
        assert torch.equal(made, exact[name](inputs.float()).to(dtype)), name


def test_layers_keep_weights_and_hooks_and_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, yes=True)
    model, seen = model_of(torch.bfloat16), list[str]()
    weights = {name: module.weight for name, module in model.items()}
    model["bias"].register_forward_hook(lambda *_: seen.append("bias"))
    widen_slow_products(model)
    kinds = [WideLinear, WideLinear, WideConv1D, Own, nn.LayerNorm]
    assert [type(module) for module in model.values()] == kinds
    assert all(module.weight is weights[name] for name, module in model.items())
    assert model["bias"](torch.zeros(1, 24, dtype=torch.bfloat16)).shape == (1, 40)
    assert seen == ["bias"]


def test_a_processor_that_can_is_left_to_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, yes=False)
    model = model_of(torch.bfloat16)
    widen_slow_products(model)
    assert type(model["bias"]) is nn.Linear


@pytest.mark.parametrize("supported", [True, False])
def test_torch_says_what_the_processor_can(supported: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)
    model, exact = model_of(torch.bfloat16), model_of(torch.float32)
    widen_slow_products(model)
    widen_slow_products(exact)
    assert type(model["bias"]) is (nn.Linear if supported else WideLinear)
    assert type(exact["bias"]) is nn.Linear


def test_gpt2_is_read_and_steered_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, yes=True)
    made: Any = Conv1D
    layer = made(40, 24).to(torch.bfloat16)
    before = input_rows(layer)
    widen_slow_products(layer)
    after = input_rows(layer)
    assert before is not None
    assert after is not None
    assert torch.equal(before, after)
    assert type(layer) is WideConv1D
