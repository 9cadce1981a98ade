"""From documents to a tokenised corpus: cut into contexts, written once, found again by fingerprint."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from harness.activations.artefact import ArrayAppender, building, write_meta
from harness.activations.cachedir import CORPORA_FOLDER
from harness.activations.tokens import FORMAT, KIND, TokenStore
from harness.errors import ConfigError, CorpusError
from harness.identity import fingerprint, plain
from harness.progress import SILENT
from harness.subjects.tokenizing import encode_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from transformers import PreTrainedTokenizerBase

    from harness.activations.protocol import Document
    from harness.config.schema import CorpusTokens
    from harness.decoded import Decoder
    from harness.progress import Progress, ProgressTask
    from harness.registry.specs import CorpusSpec

__all__ = ["TokenStore", "cut_points", "open_tokens", "tokens_identity"]

_BATCH_DOCUMENTS = 64
_UINT16_VALUES = 1 << 16
_FILES = ("tokens.npy", "context_starts.npy", "context_documents.npy", "origins.jsonl")


def open_tokens(
    spec: CorpusSpec,
    config: Any,
    tokens: CorpusTokens,
    tokenizer: PreTrainedTokenizerBase,
    tokenizer_identity: Mapping[str, Any],
    cache: Path,
    progress: Progress = SILENT,
) -> TokenStore:
    """Return the tokenised corpus, made now if the cache does not hold it.

    Args:
        spec: The corpus reader.
        config: The reader's parameters as its own dataclass. A field named ``cache`` that is None is set to ``cache``.
        tokens: Budget, context length, BOS policy.
        tokenizer: The subject model's tokenizer.
        tokenizer_identity: Plain data that determines what it does.
        cache: The cache folder; the store goes to ``corpora/<fingerprint>`` in it.
        progress: Where to show the work.

    Raises:
        ConfigError: If the budget, lengths or BOS policy make no sense or the tokenizer has no BOS token.
        CorpusError: If no document is long enough to be used.
        MaterialError: If the cached store is damaged.
    """
    _check(tokens)
    config = _with_cache(config, cache)
    identity = tokens_identity(spec, config, tokens, tokenizer_identity)
    mark = fingerprint(identity)
    folder = cache / CORPORA_FOLDER / mark
    if not folder.exists():
        bos = _bos_token(tokens, tokenizer)
        with building(folder) as partial:
            sink = _Sink(partial, tokens, np.dtype(np.uint16 if len(tokenizer) <= _UINT16_VALUES else np.uint32))
            with progress.task("tokenising", tokens.n_tokens, "tokens") as bar:
                _fill(sink, spec.resolve_factory()(config), tokenizer, bos, bar)
            sink.finish({"identity": identity, "fingerprint": mark, "bos_token_id": bos}, spec.name)
        if sink.n_tokens < tokens.n_tokens:
            progress.say(f"corpus '{spec.name}' ended after {sink.n_tokens:,} of {tokens.n_tokens:,} tokens")
    return TokenStore(folder, cast("Decoder", tokenizer))


def tokens_identity(
    spec: CorpusSpec, config: Any, tokens: CorpusTokens, tokenizer_identity: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the plain data that determines a tokenised corpus: documents, tokenizer, cutting."""
    reader = {"name": spec.name, "version": spec.version, "documents": plain(spec.resolve_identity()(config))}
    cutting = {name: getattr(tokens, name) for name in ("n_tokens", "context_length", "bos", "min_document_tokens")}
    return {"kind": KIND, "format": FORMAT, "reader": reader, "tokenizer": plain(dict(tokenizer_identity)), **cutting}


def cut_points(length: int, context_length: int, min_tokens: int) -> list[int]:
    """Return the bounds of the contexts of a document of ``length`` tokens: [0, ..., end], or [0] if it has none.

    A tail shorter than ``min_tokens`` is left out.
    """
    points = list(range(0, length, context_length))
    kept = [point for point in points if min(length - point, context_length) >= min_tokens]
    return [*kept, min(kept[-1] + context_length, length)] if kept else [0]


