from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from harness.activations.cachedir import list_artefacts, prune
from harness.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.activations.tokens import TokenStore

DAY = 86_400


def fill(cache: Path, open_listed: Callable[..., TokenStore]) -> TokenStore:
    store = open_listed(["the cat sat on the mat"], cache=cache)
    (cache / "materials" / "abc").mkdir(parents=True)
    (cache / "materials" / "abc" / "data.bin").write_bytes(b"x" * 1000)
    (cache / "materials" / ".abc.lock").touch()
    (cache / "llm").mkdir()
    (cache / "llm" / "answers.sqlite").write_bytes(b"y" * 10)
    (cache / "llm" / "answers.sqlite-wal").write_bytes(b"z" * 5)
    (cache / "llm" / "endpoints").mkdir()
    (cache / "unrelated").mkdir()
    return store


def test_listing(tmp_path: Path, open_listed: Callable[..., TokenStore]) -> None:
    assert list_artefacts(tmp_path / "nothing") == []
    store = fill(tmp_path, open_listed)
    material, corpus, answers, endpoints = list_artefacts(tmp_path)
    assert (endpoints.fingerprint, endpoints.summary) == ("endpoints", "what endpoints can do")
    assert (material.kind, material.fingerprint, material.bytes) == ("materials", "abc", 1000)
    assert (corpus.kind, corpus.fingerprint) == ("corpora", store.fingerprint)
    assert corpus.summary == f"{store.n_tokens} tokens of 1 documents"
    assert corpus.bytes == sum(path.stat().st_size for path in store.folder.iterdir())
    assert (answers.kind, answers.fingerprint, answers.bytes) == ("llm", "answers.sqlite", 15)


def test_damaged_artefacts_are_listed_too(tmp_path: Path, open_listed: Callable[..., TokenStore]) -> None:
    store = fill(tmp_path, open_listed)
    (store.folder / "meta.json").write_text("{")
    assert store.fingerprint in [artefact.fingerprint for artefact in list_artefacts(tmp_path)]


def test_prune_by_kind_and_keep(tmp_path: Path, open_listed: Callable[..., TokenStore]) -> None:
    store = fill(tmp_path, open_listed)
    assert [one.kind for one in prune(tmp_path, dry_run=True)] == ["materials", "corpora", "llm"]
    assert store.folder.exists()
    assert prune(tmp_path, ["corpora"], keep=[store.fingerprint]) == []
    assert [one.kind for one in prune(tmp_path, ["corpora", "llm"])] == ["corpora", "llm"]
    assert list((tmp_path / "corpora").iterdir()) == []
    # Answers were paid for, and their file may be in use.
    assert {path.name for path in (tmp_path / "llm").iterdir()} == {"answers.sqlite", "answers.sqlite-wal"}
    assert (tmp_path / "materials" / "abc" / "data.bin").exists()
    assert (tmp_path / "unrelated").exists()
    with pytest.raises(UnknownNameError, match="did you mean corpora"):
        prune(tmp_path, ["corpra"])


def test_prune_by_last_use(tmp_path: Path, open_listed: Callable[..., TokenStore]) -> None:
    store = fill(tmp_path, open_listed)
    long_ago = time.time() - 10 * DAY
    os.utime(store.folder / "last_used", (long_ago, long_ago))
    assert prune(tmp_path, older_than=timedelta(days=20), dry_run=True) == []
    assert [one.kind for one in prune(tmp_path, older_than=timedelta(days=5), dry_run=True)] == ["corpora"]
    fresh = open_listed(["the cat sat on the mat"], cache=tmp_path)
    assert fresh.fingerprint == store.fingerprint
    assert prune(tmp_path, older_than=timedelta(days=5)) == []


def test_prune_sweeps_remains_and_follows_no_links(tmp_path: Path, open_listed: Callable[..., TokenStore]) -> None:
    fill(tmp_path, open_listed)
    (tmp_path / "corpora" / ".partial-dead-1-aa").mkdir()
    (tmp_path / "corpora" / ".doomed-old-1").mkdir()
    (tmp_path / "corpora" / "link").symlink_to(tmp_path / "unrelated", target_is_directory=True)
    (tmp_path / "unrelated" / "file").touch()
    prune(tmp_path, ["corpora"])
    assert list((tmp_path / "corpora").iterdir()) == []
    assert (tmp_path / "unrelated" / "file").exists()
