"""Matrix products of 16-bit models on processors that have no instructions for them.

There, a product of bfloat16 matrices takes six times as long as the same one in float32. So it is computed in float32
and rounded to the model's own type, which is what processors with such instructions do: sums are kept in float32 there
too. Weights and hidden states stay in the model's type; one layer's weights at a time are widened.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

__all__ = ["widen_slow_products"]


class WideLinear(nn.Linear):
    """A linear layer whose product is computed in float32."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002  -- torch's name
        """Return [..., out] in the input's type."""
        bias = None if self.bias is None else self.bias.float()
        return functional.linear(input.float(), self.weight.float(), bias).to(input.dtype)


class WideConv1D(Conv1D):
    """GPT-2's linear layer, whose weight lies the other way round, with its product computed in float32."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return [..., out] in the input's type."""
        return functional.linear(x.float(), self.weight.float().t(), self.bias.float()).to(x.dtype)


_WIDE: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: WideLinear, Conv1D: WideConv1D}


def widen_slow_products(model: nn.Module) -> None:
    """Have the linear layers of ``model`` compute in float32 where this processor has nothing for their own type.

    Layers keep their paths, weights and hooks. Layers of a model's own making, and those whose weights are no plain
    tensors (quantised ones), are left as they are.
    """
    for module in model.modules():
        wide = _WIDE.get(type(module))
        weight = getattr(module, "weight", None)
        if wide is not None and type(weight) is nn.Parameter and type(weight.data) is torch.Tensor and _is_slow(weight):
            module.__class__ = wide


def _is_slow(weight: torch.Tensor) -> bool:
    onednn: Any = torch.backends.mkldnn
    if weight.device.type != "cpu" or not onednn.is_available():
        return False
    # What torch itself asks before it hands a product to oneDNN rather than to its own loops.
    asked = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}.get(weight.dtype)
    supported = None if asked is None else getattr(torch.ops.mkldnn, asked, None)
    return supported is not None and not supported()
