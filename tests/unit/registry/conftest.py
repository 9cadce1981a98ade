"""Distributions with entry points, laid out on a path of their own as pip would."""

from __future__ import annotations

import importlib
import sys
import textwrap
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

HEADER = """
from dataclasses import dataclass
from harness.api import ControlSpec, CorpusSpec, ExplainerSpec, MetricSpec, ScorerSpec, SubjectSpec, hookimpl

@dataclass
class Config:
    limit: int = 3

def scorer(name="length", **changes):
    return ScorerSpec(name=name, summary="s", factory="m:f", config=Config, metrics=(MetricSpec("m", "d"),),
                      primary_metric="m", **changes)
"""


class Install(Protocol):
    def __call__(self, distribution: str, modules: Mapping[str, str], *, version: str = "1.0") -> None:
        """Install a distribution whose entry points are its modules, each under its own name."""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    monkeypatch.delenv("HARNESS_PLUGINS", raising=False)
    monkeypatch.delenv("HARNESS_DISABLE_PLUGINS", raising=False)
    names: list[str] = []

    def install_one(distribution: str, modules: Mapping[str, str], *, version: str = "1.0") -> None:
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = ["[autointerp_harness]"]
        for name, source in modules.items():
            module = f"{distribution.replace('-', '_')}_{name}"
            (site / f"{module}.py").write_text(HEADER + textwrap.dedent(source))
            lines.append(f"{name} = {module}")
            names.append(module)
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        importlib.invalidate_caches()

    yield install_one
    for name in names:
        sys.modules.pop(name, None)
