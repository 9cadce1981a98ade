"""The corpus readers that come with the harness. Importing this loads nothing heavy."""

from __future__ import annotations

from harness.activations.readers.config import (
    HuggingFaceCorpusConfig,
    JsonlCorpusConfig,
    PlantedCorpusConfig,
    TextCorpusConfig,
)
from harness.registry.specs import CorpusSpec

__all__ = ["CORPORA"]

_READERS = "harness.activations.readers"

CORPORA: tuple[CorpusSpec, ...] = (
    CorpusSpec(
        name="text",
        summary="text files, folders and globs; a document per file, or per blank line or separator",
        factory=f"{_READERS}.text:read",
        identity=f"{_READERS}.text:identity",
        config=TextCorpusConfig,
    ),
    CorpusSpec(
        name="jsonl",
        summary="JSON Lines, one document per line, also .gz and .xz",
        factory=f"{_READERS}.jsonl:read",
        identity=f"{_READERS}.jsonl:identity",
        config=JsonlCorpusConfig,
    ),
    CorpusSpec(
        name="huggingface",
        summary="a dataset of the Hugging Face hub, streamed at one commit",
        factory=f"{_READERS}.huggingface:read",
        identity=f"{_READERS}.huggingface:identity",
        config=HuggingFaceCorpusConfig,
        requires_extra="datasets",
    ),
    CorpusSpec(
        name="planted",
        summary="the demo corpus with short texts between, on which every planted feature fires often enough",
        factory=f"{_READERS}.planted:read",
        identity=f"{_READERS}.planted:identity",
        config=PlantedCorpusConfig,
    ),
)
