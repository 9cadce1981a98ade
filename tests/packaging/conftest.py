"""The wheel, and a fresh environment with nothing but it and two wheels of third parties. Made once per session."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.materials import cache_root

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
TORCH = "torch==2.13.0"


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and a folder that is no checkout to run commands from."""

    folder: Path
    elsewhere: Path

    def run(self, *command: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Return what an installed command did; nothing of this checkout is on its path."""
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HARNESS_"))}
        done = subprocess.run(
            [str(self.folder / "bin" / command[0]), *command[1:]],
            cwd=self.elsewhere,
            env={**variables, "HARNESS_CACHE": str(cache_root(None)), "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not ok or done.returncode == 0, (
            f"{command}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
        return done


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the sdist and of the wheel built from that sdist, by ``python -m build``."""
    folder = tmp_path_factory.mktemp("dist")
    _build(ROOT, folder)
    return folder


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    (wheel,) = dist.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("fresh")
    wheels = folder / "wheels"
    for name in ("good_plugin", "broken_plugin"):
        source = folder / name
        shutil.copytree(HERE / name, source)
        _build(source, wheels, "--wheel")
    venv.create(folder / "venv", with_pip=True)
    fresh = Environment(folder / "venv", folder / "elsewhere")
    fresh.elsewhere.mkdir()
    # Torch first, and a pinned one: what pip has in its cache is then what is installed.
    fresh.run("python", "-m", "pip", "install", "--quiet", TORCH)
    fresh.run("python", "-m", "pip", "install", "--quiet", str(wheel), *map(str, sorted(wheels.glob("*.whl"))))
    return fresh


@pytest.fixture(scope="session")
def project() -> dict[str, object]:
    with (ROOT / "pyproject.toml").open("rb") as stream:
        table: dict[str, object] = tomllib.load(stream)["project"]
    return table


def _build(source: Path, into: Path, *options: str) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", str(into), str(source)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
