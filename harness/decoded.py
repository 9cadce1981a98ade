"""The text of tokens, such that joined they are the text of all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Decoder", "TokenTexts", "decoding", "token_texts"]

_BROKEN = "\N{REPLACEMENT CHARACTER}"
_TRANSFORMERS = ("transformers.tokenization_utils_base", "transformers.tokenization_utils_tokenizers")

Decode = Callable[[list[int]], str]


class Decoder(Protocol):
    """What is needed of a tokenizer to show tokens: the ``decode`` of the transformers library."""

    def decode(self, token_ids: list[int], **kwargs: Any) -> str:
        """Return the text of ``token_ids``."""


class TokenTexts:
    """Shows tokens of one tokenizer and remembers what each is by itself.

    Args:
        decoder: The tokenizer.
    """

    def __init__(self, decoder: Decoder) -> None:
        self.joins = _joins(decoder)
        self._decode = decoding(decoder)
        # By token, None where it was not shown yet: of a table windows are taken in one step, and a corpus has many.
        self._singles: list[str | None] = []

    def of(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return the text of each of ``ids``; joined they are the decoded text."""
        if len(ids) < 2:  # noqa: PLR2004  -- of one, `itemgetter` gives no tuple
            return tuple(self.single(int(token)) for token in ids)
        try:
            pieces: tuple[str | None, ...] = itemgetter(*ids)(self._singles)
        except IndexError:
            pieces = (None,)
        if None in pieces:
            pieces = tuple(self.single(int(token)) for token in ids)
        texts = cast("tuple[str, ...]", pieces)
        if self.joins and _BROKEN not in "".join(texts):
            return texts
        return _fitted(self._decode, [int(token) for token in ids], texts)

    def single(self, token: int) -> str:
        """Return the text of one token by itself."""
        if token >= len(self._singles):
            self._singles.extend([None] * (token + 1 - len(self._singles)))
        text = self._singles[token]
        if text is None:
            text = self._singles[token] = self._decode([token])
        return text


def token_texts(decoder: Decoder, ids: Sequence[int]) -> tuple[str, ...]:
    """Return the text of each of ``ids``, such that joined they are the decoded text of all of them.

    A character that several tokens make together belongs to the one that completes it. The text is that of the
    tokenizer, unescaped: whoever shows it in a terminal, a prompt or HTML escapes it there.
    """
    ids = [int(token) for token in ids]
    decode = decoding(decoder)
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


def decoding(decoder: Decoder) -> Decode:
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
