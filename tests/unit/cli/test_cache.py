from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Result


def filled(tmp_path: Path) -> Path:
    cache = tmp_path / "cache"
    for kind, name in (("materials", "aaa"), ("corpora", "bbb")):
        (cache / kind / name).mkdir(parents=True)
        (cache / kind / name / "data").write_bytes(b"x" * 1000)
    return cache


def test_info_says_what_is_there(harness: Callable[..., Result], tmp_path: Path) -> None:
    cache = filled(tmp_path)
    result = harness("cache", "info", "--cache", str(cache), "--json")
    facts = json.loads(result.out)
    assert facts["cache"] == str(cache)
    assert {(one["kind"], one["fingerprint"]) for one in facts["artefacts"]} == {
        ("materials", "aaa"),
        ("corpora", "bbb"),
    }
    text = harness("cache", "info", "--cache", str(cache)).out
    assert "2 artefacts" in text


def test_an_empty_cache_is_no_error(harness: Callable[..., Result], tmp_path: Path) -> None:
    result = harness("cache", "info", "--cache", str(tmp_path / "nothing"))
    assert (result.code, result.out.splitlines()[-1]) == (0, "0 artefacts, 0.0 MiB in all")


def test_prune_removes_what_was_asked_for(harness: Callable[..., Result], tmp_path: Path) -> None:
    cache = filled(tmp_path)
    harness("cache", "prune", "--cache", str(cache), "--dry-run")
    assert (cache / "corpora" / "bbb").exists()
    harness("cache", "prune", "--cache", str(cache), "--older-than", "1")
    assert (cache / "corpora" / "bbb").exists()
    harness("cache", "prune", "--cache", str(cache), "--kind", "corpora")
    assert not (cache / "corpora" / "bbb").exists()
    assert (cache / "materials" / "aaa").exists()


def test_an_unknown_kind_is_a_user_error(harness: Callable[..., Result], tmp_path: Path) -> None:
    result = harness("cache", "prune", "--cache", str(filled(tmp_path)), "--kind", "corpra")
    assert result.code == 2
    assert "did you mean corpora?" in result.err
