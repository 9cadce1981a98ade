"""The sources of negatives by name, and how many windows each gives. Importing this loads no NumPy."""

from __future__ import annotations

import dataclasses
import math
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.examples.record import ExampleKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.config.schema import NegativesConfig
    from harness.examples.record import FeatureRecord

__all__ = [
    "BY_DIRECTION",
    "COOCCURRING",
    "DECODER",
    "ENCODER",
    "KINDS",
    "RANDOM",
    "SIMILAR",
    "found_of",
    "hard_sources",
    "shares",
    "uses_embedder",
]

RANDOM, DECODER, ENCODER = "random", "decoder_neighbours", "encoder_neighbours"
COOCCURRING, SIMILAR = "cooccurring", "similar"

KINDS: Mapping[str, ExampleKind] = MappingProxyType(
    {
        RANDOM: ExampleKind.RANDOM,
        DECODER: ExampleKind.DECODER_NEIGHBOUR,
        ENCODER: ExampleKind.ENCODER_NEIGHBOUR,
        COOCCURRING: ExampleKind.COOCCURRING,
        SIMILAR: ExampleKind.SIMILAR,
    }
)
"""The kind of the examples of each source, in the order in which the sources choose."""

BY_DIRECTION = (DECODER, ENCODER)
"""Sources that compare directions of features."""


def hard_sources(config: NegativesConfig) -> tuple[str, ...]:
    """Return the sources of a weight above 0 other than ``random``, in the order in which they choose."""
    return tuple(source for source in KINDS if source != RANDOM and getattr(config, source) > 0)


def uses_embedder(config: NegativesConfig) -> bool:
    """Return whether some of the windows are chosen by their embeddings."""
    return config.similar > 0


def shares(config: NegativesConfig, count: int) -> dict[str, int]:
    """Return how many of ``count`` windows each source gives, by largest remainder; of equal ones the earlier source's.

    Args:
        config: The weights, not all of them 0.
        count: How many there are to be.
    """
    weights: dict[str, float] = dataclasses.asdict(config)
    total = math.fsum(weights.values())
    quotas = {source: count * (weights[source] / total) for source in KINDS}
    given = {source: int(quota) for source, quota in quotas.items()}
    missing = count - sum(given.values())
    by_remainder = sorted(KINDS, key=lambda source: given[source] - quotas[source])
    for source in by_remainder[:missing]:
        given[source] += 1
    return given


def found_of(records: Sequence[FeatureRecord], source: str) -> list[int]:
    """Return how many negatives of a source each record has in its score half."""
    return [sum(example.kind is KINDS[source] for example in record.score.non_activating) for record in records]
