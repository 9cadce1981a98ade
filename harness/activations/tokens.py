"""The tokenised corpus on disk, and the text of its tokens."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.activations.artefact import damaged, load_array, mark_used, read_meta
from harness.decoded import TokenTexts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.decoded import Decoder

__all__ = ["FORMAT", "KIND", "TokenStore"]

KIND = "tokens"
FORMAT = 1


class TokenStore:
    """A corpus, tokenised once for one tokenizer: the ``TokenReader`` that lives in a folder.

    Args:
        folder: Where it was written.
        decoder: The tokenizer that made it.
        fingerprint: The fingerprint it must have; the folder's name if not given.

    Raises:
        MaterialError: If the folder holds something else, or is damaged.
    """

    def __init__(self, folder: Path, decoder: Decoder, fingerprint: str | None = None) -> None:
        self.folder = folder
        self.meta = read_meta(folder, kind=KIND, format_version=FORMAT, fingerprint=fingerprint)
        self._texts = TokenTexts(decoder)
        self._tokens = load_array(folder, "tokens.npy")
        self._starts = load_array(folder, "context_starts.npy")
        self._documents = load_array(folder, "context_documents.npy")
        self._check()
        mark_used(folder)

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the documents, the tokenizer and the cutting."""
        return str(self.meta["fingerprint"])

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return the plain data that ``fingerprint`` is of."""
        identity: dict[str, Any] = self.meta["identity"]
        return identity

    @property
    def tokens(self) -> np.ndarray:
        """Return all token ids, memory-mapped, uint16 or uint32 [n_tokens]."""
        return self._tokens

    @property
    def context_starts(self) -> np.ndarray:
        """Return the first position of every context, plus one past the last: int64 [n_contexts + 1], ascending."""
        return self._starts

    @property
    def context_documents(self) -> np.ndarray:
        """Return the document of every context: int64 [n_contexts], ascending."""
        return self._documents

    @property
    def n_tokens(self) -> int:
        """Return how many tokens there are."""
        return int(self._tokens.size)

    @property
    def n_documents(self) -> int:
        """Return how many documents there are (those that were too short are not among them)."""
        return int(self.meta["n_documents"])

    @property
    def bos_token_id(self) -> int | None:
        """Return the token fed to the model before every context, or None if there is none."""
        bos: int | None = self.meta["bos_token_id"]
        return bos

    @property
    def dropped(self) -> Mapping[str, int]:
        """Return how much of the documents was left out, by reason."""
        dropped: dict[str, int] = self.meta["dropped"]
        return dropped

    @cached_property
    def origins(self) -> tuple[str, ...]:
        """Return where each document came from, as its reader said."""
        lines = (self.folder / "origins.jsonl").read_text(encoding="utf-8").splitlines()
        return tuple(json.loads(line) for line in lines)

    def token_texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return the text of each token; joined they are the decoded text (see ``Example.tokens``)."""
        return self._texts.of(ids)

    def _check(self) -> None:
        if self._tokens.size != self.meta["n_tokens"]:
            raise damaged(self.folder, f"{self._tokens.size} tokens where {self.meta['n_tokens']} were written")
        starts, documents = self._starts, self._documents
        fits = starts.size == documents.size + 1 and starts[0] == 0 and starts[-1] == self._tokens.size
        if not (fits and np.all(np.diff(starts) > 0) and np.all(np.diff(documents) >= 0)):
            raise damaged(self.folder, "its contexts do not cover its tokens")
