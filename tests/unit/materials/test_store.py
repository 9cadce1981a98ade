from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from harness.errors import MaterialError
from harness.materials.store import is_published, publish_folder, read_meta

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_is_built_once(tmp_path: Path) -> None:
    calls = []

    def build(folder: Path) -> None:
        calls.append(folder)
        (folder / "x").write_text("abc")

    for _ in range(2):
        meta = publish_folder(tmp_path / "m" / "key", kind="material", identity={"a": 1}, build=build)
    assert len(calls) == 1
    assert (meta["kind"], meta["fingerprint"], meta["identity"], meta["files"]) == (
        "material",
        "key",
        {"a": 1},
        {"x": 3},
    )
    assert read_meta(tmp_path / "m" / "key") == meta


def test_a_failed_build_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise MaterialError("stopped")

    with pytest.raises(MaterialError, match="stopped"):
        publish_folder(tmp_path / "key", kind="k", identity={}, build=fail)
    assert [path.name for path in tmp_path.iterdir()] == [".key.lock"]
    publish_folder(tmp_path / "key", kind="k", identity={}, build=lambda folder: (folder / "x").touch())
    assert is_published(tmp_path / "key")


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".key.tmp").mkdir()
    (tmp_path / ".key.tmp" / "stale").touch()
    publish_folder(tmp_path / "key", kind="k", identity={}, build=lambda folder: (folder / "x").touch())
    assert sorted(path.name for path in (tmp_path / "key").iterdir()) == ["meta.json", "x"]


def test_a_truncated_file_is_noticed_and_built_again(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "x").write_text("whole")

    publish_folder(tmp_path / "key", kind="k", identity={}, build=build)
    (tmp_path / "key" / "x").write_text("wh")
    assert not is_published(tmp_path / "key")
    publish_folder(tmp_path / "key", kind="k", identity={}, build=build)
    assert (tmp_path / "key" / "x").read_text() == "whole"


def test_two_at_once_build_once(tmp_path: Path) -> None:
    calls = []
    inside = threading.Barrier(2, timeout=10)

    def build(folder: Path) -> None:
        calls.append(folder)
        (folder / "x").touch()

    def work() -> None:
        inside.wait()
        publish_folder(tmp_path / "key", kind="k", identity={}, build=build)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_an_unwritable_cache_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MaterialError, match=r"cannot write the cache.*HARNESS_CACHE"):
        publish_folder(tmp_path / "file" / "key", kind="k", identity={}, build=lambda _: None)
