"""Which features write in the same direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from harness.errors import FeatureSourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.subjects.protocol import FeatureSource

__all__ = ["nearest_directions"]


_AT_ONCE = 8192  # directions written out at a time: of a wide source all of them are gigabytes


@torch.inference_mode()
def nearest_directions(source: FeatureSource, features: Sequence[int], k: int) -> list[list[tuple[int, float]]]:
    """Return, for each of ``features``, the ``k`` others whose write directions have the largest cosine with its own.

    Largest first, of equal ones the lower number first; each with its cosine.

    Raises:
        FeatureSourceError: If the source writes no direction to the residual stream, or a feature is out of range.
    """
    own = _directions(source, features)
    numbers = torch.tensor(list(features), device=own.device)[:, None]
    best = torch.zeros((len(features), 0), device=own.device)
    whose = torch.zeros((len(features), 0), dtype=torch.int64, device=own.device)
    for start in range(0, source.n_features, _AT_ONCE):
        others = range(start, min(start + _AT_ONCE, source.n_features))
        found = own @ _directions(source, others).T
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


def _directions(source: FeatureSource, features: Sequence[int]) -> torch.Tensor:
    written = source.write_directions(features)
    if written is None:
        raise FeatureSourceError(f"a {source.kind} at {source.hookpoint} writes no direction to the residual stream")
    return torch.nn.functional.normalize(written.float(), dim=-1)
