from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.materials.checkpoint import Checkpoint, checkpoint_identity, open_checkpoint
from harness.materials.errors import MissingMaterialError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_commit_needs_no_hub(tmp_path: Path) -> None:
    commit = "ab" * 20
    assert checkpoint_identity("org/model", commit, None) == {"hub": "org/model", "revision": commit}
    opened = open_checkpoint("org/model", commit, None, cache=tmp_path)
    assert opened == Checkpoint("org/model", commit)
    assert opened.local is None


def test_a_branch_is_resolved_to_the_cached_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "cd" * 20
    repository = tmp_path / "models--org--model"
    (repository / "snapshots" / commit).mkdir(parents=True)
    (repository / "snapshots" / commit / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert checkpoint_identity("org/model", None, None) == {"hub": "org/model", "revision": commit}


def test_a_local_folder_wins_over_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "org" / "model").mkdir(parents=True)
    (tmp_path / "org" / "model" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    opened = open_checkpoint("org/model", None, None, cache=tmp_path / "c")
    assert opened.local == tmp_path / "org" / "model"
    assert "sha256" in checkpoint_identity("org/model", None, None)


@pytest.mark.parametrize("path", ["/nowhere/model", "./nowhere", "models/none.gguf", "a/b/c"])
def test_what_cannot_be_a_hub_id_is_a_missing_path(path: str, tmp_path: Path) -> None:
    with pytest.raises(MissingMaterialError, match="no such file"):
        open_checkpoint(path, None, None, cache=tmp_path)


def test_a_hub_that_cannot_be_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MissingMaterialError, match="no such local path") as caught:
        checkpoint_identity("org/none", None, None)
    assert "\n" not in str(caught.value)
