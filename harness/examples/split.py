"""Which half of the corpus a document belongs to."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from harness.seeding import derive_seed

if TYPE_CHECKING:
    from harness.activations.protocol import TokenReader

__all__ = ["explain_documents"]

_DIGEST_BYTES = 8


def explain_documents(tokens: TokenReader, seed: int, share: float) -> np.ndarray:
    """Return whether each document is in the explain half (else it is in the score half), bool [n_documents].

    The half is decided by a seeded hash of the document's tokens, once for the whole corpus and the same for every
    feature. So the halves share no document, identical copies of a text are never in both, and a document keeps its
    half when others are added to the corpus.

    Args:
        tokens: The corpus.
        seed: Root seed.
        share: Expected share of documents in the explain half, 0 to 1.
    """
    key = derive_seed(seed, "split").to_bytes(_DIGEST_BYTES, "big")
    halves = np.zeros(tokens.n_documents, dtype=np.bool_)
    documents, first_context = np.unique(tokens.context_documents, return_index=True)
    starts = tokens.context_starts[first_context]
    ends = np.append(starts[1:], tokens.context_starts[-1])
    limit = share * 2.0 ** (8 * _DIGEST_BYTES)
    for document, start, end in zip(documents.tolist(), starts.tolist(), ends.tolist(), strict=True):
        content = tokens.tokens[start:end].astype("<u4").tobytes()
        digest = hashlib.blake2b(content, digest_size=_DIGEST_BYTES, key=key).digest()
        halves[document] = int.from_bytes(digest, "big") < limit
    return halves
