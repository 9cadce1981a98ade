"""The tokenised corpus on disk, and the text of its tokens."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from harness.activations.artefact import damaged, load_array, mark_used, read_meta

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["FORMAT", "KIND", "Decoder", "TokenStore", "token_texts"]

KIND = "tokens"
FORMAT = 1
_BROKEN = "\N{REPLACEMENT CHARACTER}"
_TRANSFORMERS = ("transformers.tokenization_utils_base", "transformers.tokenization_utils_tokenizers")

Decode = Callable[[list[int]], str]


class Decoder(Protocol):
    """What is needed of a tokenizer to show tokens: the ``decode`` of the transformers library."""

    def decode(self, token_ids: list[int], **kwargs: Any) -> str:
        """Return the text of ``token_ids``."""


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
        self._decode = _decoding(decoder)
        self._joins = _joins(decoder)
        self._singles: dict[int, str] = {}
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
        if len(ids) == 1:
            return (self._single(int(ids[0])),)
        pieces = tuple(map(self._singles.get, ids))
        if None in pieces:
            pieces = tuple(self._single(int(token)) for token in ids)
        texts = cast("tuple[str, ...]", pieces)
        if self._joins and _BROKEN not in "".join(texts):
            return texts
        return _fitted(self._decode, [int(token) for token in ids], texts)

    def _single(self, token: int) -> str:
        text = self._singles.get(token)
        if text is None:
            text = self._singles[token] = self._decode([token])
        return text

    def _check(self) -> None:
        if self._tokens.size != self.meta["n_tokens"]:
            raise damaged(self.folder, f"{self._tokens.size} tokens where {self.meta['n_tokens']} were written")
        starts, documents = self._starts, self._documents
        fits = starts.size == documents.size + 1 and starts[0] == 0 and starts[-1] == self._tokens.size
        if not (fits and np.all(np.diff(starts) > 0) and np.all(np.diff(documents) >= 0)):
            raise damaged(self.folder, "its contexts do not cover its tokens")


def token_texts(decoder: Decoder, ids: Sequence[int]) -> tuple[str, ...]:
    """Return the text of each of ``ids``, such that joined they are the decoded text of all of them.

    A character that several tokens make together belongs to the one that completes it. The text is that of the
    tokenizer, unescaped: whoever shows it in a terminal, a prompt or HTML escapes it there.
    """
    ids = [int(token) for token in ids]
    decode = _decoding(decoder)
    return _fitted(decode, ids, tuple(decode([token]) for token in ids))


def _fitted(decode: Decode, ids: list[int], pieces: tuple[str, ...]) -> tuple[str, ...]:
    """Return ``pieces``, the text of each token by itself, if joined they are the text of all, and else such texts."""
    whole = decode(ids)
    # The common case, and the fast one: every token is a text of its own.
    if "".join(pieces) == whole and _BROKEN not in whole:
        return pieces
    return _by_prefix(decode, ids, whole)


def _by_prefix(decode: Decode, ids: list[int], whole: str) -> tuple[str, ...]:
    """Cut ``whole`` where the decoded text of each prefix stops agreeing with it.

    The decode of a prefix that ends inside a character ends in a replacement character, which is no part of ``whole``,
    so the character goes to the token that completes it.
    """
    pieces, done = [], 0
    for count in range(1, len(ids) + 1):
        prefix = whole if count == len(ids) else decode(ids[:count])
        agreed = max(done, _agreement(prefix, whole))
        pieces.append(whole[done:agreed])
        done = agreed
    return tuple(pieces)


def _agreement(prefix: str, whole: str) -> int:
    """Return how many characters the two texts have in common from the start."""
    if whole.startswith(prefix):
        return len(prefix)
    return next(at for at, (one, other) in enumerate(zip(prefix, f"{whole}\0", strict=False)) if one != other)


def _decoding(decoder: Decoder) -> Decode:
    """Return the decoder's plain decoding: special tokens shown, nothing cleaned up.

    Where that is the transformers library's own call of the tokenizers library, it is the latter's: the same text in a
    third of the time.
    """
    backend = _backend(decoder)
    if backend is not None:
        return partial(backend.decode, skip_special_tokens=False)
    return partial(decoder.decode, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def _joins(decoder: Decoder) -> bool:
    """Return whether texts of single tokens, each of whole characters, joined are always the text of all of them.

    So it is where tokens are strings of bytes and nothing else happens in decoding, as in byte-level BPE.
    """
    from tokenizers.decoders import ByteLevel  # noqa: PLC0415  -- only where there is a corpus

    backend = _backend(decoder)
    return backend is not None and type(backend.decoder) is ByteLevel


def _backend(decoder: Decoder) -> Any:
    """Return the tokenizer of the tokenizers library to which ``decoder`` only hands on, or None."""
    kind = type(decoder)
    methods = (getattr(kind, "decode", None), getattr(kind, "_decode", None))
    backend: Any = getattr(decoder, "backend_tokenizer", None)
    own = tuple(getattr(method, "__module__", None) for method in methods) == _TRANSFORMERS
    return backend if own else None
