"""The embedder of a run: its identity at once, its model when the first text comes."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from harness.errors import UnknownNameError
from harness.materials.checkpoint import checkpoint_identity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from harness.config.schema import EmbedderConfig
    from harness.embedding.transformer import TextEncoder

__all__ = ["POOLINGS", "LazyEmbedder", "embedder_identity", "open_embedder"]

POOLINGS = ("mean", "cls")


def open_embedder(config: EmbedderConfig, cache: Path) -> LazyEmbedder:
    """Return the embedder of ``config``; its model is fetched and loaded when it is first used.

    Raises:
        UnknownNameError: If the pooling is unknown.
        MaterialError: If the model does not exist.
    """
    return LazyEmbedder(config, cache)


def embedder_identity(config: EmbedderConfig) -> dict[str, Any]:
    """Return plain data that determines the vectors, without loading or fetching the model.

    ``query_instruction`` is part of it because a scorer puts it before its queries; ``embed`` itself adds nothing.

    Raises:
        UnknownNameError: If the pooling is unknown.
        MaterialError: If the model does not exist.
    """
    if config.pooling not in POOLINGS:
        raise UnknownNameError("pooling", config.pooling, POOLINGS, where="embedder.pooling")
    return {
        "weights": checkpoint_identity(config.path, config.revision, config.sha256),
        "pooling": config.pooling,
        "query_instruction": config.query_instruction,
        "max_tokens": config.max_tokens,
        "dtype": "float32",
    }


class LazyEmbedder:
    """An ``Embedder`` that works in a thread of its own, so that the event loop goes on, and remembers its vectors.

    Args:
        config: Which model, and how its hidden states become one vector.
        cache: Root of the cache, for models that come as materials.
    """

    def __init__(self, config: EmbedderConfig, cache: Path) -> None:
        self._config = config
        self._cache = cache
        self._identity = embedder_identity(config)
        self._encoder: TextEncoder | None = None
        self._known: dict[str, np.ndarray] = {}
        self._one_at_a_time = threading.Lock()

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return plain data that determines the vectors."""
        return self._identity

    async def embed(self, texts: tuple[str, ...]) -> np.ndarray:
        """Return float32 unit vectors [len(texts), d]; the same text gives the same bits whatever its company.

        Raises:
            MaterialError: If the model cannot be fetched.
            SubjectError: If it cannot be loaded.
        """
        return await asyncio.to_thread(self.vectors, texts)

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Return what ``embed`` does, at once.

        Raises:
            MaterialError: If the model cannot be fetched.
            SubjectError: If it cannot be loaded.
        """
        with self._one_at_a_time:
            if self._encoder is None:
                from harness.embedding.transformer import load_encoder  # noqa: PLC0415  -- keeps torch out until used

                self._encoder = load_encoder(self._config, self._cache)
            for text in texts:
                if text not in self._known:
                    self._known[text] = self._encoder.vector(text)
            return self._encoder.stack([self._known[text] for text in texts])
