"""What a norm of a model computes: the formula behind its module, found by trying it out."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch

from harness.errors import SubjectError

__all__ = ["Norm", "norm_of"]

_EPSILONS = ("eps", "variance_epsilon", "epsilon")
_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Norm:
    """A norm over the width: ``(x - mean) / scale * gain + bias`` (LayerNorm) or ``x / scale * gain`` (RMSNorm).

    Attributes:
        centres: Whether the mean is taken off, as LayerNorm does.
        eps: Added to the mean square before its root, which is the scale.
        gain: The factor after the scale, [d], float32. In Gemma it is one plus the module's weight.
    """

    centres: bool
    eps: float
    gain: torch.Tensor

    def normalise(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return ``hidden`` [..., d] over its scale, float32: what the norm has before its gain and bias."""
        x = hidden.float()
        if self.centres:
            x = x - x.mean(dim=-1, keepdim=True)
        return x / (x.square().mean(dim=-1, keepdim=True) + self.eps).sqrt()


@torch.no_grad()
def norm_of(module: torch.nn.Module, path: str) -> Norm:
    """Return the formula of the norm ``module``, which is run once on made-up values.

    Classes of many names share two formulas and differ in whether the weight is the gain or the gain minus one, so
    what counts is which of these gives the module's own output.

    Args:
        module: The norm.
        path: Its path, for messages.

    Raises:
        SubjectError: If it is no LayerNorm or RMSNorm over the last dimension.
    """
    eps = next((value for name in _EPSILONS if isinstance(value := getattr(module, name, None), float)), None)
    weight = getattr(module, "weight", None)
    if eps is None or not isinstance(weight, torch.Tensor) or weight.ndim != 1:
        raise _no_norm(module, path)
    # Beside the module itself: its hooks must not see the trial, nor half precision blur it.
    twin = copy.deepcopy(module).float()
    bias = getattr(twin, "bias", None)
    generator = torch.Generator().manual_seed(0)
    # A mean far from 0 tells LayerNorm from RMSNorm, the small row shows what epsilon does.
    probe = (torch.randn(2, len(weight), generator=generator) + 1.0) * torch.tensor([[1.0], [0.01]])
    probe = probe.to(weight.device)
    try:
        found = twin.forward(probe)
    except (RuntimeError, TypeError, ValueError) as error:
        raise _no_norm(module, path) from error
    if not isinstance(found, torch.Tensor) or found.shape != probe.shape:
        raise _no_norm(module, path)
    gains = (weight.detach().float(), weight.detach().float() + 1.0)
    for norm in (Norm(centres, eps, gain) for centres in (True, False) for gain in gains):
        expected = norm.normalise(probe) * norm.gain + (bias if isinstance(bias, torch.Tensor) else 0.0)
        if torch.allclose(found, expected, atol=_TOLERANCE, rtol=_TOLERANCE):
            return norm
    raise _no_norm(module, path)


def _no_norm(module: torch.nn.Module, path: str) -> SubjectError:
    what = f"'{path}' ({type(module).__name__}) does not compute LayerNorm or RMSNorm"
    return SubjectError(what, hint="'normalized' is read at the input of a norm, as in ...post_attention_layernorm")
