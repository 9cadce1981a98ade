from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checkpoints.gguf import converted_folder, is_gguf
from harness.checkpoints.plain import plain_checkpoint
from harness.errors import MaterialError
from harness.materials.errors import MissingMaterialError
from harness.materials.store import publish_folder

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "ab" * 32


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    assert plain_checkpoint(str(folder), None, None, "float32", cache=tmp_path).local == folder


def test_a_conversion_that_is_there_needs_no_original(tmp_path: Path) -> None:
    target = converted_folder(DIGEST, "bfloat16", tmp_path)
    publish_folder(target, kind="model", identity={}, build=lambda folder: (folder / "config.json").touch())
    for digest in (DIGEST, DIGEST.upper()):
        found = plain_checkpoint("/nowhere/model.gguf", None, digest, "bfloat16", cache=tmp_path)
        assert found.local == target
    with pytest.raises(MissingMaterialError):
        plain_checkpoint("/nowhere/model.gguf", None, DIGEST, "float32", cache=tmp_path)


def test_what_is_no_model_is_said(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("GGU")
    assert not is_gguf(notes)
    with pytest.raises(MaterialError, match="neither a model folder nor a GGUF file"):
        plain_checkpoint(str(notes), None, None, "float32", cache=tmp_path)
    torn = tmp_path / "torn.gguf"
    torn.write_bytes(b"GGUF" + b"\0" * 40)
    assert is_gguf(torn)
    with pytest.raises(MaterialError, match="cannot be converted"):
        plain_checkpoint(str(torn), None, None, "float32", cache=tmp_path)
