"""Plain text files as documents."""

from __future__ import annotations

import codecs
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.activations.protocol import Document
from harness.activations.readers.files import corpus_files, files_identity, open_bytes
from harness.errors import ConfigError, CorpusError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from harness.activations.readers.config import TextCorpusConfig

__all__ = ["identity", "read"]

_BLOCK = 1 << 20
_SPLITS = ("file", "blank_line", "separator")


def read(config: TextCorpusConfig) -> Iterator[Document]:
    """Yield the documents of the files in the order of their names; documents without text are passed over.

    Raises:
        CorpusError: If there are no files, or one cannot be read or decoded.
    """
    _check(config)
    for path in _files(config):
        pieces = _pieces(_characters(path, config.encoding), config)
        for number, piece in enumerate(pieces, start=1):
            if piece.strip():
                yield Document(piece, path.name if config.split == "file" else f"{path.name}#{number}")


def identity(config: TextCorpusConfig) -> dict[str, Any]:
    """Return what determines the documents: the files' digests and how they are divided."""
    _check(config)
    divided = {"split": config.split, "separator": config.separator if config.split == "separator" else ""}
    files = files_identity(config.path, config.pattern, sha256=config.sha256, cache=config.cache)
    return {**files, "encoding": config.encoding, **divided}


def _files(config: TextCorpusConfig) -> list[Path]:
    return corpus_files(config.path, config.pattern, sha256=config.sha256, cache=config.cache)


def _characters(path: Path, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    done = 0
    with open_bytes(path) as stream:
        try:
            for block in iter(partial(stream.read, _BLOCK), b""):
                yield decoder.decode(block)
                done += len(block)
            yield decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"is not {encoding} text: {error.reason} near byte {done + error.start}",
                where=str(path),
                hint="set corpus.encoding",
            ) from error


def _pieces(blocks: Iterable[str], config: TextCorpusConfig) -> Iterator[str]:
    if config.split == "file":
        yield "".join(blocks)
    elif config.split == "separator":
        yield from _between(blocks, config.separator)
    else:
        yield from _paragraphs(blocks)


def _between(blocks: Iterable[str], separator: str) -> Iterator[str]:
    rest = ""
    for block in blocks:
        *whole, rest = (rest + block).split(separator)
        yield from whole
    yield rest


def _paragraphs(blocks: Iterable[str]) -> Iterator[str]:
    lines: list[str] = []
    for line in _between(blocks, "\n"):
        if line.strip():
            lines.append(line)
        elif lines:
            yield "\n".join(lines)
            lines = []
    yield "\n".join(lines)


def _check(config: TextCorpusConfig) -> None:
    if config.split not in _SPLITS:
        raise UnknownNameError("way to split", config.split, _SPLITS, where="corpus.split")
    if config.split == "separator" and not config.separator:
        raise ConfigError("split is 'separator' and no separator is given", where="corpus.separator")
    try:
        codecs.lookup(config.encoding)
    except LookupError as error:
        raise ConfigError(f"unknown encoding '{config.encoding}'", where="corpus.encoding") from error
