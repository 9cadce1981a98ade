"""The corpus of planted features: the demo corpus, and between its documents short texts for what it hardly has."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from harness.activations.protocol import Document
from harness.activations.readers import jsonl
from harness.activations.readers.config import JsonlCorpusConfig
from harness.planted.texts import TEXTS_VERSION, planted_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.activations.readers.config import PlantedCorpusConfig

__all__ = ["identity", "read"]

_DEMO = "demo://corpus.jsonl.gz"


def read(config: PlantedCorpusConfig) -> Iterator[Document]:
    """Yield after every ``every`` documents of the demo corpus one planted text."""
    documents = jsonl.read(JsonlCorpusConfig(path=_DEMO))
    for number, text in enumerate(planted_texts()):
        natural = list(islice(documents, config.every))
        yield from natural
        if len(natural) < config.every:
            return
        yield Document(text, f"planted-{number:04d}")


def identity(config: PlantedCorpusConfig) -> dict[str, Any]:
    """Return what determines the documents: the demo corpus, and the version and place of the texts."""
    return {**jsonl.identity(JsonlCorpusConfig(path=_DEMO)), "planted_texts": TEXTS_VERSION, "every": config.every}
