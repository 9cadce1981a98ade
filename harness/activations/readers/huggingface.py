"""Datasets of the Hugging Face hub, or local folders in its forms, streamed by the ``datasets`` library."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.activations.protocol import Document
from harness.errors import CorpusError
from harness.materials import path_digest
from harness.materials.hub import hub_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.activations.readers.config import HuggingFaceCorpusConfig

__all__ = ["identity", "read"]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT_S = 10.0
_UNREACHABLE = "check the name and the network; corpus=text and corpus=jsonl read local files"


def read(config: HuggingFaceCorpusConfig) -> Iterator[Document]:
    """Yield the rows of a split as documents, in order; rows without text are passed over.

    Raises:
        CorpusError: If the library is not installed, or the dataset cannot be reached or has no such column.
    """
    try:
        import datasets  # noqa: PLC0415  -- an optional extra
    except ImportError as error:
        raise CorpusError(
            "the datasets library is not installed",
            where=config.path,
            hint="pip install 'autointerp-harness[datasets]'",
        ) from error
    local = Path(config.path).expanduser()
    place, revision = (str(local), None) if local.exists() else (config.path, _commit(config))
    try:
        rows = datasets.load_dataset(place, config.name, split=config.split, revision=revision, streaming=True)
        for number, row in enumerate(rows):
            text = _text(row, config)
            if text.strip():
                yield Document(text, f"{config.path}/{config.split}:{number}")
    # That library raises errors of a dozen kinds, its own and its readers'; all of them mean that the corpus fails.
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise CorpusError(f"the dataset cannot be read: {error}", where=config.path, hint=_UNREACHABLE) from error


def identity(config: HuggingFaceCorpusConfig) -> dict[str, Any]:
    """Return what determines the documents: the dataset's commit (a local folder's digest), split and column.

    Raises:
        CorpusError: If the hub does not say which commit is meant.
    """
    local = Path(config.path).expanduser()
    content = {"sha256": path_digest(local)} if local.exists() else {"hub": config.path, "revision": _commit(config)}
    return {**content, "name": config.name, "split": config.split, "text_field": config.text_field}


def _text(row: dict[str, Any], config: HuggingFaceCorpusConfig) -> str:
    text = row.get(config.text_field)
    if not isinstance(text, str):
        columns = ", ".join(sorted(map(str, row)))
        raise CorpusError(
            f"there is no text in column '{config.text_field}'",
            where=config.path,
            hint=f"set corpus.text_field; its columns: {columns}",
        )
    return text


def _commit(config: HuggingFaceCorpusConfig) -> str:
    if config.revision is not None and _COMMIT.fullmatch(config.revision):
        return config.revision
    from huggingface_hub import HfApi  # noqa: PLC0415  -- listings and local corpora do without the hub client

    try:
        commit = HfApi().dataset_info(config.path, revision=config.revision, timeout=_TIMEOUT_S).sha
    except hub_errors() as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CorpusError(f"the hub gives no such dataset: {reason}", where=config.path, hint=_UNREACHABLE) from error
    if commit is None:
        raise CorpusError("the hub names no commit", where=config.path, hint="give corpus.revision")
    return commit
