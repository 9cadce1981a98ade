"""Parameters of the built-in corpus readers. Importing this loads nothing."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from harness.errors import ConfigError

__all__ = ["HuggingFaceCorpusConfig", "JsonlCorpusConfig", "PlantedCorpusConfig", "TextCorpusConfig"]


@dataclass
class TextCorpusConfig:
    """Plain text files (``.gz`` and ``.xz`` too).

    Attributes:
        path: A file, a folder, a glob (``texts/**/*.txt``) or a material (``demo://...``, ``wheel://...``).
        pattern: Which files of a folder are read.
        split: What a document is: a whole ``file``, or a part between ``blank_line``s or ``separator``s.
        separator: The text between documents when ``split`` is ``separator``.
        encoding: How the bytes are read; undecodable bytes are an error.
        sha256: Digest the material must have.
        cache: Where a fetched material is kept; None is the run's cache.
    """

    path: str = MISSING
    pattern: str = "**/*.txt"
    split: str = "file"
    separator: str = ""
    encoding: str = "utf-8"
    sha256: str | None = None
    cache: str | None = None


@dataclass
class JsonlCorpusConfig:
    """JSON Lines, one document per line: ``.jsonl``, ``.jsonl.gz``, ``.jsonl.xz``.

    Attributes:
        path: A file, a folder, a glob or a material.
        pattern: Which files of a folder are read.
        text_field: Field that holds the text.
        id_field: Field shown as the document's origin, where a line has it.
        sha256: Digest the material must have.
        cache: Where a fetched material is kept; None is the run's cache.
    """

    path: str = MISSING
    pattern: str = "**/*.jsonl*"
    text_field: str = "text"
    id_field: str = "id"
    sha256: str | None = None
    cache: str | None = None


@dataclass
class HuggingFaceCorpusConfig:
    """A dataset read by the ``datasets`` library, streamed.

    Attributes:
        path: Hub id, or a local folder in a form that library reads.
        name: Configuration of the dataset, if it has several.
        split: Split to read.
        revision: Commit, tag or branch. It is resolved to a commit, which is what the corpus is identified by.
        text_field: Column that holds the text.
    """

    path: str = MISSING
    name: str | None = None
    split: str = "train"
    revision: str | None = None
    text_field: str = "text"


@dataclass
class PlantedCorpusConfig:
    """The demo corpus with planted texts.

    Attributes:
        every: Documents of the demo corpus before each planted text.

    Raises:
        ConfigError: If that is less than one.
    """

    every: int = 2

    def __post_init__(self) -> None:
        """Refuse a corpus of planted texts only, which would have no end."""
        if self.every < 1:
            raise ConfigError(f"is {self.every}", where="every", hint="at least 1")
