"""Which features write, or are read, in the same direction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from harness.errors import FeatureSourceError
from harness.subjects.protocol import ReadsDirections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.subjects.protocol import FeatureSource

__all__ = ["DirectionSide", "nearest_directions", "require_directions"]

DirectionSide = Literal["read", "write"]

_AT_ONCE = 8192  # directions written out at a time: of a wide source all of them are gigabytes


@torch.inference_mode()
def nearest_directions(
    source: FeatureSource, features: Sequence[int], k: int, side: DirectionSide = "write"
) -> list[list[tuple[int, float]]]:
    """Return, for each of ``features``, the ``k`` others whose directions have the largest cosine with its own.

    Largest first, of equal ones the lower number first; each with its cosine.

    Args:
        source: The features.
        features: Those whose neighbours are wanted.
        k: How many of each one's neighbours are wanted.
        side: Whether to compare what features write to the residual stream, or the directions they are read along.

    Raises:
        FeatureSourceError: If the source has no such directions, or a feature is out of range.
    """
    own = _directions(source, features, side)
    numbers = torch.tensor(list(features), device=own.device)[:, None]
    best = torch.zeros((len(features), 0), device=own.device)
    whose = torch.zeros((len(features), 0), dtype=torch.int64, device=own.device)
    for start in range(0, source.n_features, _AT_ONCE):
        others = range(start, min(start + _AT_ONCE, source.n_features))
        found = own @ _directions(source, others, side).T
        index = torch.tensor(others, device=own.device).expand(len(features), -1)
        # Those kept so far have lower numbers and come first, so that of equal ones they stay first.
        best = torch.cat([best, found.masked_fill(index == numbers, -torch.inf)], dim=1)
        whose = torch.cat([whose, index], dim=1)
        order = torch.sort(best, dim=1, descending=True, stable=True).indices[:, : min(k, source.n_features - 1)]
        best, whose = best.gather(1, order), whose.gather(1, order)
    return [
        [(int(other), float(cosine)) for other, cosine in zip(row, cosines, strict=True) if cosine > -torch.inf]
        for row, cosines in zip(whose, best, strict=True)
    ]


def require_directions(source: FeatureSource, side: DirectionSide) -> None:
    """Check that the features of a source have directions of one side.

    Raises:
        FeatureSourceError: If they have none.
    """
    _directions(source, [0], side)


def _directions(source: FeatureSource, features: Sequence[int], side: DirectionSide) -> torch.Tensor:
    if side == "write":
        found = source.write_directions(features)
    else:
        found = source.read_directions(features) if isinstance(source, ReadsDirections) else None
    if found is None:
        what = "writes no direction to the residual stream" if side == "write" else "reads its features along none"
        raise FeatureSourceError(f"a {source.kind} at {source.hookpoint} {what}")
    return torch.nn.functional.normalize(found.float(), dim=-1)
