"""Steps that several readers take between the tensors as stored and the canonical ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import FeatureSourceError

if TYPE_CHECKING:
    import torch

    from harness.subjects.weights.header import SourceHeader

__all__ = ["fold_scales", "transpose"]


def transpose(
    found: dict[str, torch.Tensor], header: SourceHeader, *, names: tuple[str, ...] = ("w_enc", "w_dec")
) -> dict[str, torch.Tensor]:
    """Return the tensors with the matrices in ``names`` the other way round.

    Raises:
        FeatureSourceError: If one of them is no matrix.
    """
    for name in names:
        if found[name].ndim != 2:  # noqa: PLR2004  -- a matrix
            message = f"{name} has shape {tuple(found[name].shape)}, expected a matrix"
            raise FeatureSourceError(message, where=str(header.weights))
    return {**found, **{name: found[name].T.contiguous() for name in names}}


def fold_scales(found: dict[str, torch.Tensor], scale_in: float, scale_out: float) -> dict[str, torch.Tensor]:
    """Return weights for plain hidden states, from weights for inputs and outputs multiplied by these factors."""
    return {
        **found,
        "w_enc": found["w_enc"] * scale_in,
        "w_dec": found["w_dec"] / scale_out,
        "b_dec": found["b_dec"] / scale_out,
    }
