from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import torch

from harness.subjects.weights.torchfile import pickled_globals, torch_entries, torch_files

if TYPE_CHECKING:
    from pathlib import Path


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


LAYOUTS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old layout"])


@LAYOUTS
def test_what_a_file_holds_is_told_without_its_numbers(tmp_path: Path, zipped: bool) -> None:
    file = tmp_path / "x.pt"
    content = {"w": torch.zeros(2, 3), "k": 4, "inner": {"b": torch.zeros(()), "name": "ReLU"}}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    assert torch_entries(file) == {"w": (2, 3), "k": 4, "inner": {"b": (), "name": "ReLU"}}


@LAYOUTS
def test_nothing_in_a_file_is_run(tmp_path: Path, zipped: bool) -> None:
    file, made = tmp_path / "x.pt", tmp_path / "made"
    torch.save({"w": torch.zeros(2), "trap": Trap(made)}, file, _use_new_zipfile_serialization=zipped)
    assert torch_entries(file) is None
    assert {"posix.mkdir", "nt.mkdir"} & pickled_globals(file)
    assert not made.exists()
    run, arguments = Trap(made).__reduce__()
    run(*arguments)
    assert made.exists(), "the trap would have caught anybody who unpickled it"


def test_a_file_written_anew_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "x.pt"
    torch.save({"a": 1}, file)
    assert torch_entries(file) == {"a": 1}
    torch.save({"b": torch.zeros(5)}, file)
    assert torch_entries(file) == {"b": (5,)}


@pytest.mark.parametrize("content", [b"", b"torn", b"PK\x03\x04 torn", b"\x80\x02torn"])
def test_torn_files_hold_nothing(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.pt"
    file.write_bytes(content)
    assert torch_entries(file) is None
    assert pickled_globals(file) == frozenset()


def test_files_that_are_no_dictionary_or_not_there(tmp_path: Path) -> None:
    file = tmp_path / "x.pt"
    torch.save([torch.zeros(2)], file)
    assert torch_entries(file) is None
    for missing in (tmp_path, tmp_path / "y.pt"):
        assert torch_entries(missing) is None
        assert pickled_globals(missing) == frozenset()


def test_only_pytorch_files_are_asked(tmp_path: Path) -> None:
    for name in ("b.pt", "a.pt", "c.json"):
        (tmp_path / name).touch()
    asked: list[str] = []

    def test(file: Path) -> bool:
        asked.append(file.name)
        return file.name == "b.pt"

    assert torch_files(tmp_path, test) == [tmp_path / "b.pt"]
    assert asked == ["a.pt", "b.pt"]
    assert torch_files(tmp_path / "c.json", lambda _: True) == []
