"""Parameters of the embedding scorers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EmbeddingConfig", "ExampleEmbeddingConfig"]


@dataclass(frozen=True)
class EmbeddingConfig:
    """What is put before the explanation when it is embedded.

    Attributes:
        query_instruction: Text before the explanation; None takes the one configured for the embedder.
    """

    query_instruction: str | None = None


@dataclass(frozen=True)
class ExampleEmbeddingConfig:
    """Nothing can be set: all windows of the record are compared, as they are."""
