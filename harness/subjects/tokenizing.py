"""From texts to token ids, in the one way in which corpora and texts of scorers are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from transformers import PreTrainedTokenizerBase

__all__ = ["encode_texts"]


def encode_texts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> Iterator[np.ndarray]:
    """Yield the ids of each text, int64, without BOS. ``<|im_start|>`` and the like in a text are text."""
    clean = [_without_lone_surrogates(text) for text in texts]
    encoded = tokenizer(
        clean, add_special_tokens=False, split_special_tokens=True, return_attention_mask=False, verbose=False
    )
    for ids in encoded["input_ids"]:
        yield np.asarray(ids, dtype=np.int64)


def _without_lone_surrogates(text: str) -> str:
    """Return ``text`` with what UTF-8 cannot hold (JSON can) as replacement characters."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
