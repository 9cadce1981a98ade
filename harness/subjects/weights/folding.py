"""Steps that several readers take between the tensors as stored and the canonical ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["fold_scales", "transpose"]


def transpose(
    found: dict[str, torch.Tensor], *, names: tuple[str, ...] = ("w_enc", "w_dec")
) -> dict[str, torch.Tensor]:
    """Return the tensors with the matrices in ``names`` the other way round."""
    return {**found, **{name: found[name].T.contiguous() for name in names}}


def fold_scales(found: dict[str, torch.Tensor], scale_in: float, scale_out: float) -> dict[str, torch.Tensor]:
    """Return weights for plain hidden states, from weights for inputs and outputs multiplied by these factors."""
    if scale_in == scale_out == 1.0:
        return found
    return {
        **found,
        "w_enc": found["w_enc"] * scale_in,
        "w_dec": found["w_dec"] / scale_out,
        "b_dec": found["b_dec"] / scale_out,
    }
