"""Parameters of the embedding scorers."""

from __future__ import annotations

from dataclasses import dataclass

from harness.api import ExampleNeeds

__all__ = ["EmbeddingConfig", "ExampleEmbeddingConfig", "example_needs", "example_needs_of_examples"]


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


def example_needs(config: EmbeddingConfig) -> ExampleNeeds:  # noqa: ARG001  -- the protocol's signature
    """Return what AUROC takes: a window on each side."""
    return ExampleNeeds(non_activating=1)


def example_needs_of_examples(config: ExampleEmbeddingConfig) -> ExampleNeeds:  # noqa: ARG001  -- as above
    """Return what a comparison takes: two activating windows and a silent one."""
    return ExampleNeeds(activating=2, non_activating=1)
