"""Sentence embeddings for whatever needs them. Importing this package loads no model and no library of one."""

from __future__ import annotations

from harness.embedding.open import embedder_identity, open_embedder

__all__ = ["embedder_identity", "open_embedder"]
