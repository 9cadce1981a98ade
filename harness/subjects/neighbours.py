"""Which features write in the same direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from harness.errors import FeatureSourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.subjects.protocol import FeatureSource

__all__ = ["nearest_directions"]


@torch.inference_mode()
def nearest_directions(source: FeatureSource, features: Sequence[int], k: int) -> list[list[tuple[int, float]]]:
    """Return, for each of ``features``, the ``k`` others whose write directions have the largest cosine with its own.

    Largest first, of equal ones the lower number first; each with its cosine.

    Raises:
        FeatureSourceError: If the source writes no direction to the residual stream, or a feature is out of range.
    """
    written = source.write_directions(range(source.n_features))
    if written is None:
        raise FeatureSourceError(f"a {source.kind} at {source.hookpoint} writes no direction to the residual stream")
    directions = torch.nn.functional.normalize(written.float(), dim=-1)
    cosines = directions[list(features)] @ directions.T
    cosines[torch.arange(len(features)), list(features)] = -torch.inf
    found = []
    for row in cosines:
        order = torch.sort(row, descending=True, stable=True).indices[: min(k, source.n_features - 1)]
        found.append([(int(other), float(row[other])) for other in order])
    return found
