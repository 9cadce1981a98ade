from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.config.feature_file import listed_features
from harness.config.schema import FeaturesConfig
from harness.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("text", ["3\n17\n4\n", "# mine\n 3 # first\n\n17\n4", "[3, 17, 4]", " \n[3,17,4]\n"])
def test_numbers_become_a_list(text: str, tmp_path: Path) -> None:
    path = tmp_path / "features"
    path.write_text(text)
    found = listed_features(FeaturesConfig(select="file", path=str(path), where="not dead"))
    assert (found.select, found.ids, found.path, found.where) == ("list", [3, 17, 4], None, "not dead")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3\nfive\n", "line 2 of .* is no feature number: 'five'"),
        ("-1\n", "line 1"),
        ("[3, 4.5]", r"holds 4\.5"),
        ("[3, true]", "holds True"),
        ("[3,", "not readable as JSON"),
        ("[" * 100_000, "not readable as JSON"),
        ("9" * 5000, "line 1 of .* is no feature number"),
    ],
)
def test_other_contents_are_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "features"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        listed_features(FeaturesConfig(select="file", path=str(path)))


def test_files_that_are_not_there_or_not_wanted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        listed_features(FeaturesConfig(select="file", path=str(tmp_path / "none")))
    with pytest.raises(ConfigError, match="Is a directory"):
        listed_features(FeaturesConfig(select="file", path=str(tmp_path)))
    with pytest.raises(ConfigError, match="no file is given"):
        listed_features(FeaturesConfig(select="file"))
    with pytest.raises(ConfigError, match="not asked for"):
        listed_features(FeaturesConfig(path="x"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not text"):
        listed_features(FeaturesConfig(select="file", path=str(tmp_path / "binary")))


def test_any_other_selection_stays_as_it_is() -> None:
    given = FeaturesConfig(n=3)
    assert listed_features(given) is given
