"""What is in the wheel and in the sdist."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
MOST_BYTES = 40 << 20


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        return set(archive.namelist())


def sources(folder: str, into: str, pattern: str = "*") -> set[str]:
    """Return where the files of a folder of the checkout should lie in the wheel."""
    return {
        f"{into}{path.relative_to(ROOT / folder)}"
        for path in (ROOT / folder).rglob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize(
    ("folder", "into"),
    [
        ("conf", "harness/conf/"),
        ("harness", "harness/"),
        ("plugins/harness_detection", "harness_detection/"),
        ("plugins/harness_embedding", "harness_embedding/"),
        ("plugins/harness_fade", "harness_fade/"),
        ("plugins/harness_fuzzing", "harness_fuzzing/"),
        ("plugins/harness_generation", "harness_generation/"),
        ("plugins/harness_intervention", "harness_intervention/"),
        ("plugins/harness_intruder", "harness_intruder/"),
        ("plugins/harness_saebench", "harness_saebench/"),
        ("plugins/harness_simulation", "harness_simulation/"),
        ("plugins/harness_surprisal", "harness_surprisal/"),
    ],
)
def test_everything_of_a_folder_is_where_it_belongs(names: set[str], folder: str, into: str) -> None:
    expected = sources(folder, into)
    assert len(expected) > 3
    assert expected <= names


@pytest.mark.parametrize(
    "name",
    [
        "harness/conf/config.yaml",
        "harness/conf/experiment/smoke.yaml",
        "harness/demo/corpus.jsonl.gz",
        "harness/demo/sae/sae_weights.safetensors",
        "harness/py.typed",
        "harness_detection/plugin.py",
    ],
)
def test_what_a_first_run_needs_is_there(names: set[str], name: str) -> None:
    assert name in names


def test_nothing_else_is_there(names: set[str]) -> None:
    roots = {name.split("/")[0] for name in names}
    info = {root for root in roots if root.endswith(".dist-info")}
    assert len(info) == 1
    scorers = {"detection", "embedding", "fade", "fuzzing", "generation", "intervention", "intruder", "saebench"}
    scorers |= {"simulation", "surprisal"}
    assert roots - info == {"harness", *(f"harness_{scorer}" for scorer in scorers)}
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]


def test_it_is_small_enough_to_publish(wheel: Path) -> None:
    assert wheel.stat().st_size < MOST_BYTES


def test_the_licence_and_the_entry_points_are_there(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        assert "Apache License" in archive.read(f"{info}/licenses/LICENSE").decode()
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
    assert "harness = harness.cli.main:main" in entry_points
    assert "[autointerp_harness]" in entry_points
    for scorer in ("detection", "embedding", "fade", "fuzzing", "generation"):
        assert f"{scorer} = harness_{scorer}.plugin" in entry_points


def test_the_sdist_holds_what_the_wheel_is_built_from(dist: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "conf/config.yaml", "plugins/harness_fuzzing/plugin.py"} <= names
