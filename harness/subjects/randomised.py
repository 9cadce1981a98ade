"""A subject model with its weights drawn anew: the control that has the architecture and has learnt nothing.

Heap et al. 2025 ("Sparse autoencoders can interpret randomly initialized transformers", arXiv 2501.17727) find scores
of explanations alike for trained and for random models, so that a benchmark should show both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from harness.seeding import derive_seed

if TYPE_CHECKING:
    from torch import nn

__all__ = ["randomise"]


@torch.no_grad()
def randomise(model: nn.Module, seed: int) -> None:
    """Draw every weight of ``model`` anew, in place, from a normal distribution of the tensor's own mean and spread.

    Each tensor has its own generator, named by the parameter, so a draw depends on no other tensor; tied weights stay
    tied. Draws are made in float32 on the CPU and are the same for every type and device. Constant tensors stay as they
    are (their spread is 0); buffers, which are not learnt, are left alone.
    """
    for name, parameter in model.named_parameters():
        values = parameter.float()
        variance, mean = torch.var_mean(values, correction=0)
        rng = torch.Generator().manual_seed(derive_seed(seed, "randomised weights", name))
        drawn = torch.randn(parameter.shape, generator=rng) * variance.sqrt().cpu() + mean.cpu()
        parameter.copy_(drawn.to(parameter.dtype))
