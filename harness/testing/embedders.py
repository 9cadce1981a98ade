"""A sentence embedder without a model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

__all__ = ["FakeEmbedder"]

_WORD = re.compile(r"\w+")


class FakeEmbedder:
    """Embeds a text as the normalised sum of one fixed random direction per distinct word.

    Texts that share words are near each other, so an explanation naming the planted word really scores better.
    """

    def __init__(self, *, width: int = 64, query_instruction: str = "") -> None:
        self.width = width
        self.query_instruction = query_instruction

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return plain data that determines the vectors."""
        return {"model": "fake words", "width": self.width, "query_instruction": self.query_instruction}

    async def embed(self, texts: tuple[str, ...]) -> np.ndarray:
        """Return float32 unit vectors [len(texts), width]; a text without words gets the zero vector."""
        import numpy as np  # noqa: PLC0415  -- keeps importing the kit light

        return np.stack([self._vector(text) for text in texts])

    def _vector(self, text: str) -> np.ndarray:
        import numpy as np  # noqa: PLC0415  -- as above

        total = np.zeros(self.width)
        for word in sorted(set(_WORD.findall(text.lower()))):
            total += generator(0, "fake word", word).standard_normal(self.width)
        length = float(np.linalg.norm(total))
        return (total / length if length else total).astype(np.float32)
