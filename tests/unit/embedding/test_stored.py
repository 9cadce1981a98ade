from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.activations.cachedir import EMBEDDINGS_FOLDER, list_artefacts, prune
from harness.embedding.stored import stored_vectors
from harness.errors import MaterialError
from harness.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TEXTS = [f"text {number}" for number in range(150)]


class Counting:
    """Embeds a text as its number and one, and knows how many texts it was given at a time."""

    def __init__(self) -> None:
        self.given: list[int] = []

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.given.append(len(texts))
        return np.array([[float(text.split()[1]), 1.0] for text in texts], dtype=np.float32)


def test_texts_are_embedded_once_for_each_identity(tmp_path: Path) -> None:
    embed = Counting()
    first = stored_vectors({"a": 1}, lambda: TEXTS, 150, embed, tmp_path, SILENT)
    assert embed.given == [64, 64, 22]
    assert first.tolist() == [[float(number), 1.0] for number in range(150)]
    again = stored_vectors({"a": 1}, lambda: TEXTS, 150, embed, tmp_path, SILENT)
    assert (again == first).all()
    assert len(embed.given) == 3
    stored_vectors({"a": 2}, lambda: TEXTS, 150, embed, tmp_path, SILENT)
    assert len(embed.given) == 6
    kept = list_artefacts(tmp_path)
    assert [(found.kind, found.summary) for found in kept] == 2 * [(EMBEDDINGS_FOLDER, "embeddings of 150 windows")]
    assert len(prune(tmp_path, [EMBEDDINGS_FOLDER])) == 2


def test_what_was_not_finished_is_not_there_and_what_is_damaged_is_told(tmp_path: Path) -> None:
    def broken(texts: Sequence[str]) -> np.ndarray:
        raise RuntimeError(texts[0])

    with pytest.raises(RuntimeError, match="text 0"):
        stored_vectors({}, lambda: TEXTS, 150, broken, tmp_path, SILENT)
    assert list_artefacts(tmp_path) == []
    stored_vectors({}, lambda: TEXTS, 150, Counting(), tmp_path, SILENT)
    (found,) = list_artefacts(tmp_path)
    file = found.path / "vectors.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(MaterialError, match="delete this folder"):
        stored_vectors({}, lambda: TEXTS, 150, Counting(), tmp_path, SILENT)
