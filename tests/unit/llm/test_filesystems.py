from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from harness.llm.answers_file import Journal, journal_for
from harness.llm.filesystems import filesystem_of, is_shared_filesystem

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    table = tmp_path / "mounts"
    places = {
        "/": "ext4",
        tmp_path: "ext4",
        tmp_path / "net": "nfs4",
        tmp_path / "net" / "local": "xfs",
        tmp_path / "two words": "fuse.sshfs",
        tmp_path / "twice": "cifs",
    }
    lines = [f"dev {str(place).replace(' ', chr(92) + '040')} {kind} rw 0 0" for place, kind in places.items()]
    table.write_text("\n".join([*lines, f"dev {tmp_path / 'twice'} tmpfs rw 0 0", "torn line", ""]))
    return table


@pytest.mark.parametrize(
    ("place", "kind", "shared"),
    [
        ("home", "ext4", False),
        ("net", "nfs4", True),
        ("net/cache/llm/answers.sqlite", "nfs4", True),
        ("net/local/a", "xfs", False),
        ("network", "ext4", False),
        ("two words/cache", "fuse.sshfs", True),
        ("twice/a", "tmpfs", False),
    ],
)
def test_the_innermost_mount_decides(tmp_path: Path, mounts: Path, place: str, kind: str, *, shared: bool) -> None:
    assert filesystem_of(tmp_path / place, mounts) == kind
    assert is_shared_filesystem(tmp_path / place, mounts) is shared


def test_links_are_followed(tmp_path: Path, mounts: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "net", target_is_directory=True)
    assert is_shared_filesystem(tmp_path / "link" / "a", mounts)


def test_without_a_table_nothing_is_known(tmp_path: Path) -> None:
    assert filesystem_of(tmp_path, tmp_path / "none") is None
    assert not is_shared_filesystem(tmp_path, tmp_path / "none")


def test_a_shared_file_system_has_no_write_ahead_log(
    tmp_path: Path, mounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.llm.filesystems.is_shared_filesystem.__defaults__", (mounts,))
    assert journal_for(tmp_path / "net" / "answers.sqlite") is Journal.ROLLBACK
    assert journal_for(tmp_path / "home" / "answers.sqlite") is Journal.WAL


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this table")
def test_the_kernels_own_table_is_understood(tmp_path: Path) -> None:
    assert filesystem_of(tmp_path)
