"""JSON Lines as documents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.activations.protocol import Document
from harness.activations.readers.files import corpus_files, files_identity, open_bytes
from harness.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.activations.readers.config import JsonlCorpusConfig

__all__ = ["identity", "read"]


def read(config: JsonlCorpusConfig) -> Iterator[Document]:
    """Yield one document per line; blank lines and empty texts are passed over.

    Raises:
        CorpusError: If a line is no JSON object with the text field; the error names file and line.
    """
    for path in _files(config):
        with open_bytes(path) as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    document = _document(line, config, path, number)
                    if document.text.strip():
                        yield document


def identity(config: JsonlCorpusConfig) -> dict[str, Any]:
    """Return what determines the documents: the files' digests and the field."""
    files = files_identity(config.path, config.pattern, sha256=config.sha256, cache=config.cache)
    return {**files, "text_field": config.text_field}


def _files(config: JsonlCorpusConfig) -> list[Path]:
    return corpus_files(config.path, config.pattern, sha256=config.sha256, cache=config.cache)


def _document(line: bytes, config: JsonlCorpusConfig, path: Path, number: int) -> Document:
    where = f"{path}:{number}"
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"is not JSON: {error}", where=where) from error
    if not isinstance(fields, dict):
        raise CorpusError(f"is a JSON {type(fields).__name__} where an object is expected", where=where)
    text = fields.get(config.text_field)
    if not isinstance(text, str):
        kind = "has no" if config.text_field not in fields else "has no text in"
        names = ", ".join(sorted(map(str, fields))) or "none"
        raise CorpusError(
            f"{kind} field '{config.text_field}'", where=where, hint=f"set corpus.text_field; its fields: {names}"
        )
    return Document(text, str(fields.get(config.id_field, f"{path.name}:{number}")))
