"""Features that are one side of a signed value: which side, which of them are kept, how an intervention moves them."""

from __future__ import annotations

import torch

from harness.subjects.protocol import InterventionMode, SparseActivations
from harness.subjects.steering import changed_values

__all__ = ["by_polarity", "keep", "signed_change"]


def by_polarity(values: torch.Tensor, polarity: str) -> torch.Tensor:
    """Return the features ``max(v, 0)``, ``max(-v, 0)`` or ``|v|`` of signed values ``v``, float32, of their shape."""
    values = values.float()
    if polarity == "absolute":
        return values.abs()
    return torch.relu(values if polarity == "positive" else -values)


def keep(features: torch.Tensor, top_k: int | None, threshold: float | None) -> SparseActivations:
    """Return what is kept of features [N, n_features], none of them negative, with a count of the active ones left out.

    Args:
        features: Their values.
        top_k: Keep the k largest active ones of each row, or None.
        threshold: Without ``top_k``, keep what is above this.
    """
    active = int((features > 0).sum())
    if top_k is not None:
        top, index = features.topk(min(top_k, features.shape[-1]), dim=-1)
        kept, reason = torch.zeros_like(features).scatter(-1, index, top), "outside_top_k"
    else:
        kept, reason = torch.where(features > (threshold or 0.0), features, 0.0), "below_threshold"
    row, feature = kept.nonzero(as_tuple=True)
    return SparseActivations(row, feature, kept[row, feature], {reason: active - len(row)})


def signed_change(values: torch.Tensor, polarity: str, mode: InterventionMode, strength: float) -> torch.Tensor:
    """Return what an intervention adds to signed values ``v``, a new float32 tensor of their shape.

    With ``v = sign * f`` where the feature is active: ADD gives ``v + sign * s``; SET gives ``sign * s`` everywhere;
    SCALE and ABLATE act where it is active and leave it alone where it is not. ``sign`` is -1 for negative polarity and
    1 otherwise (for absolute polarity SCALE keeps the sign of ``v``).
    """
    values = values.float()
    sign = -1.0 if polarity == "negative" else 1.0
    new = sign * changed_values(sign * values, mode, strength)
    if mode in {InterventionMode.SCALE, InterventionMode.ABLATE}:
        new = torch.where(by_polarity(values, polarity) > 0, new, values)
    return new - values