@dataclass
class _Sink:
    """The files of a token store while they are written."""

    folder: Path
    tokens: CorpusTokens
    dtype: np.dtype[Any]
    n_tokens: int = 0
    n_documents: int = 0
    starts: list[int] = field(default_factory=list)
    documents: list[int] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(
        default_factory=lambda: {"short_documents": 0, "short_document_tokens": 0, "tail_tokens": 0, "bos_in_text": 0}
    )

    def __post_init__(self) -> None:
        self._ids = ArrayAppender(self.folder / _FILES[0], self.dtype)

    def full(self) -> bool:
        """Return whether the budget is spent."""
        return self.n_tokens >= self.tokens.n_tokens

    def add(self, ids: np.ndarray, origin: str) -> int:
        """Cut one document, write it, and return how many tokens were taken; the last one is cut at the budget."""
        points = cut_points(ids.size, self.tokens.context_length, self.tokens.min_document_tokens)
        if len(points) == 1:
            self.dropped["short_documents"] += 1
            self.dropped["short_document_tokens"] += ids.size
            return 0
        self.dropped["tail_tokens"] += ids.size - points[-1]
        taken = min(points[-1], self.tokens.n_tokens - self.n_tokens)
        opened = [point for point in points[:-1] if point < taken]
        self._ids.append(ids[:taken])
        self.starts += [self.n_tokens + point for point in opened]
        self.documents += [self.n_documents] * len(opened)
        self.origins.append(origin)
        self.n_documents += 1
        self.n_tokens += taken
        return taken

    def finish(self, meta: Mapping[str, Any], reader: str) -> None:
        """Write the indexes and ``meta.json``.

        Raises:
            CorpusError: If nothing was taken.
        """
        self._ids.close()
        if not self.n_tokens:
            short = self.dropped["short_documents"]
            found = f"all {short} documents are shorter than {self.tokens.min_document_tokens} tokens"
            raise CorpusError(
                f"the corpus is empty: {found if short else 'there are no documents in it'}",
                where=f"corpus '{reader}'",
                hint="check its path, or lower corpus.min_document_tokens" if short else "check its path",
            )
        np.save(self.folder / _FILES[1], np.array([*self.starts, self.n_tokens], dtype=np.int64))
        np.save(self.folder / _FILES[2], np.array(self.documents, dtype=np.int64))
        lines = "".join(json.dumps(origin) + "\n" for origin in self.origins)
        (self.folder / _FILES[3]).write_text(lines, encoding="utf-8")
        facts = {
            "kind": KIND,
            "format": FORMAT,
            "n_tokens": self.n_tokens,
            "n_documents": self.n_documents,
            "n_contexts": len(self.starts),
            "ended": "budget" if self.full() else "corpus",
            "dropped": self.dropped,
        }
        write_meta(self.folder, {**meta, **facts}, _FILES)


def _fill(
    sink: _Sink,
    documents: Iterable[Document],
    tokenizer: PreTrainedTokenizerBase,
    bos: int | None,
    bar: ProgressTask,
) -> None:
    stream = iter(documents)
    while not sink.full() and (batch := list(islice(stream, _BATCH_DOCUMENTS))):
        for document, ids in zip(batch, encode_texts(tokenizer, [d.text for d in batch]), strict=True):
            if sink.full():
                return
            if bos is not None and np.any(ids == bos):
                # Only tokenizers that cannot be told to read special tokens as text get here.
                sink.dropped["bos_in_text"] += int(np.sum(ids == bos))
                ids = ids[ids != bos]  # noqa: PLW2901  -- the document goes on without them
            if ids.size and int(ids.max()) > np.iinfo(sink.dtype).max:
                raise CorpusError(f"the tokenizer gives id {int(ids.max())}, beyond its stated vocabulary")
            bar.advance(sink.add(ids, document.origin))


def _bos_token(tokens: CorpusTokens, tokenizer: PreTrainedTokenizerBase) -> int | None:
    if tokens.bos == "none":
        return None
    bos = tokenizer.bos_token_id
    if not isinstance(bos, int):
        raise ConfigError("the subject model's tokenizer has no BOS token", hint="set corpus.bos=none")
    return bos


def _with_cache(config: Any, cache: Path) -> Any:
    if dataclasses.is_dataclass(config) and not isinstance(config, type) and getattr(config, "cache", "") is None:
        return dataclasses.replace(config, cache=str(cache))
    return config


def _check(tokens: CorpusTokens) -> None:
    if tokens.bos not in {"prepend", "none"}:
        raise ConfigError(f"unknown BOS policy '{tokens.bos}'", where="corpus.bos", hint="prepend or none")
    if tokens.n_tokens < 1 or tokens.context_length < 1:
        raise ConfigError("n_tokens and context_length must be at least 1", where="corpus")
    if not 1 <= tokens.min_document_tokens <= tokens.context_length:
        raise ConfigError(
            f"min_document_tokens is {tokens.min_document_tokens}, outside 1 to context_length"
            f" ({tokens.context_length})",
            where="corpus",
        )
