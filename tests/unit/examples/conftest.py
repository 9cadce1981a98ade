"""A corpus and activations that are written down, behind the protocols the examples room reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.activations.protocol import FeatureActivations
from harness.errors import FeatureSourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass
class WrittenTokens:
    """Contexts of given lengths and documents; the text of token ``7`` is ``" t7"``."""

    contexts: list[tuple[int, int]]
    """Document and length of each context."""
    tokens: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.uint16))
    fingerprint: str = "corpus"

    def __post_init__(self) -> None:
        lengths = [length for _, length in self.contexts]
        self.context_starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.context_documents = np.array([document for document, _ in self.contexts], dtype=np.int64)
        if not self.tokens.size:
            draws = np.random.default_rng(0)
            self.tokens = draws.integers(0, 50, int(self.context_starts[-1])).astype(np.uint16)

    @property
    def identity(self) -> Mapping[str, Any]:
        return {}

    @property
    def n_documents(self) -> int:
        return max((document for document, _ in self.contexts), default=-1) + 1

    def token_texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        return tuple(f" t{token}" for token in ids)


@dataclass
class WrittenActivations:
    """Activations of each feature as position -> value."""

    features: list[dict[int, float]]
    n_tokens: int = 1000
    fingerprint: str = "activations"
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_features(self) -> int:
        return len(self.features)

    def feature(self, index: int) -> FeatureActivations:
        if not 0 <= index < self.n_features:
            raise FeatureSourceError(f"there is no feature {index}")
        items = sorted(self.features[index].items())
        return FeatureActivations(
            np.array([position for position, _ in items], dtype=np.int64),
            np.array([value for _, value in items], dtype=np.float32),
        )

    def counts(self) -> np.ndarray:
        return np.array([len(feature) for feature in self.features], dtype=np.int64)


@pytest.fixture
def written_tokens() -> type[WrittenTokens]:
    return WrittenTokens


@pytest.fixture
def written_activations() -> type[WrittenActivations]:
    return WrittenActivations
